"""Plans of upstreams that read text: with and without audio, with the corpus's texts and with a file of the user's."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import run_benchmark
from cells.jobs import Measure
from cells.plan import planned
from cells.request import Request, parse, understood
from cells.workplace import Workplace
from commons import marks
from tests.tasks import layouts

# The lengths of the first and the last word: an upstream that is quick to read out.
WORDS = """
import torch

class Words:
    modality, depth, width = "text", 1, 2

    def __call__(self, texts):
        return [torch.tensor([[[len(text.split()[0]), len(text.split()[-1])]]]).float() for text in texts]
"""
TEXT = ["-d", "probe", "--seeds", "1", "--jobs", "1", "-u", "text_ngrams"]


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    return [word for name in ("results", "cache", "data") for word in (f"--{name}", str(tmp_path / name))]


@pytest.fixture
def meld(tmp_path: Path) -> Path:
    """The folder of corpora, with MELD's labels and texts and no audio."""
    return layouts.without_audio(layouts.meld(tmp_path / "data"))


def request(*words: str) -> Request:
    return understood(parse(words), lambda line: None)


def jobs(asked: Request) -> tuple[dict[tuple[str, str, str], Measure], list[str], list[str]]:
    """The measuring jobs by cell, failures, and what the plan said."""
    said: list[str] = []
    plan = planned(asked, Workplace(), said.append)
    cells = {job.cell: job for job in plan.jobs if isinstance(job, Measure)}
    return cells, [outcome.failure for outcome in plan.failed], said


def asr(path: Path, ids: list[str]) -> str:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "text"), *((utterance, f"word {utterance}") for utterance in ids)])
    return str(path)


def test_without_audio_texts_are_measured_and_audio_says_what_is_missing(meld: Path, folders: list[str]) -> None:
    cells, failed, _ = jobs(request(*TEXT, "fbank", "-t", "meld", "meld_next", *folders))
    upstreams = {(upstream, task) for upstream, task, _ in cells}
    assert upstreams == {
        *((name, task) for name in ("text_ngrams", "majority", "text_length") for task in ("meld", "meld_next")),
        ("persistence", "meld_next"),
    }
    assert len(failed) == 2 and all("fbank reads audio, and meld has labels and texts only" in line for line in failed)


def test_with_audio_the_length_of_texts_stands_beside_upstreams_of_text_alone(
    tmp_path: Path, folders: list[str]
) -> None:
    layouts.emodb(tmp_path / "data")
    spoken, _, _ = jobs(request("-u", "fbank", "-d", "probe", "-t", "emodb", *folders))
    written, _, _ = jobs(request(*TEXT, "-t", "emodb", *folders))
    both, _, _ = jobs(request(*TEXT, "fbank", "-t", "emodb", *folders))
    assert {cell[0] for cell in spoken} == {"fbank", "majority", "duration"}
    assert {cell[0] for cell in written} == {"text_ngrams", "majority", "duration", "text_length"}
    for one in (spoken, written):
        assert all(both[cell].key == job.key for cell, job in one.items()), "a key depends on its own cell alone"


def test_a_file_of_texts_changes_the_keys_of_what_reads_text_alone(tmp_path: Path, folders: list[str]) -> None:
    layouts.emodb(tmp_path / "data")
    words = [*TEXT, "fbank", "-t", "emodb", *folders]
    before, _, _ = jobs(request(*words))
    ids = Workplace().task("emodb", request(*words).setting).utterances.index.tolist()
    after, _, said = jobs(request(*words, "--text", f"emodb={asr(tmp_path / 'asr.csv', [*ids, 'other'])}"))
    assert said == ["emodb: asr.csv has 1 id (other) that the corpus lacks"]
    spoken = {"fbank", "majority", "duration"}
    assert all(after[cell].key == job.key for cell, job in before.items() if cell[0] in spoken)
    named = {cell[0]: job for cell, job in after.items() if cell[0] not in spoken}
    assert all(name.partition("@")[2].startswith("asr~") for name in named) and len(named) == 2
    assert not {job.key for job in named.values()} & {job.key for job in before.values()}
    for job in named.values():  # values that can travel to another process
        assert job.setting.reading.texts == (("emodb", tmp_path / "asr.csv"),)


def test_a_file_that_no_task_reads_is_told(tmp_path: Path, meld: Path, folders: list[str]) -> None:
    file = asr(tmp_path / "asr.csv", ["x"])
    _, _, said = jobs(request(*TEXT, "-t", "meld", *folders, "--text", f"emodb={file}"))
    assert said == ["--text emodb: no task that was asked for has utterances of emodb"]


def test_utterances_without_text_stop_the_cell_and_are_left_out_on_request(
    tmp_path: Path, meld: Path, folders: list[str]
) -> None:
    words = [*TEXT, "-t", "meld", *folders]
    whole = Workplace().task("meld", request(*words).setting).utterances.index.tolist()
    file = f"meld={asr(tmp_path / 'asr.csv', whole[2:])}"
    cells, failed, _ = jobs(request(*words, "--text", file))
    assert not cells and len(failed) == 1
    assert failed[0].startswith(f"meld: 2 of {len(whole)} utterances have no text: {whole[0]}, {whole[1]}")
    (tmp_path / "words.py").write_text(WORDS)
    quick = ["-u", f"{tmp_path / 'words.py'}:Words", *words[words.index("-t") :], "-d", "probe", "--jobs", "1"]
    assert run_benchmark.main([*quick, "--text", file, "--skip-bad"]) == 0
    table = pd.read_csv(tmp_path / "results" / "leaderboard.csv").set_index("upstream")
    (measured,) = (name for name in table.index if "Words" in name and "@asr~" in name)
    assert set(table.loc[measured, "marks"].split(";")) >= {"textless:2", "other_text:asr"}
    assert table.loc[measured, "input"] == "text (ASR)"


def test_parts_of_a_late_fusion_that_answer_for_different_utterances_are_refused(
    tmp_path: Path, folders: list[str]
) -> None:
    layouts.emodb(tmp_path / "data")
    words = [*TEXT, "fbank", "late:fbank,text_ngrams", "fbank+text_ngrams", "-t", "emodb", *folders]
    whole = Workplace().task("emodb", request(*words).setting).utterances.index.tolist()
    file = f"emodb={asr(tmp_path / 'asr.csv', whole[1:])}"
    cells, failed, _ = jobs(request(*words, "--text", file, "--skip-bad"))
    (failure,) = failed
    assert failure.startswith("late:fbank,text_ngrams: its parts answer for different utterances of emodb (fbank for ")
    assert {name.partition("@")[0] for name, _, head in cells if head == "probe"} == {
        "text_ngrams", "fbank", "fbank+text_ngrams",
    }  # fmt: skip


def test_marks_of_audio_and_of_text_concern_those_who_read_them() -> None:
    every = ["partial", "skipped:3", "lossy_audio", "textless:2", "other_text:asr"]
    assert marks.concerning(every, "audio") == every[:3]
    assert marks.concerning(every, "text") == ["partial", *every[3:]]
    assert marks.concerning(every, "audio+text") == every
    assert all(marks.explain(mark) != marks.explain("?") for mark in every)


def test_a_job_whose_texts_changed_after_the_plan_fails(tmp_path: Path, meld: Path, folders: list[str]) -> None:
    from cells.measure import perform

    cells, _, _ = jobs(request(*TEXT, "-t", "meld", *folders))
    job = cells["text_ngrams", "meld", "probe"]
    labels = next(meld.rglob("test_sent_emo.csv"))
    labels.write_text(labels.read_text(encoding="utf-8").replace("Oh,", "Ah,", 1), encoding="utf-8")
    outcome = perform(replace(job, after=()), Workplace(), {})
    assert "changed after it was planned" in outcome.failure
