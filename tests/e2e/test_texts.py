"""The command on texts: a copy of MELD without audio, with its own transcripts and with a recogniser's."""

import csv

import pandas as pd

import leaderboard
import run_benchmark
from leaderboard.records.display_names import given
from tests.cells.test_texts import WORDS
from tests.tasks import layouts


def test_gold_and_asr_stand_side_by_side(tmp_path, capsys):
    data = layouts.without_audio(layouts.meld(tmp_path / "data"))
    folders = [w for name in ("results", "cache", "data") for w in (f"--{name}", str(tmp_path / name))]
    (tmp_path / "words.py").write_text(WORDS)
    up = f"{tmp_path / 'words.py'}:Words"
    words = ["-u", up, "fbank", "-t", "meld", "meld_dialogue", "-d", "probe", "--jobs", "1", *folders]
    assert run_benchmark.main(words) == 1
    said = capsys.readouterr().out
    assert "text (gold)" in said and "fbank reads audio, and meld has labels and texts only" in said
    results = tmp_path / "results"
    before = {path: path.read_bytes() for path in results.rglob("*.json")}
    records = leaderboard.load(results)[0]
    (measured,) = {r.cell.upstream for r in records} - {"majority", "text_length", "persistence"}
    ids = sorted(
        f"{path.name.partition('_')[0]}_dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}"
        for path in data.rglob("*_sent_emo.csv")
        for row in csv.DictReader(path.open(encoding="utf-8"))
    )
    (tmp_path / "asr.csv").write_text("id,text\n" + "".join(f"{one},oh it is\n" for one in ids))
    again = [*words[:2], *words[3:], "--text", f"meld={tmp_path / 'asr.csv'}"]
    assert run_benchmark.main(again) == 0
    assert all(path.read_bytes() == content for path, content in before.items()), "no earlier record changed"
    shown = capsys.readouterr().out
    assert "text (ASR)" in shown
    records = leaderboard.load(results)[0]
    inputs = {r.cell.upstream.partition("@")[0] + "@" * ("@" in r.cell.upstream): given(r) for r in records}
    assert inputs == {
        measured: "text (gold)", f"{measured}@": "text (ASR)", "majority": "", "persistence": "",
        "text_length": "text (gold)", "text_length@": "text (ASR)",
    }  # fmt: skip
    assert len({r.task.audit for r in records if r.task.name == "meld"}) == 1, "both stand in one table"
    table = pd.read_csv(results / "leaderboard.csv")
    assert set(table["input"].dropna()) == {"text (gold)", "text (ASR)"}
    assert run_benchmark.main(again) == 0 and not leaderboard.verify(results)


def test_speech_and_text_stand_in_one_table(tmp_path, capsys):
    layouts.emodb(tmp_path / "data")
    folders = [w for name in ("results", "cache", "data") for w in (f"--{name}", str(tmp_path / name))]
    words = ["-t", "emodb", "-d", "probe", "--jobs", "1", *folders]
    assert run_benchmark.main(["-u", "fbank", *words]) == 0
    assert "input" not in capsys.readouterr().out.splitlines()[3], "tables of speech alone have no such column"
    (tmp_path / "words.py").write_text(WORDS)
    assert run_benchmark.main(["-u", "fbank", f"{tmp_path / 'words.py'}:Words", *words]) == 0
    shown = capsys.readouterr().out
    assert "speech" in shown and "text (gold)" in shown
    records = leaderboard.load(tmp_path / "results")[0]
    assert len({r.task.audit for r in records}) == 1
    assert {"words" if "Words" in r.cell.upstream else r.cell.upstream: given(r) for r in records} == {
        "fbank": "speech", "words": "text (gold)", "majority": "", "duration": "speech",
        "text_length": "text (gold)",
    }  # fmt: skip
