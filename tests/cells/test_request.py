"""From the command line to a request, and what a board says of failures."""

from __future__ import annotations

from pathlib import Path

import pytest

import run_benchmark
from cells import applied_to, apply
from cells.request import parse, understood
from commons.errors import NotThere, Refused
from tasks import transcripts
from tasks.errors import TaskError


def test_folders_of_jobs_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EMOREP_DATA", raising=False)
    request = understood(parse(["-u", "fbank", "-t", "demo", "--results", "r", "--cache", "c"]), lambda line: None)
    setting = request.setting
    folders = (setting.results, setting.reading.data, setting.reading.cache, setting.extraction.cache)
    assert all(folder.is_relative_to(tmp_path) for folder in folders)


def test_one_name_asked_for_twice_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["-u", "fbank", "FBANK", "-t", "demo", "demo", "-d", "probe", "probe"]
    request = understood(parse(words), lambda line: None)
    assert (len(request.upstreams), len(request.tasks), len(request.readers)) == (1, 1, 1)


@pytest.mark.parametrize(
    ("words", "seen"),
    [([], None), (["--seen", "none"], {}), (["--seen", "nEMO", "korean_emotion_tts"],
                                           {"nemo": "audio", "korean_emotion_tts": "audio"})],
)  # fmt: skip
def test_an_ablation_knows_its_speech_and_the_files_of_its_variants(
    words: list[str], seen: dict[str, str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCORES", "scores.parquet")
    request = understood(parse(["--ablation", "ems", "-t", "demo", "--speech", ".", *words]), lambda line: None)
    assert request.seen == seen and request.files == (("SCORES", "scores.parquet"),)


def test_a_folder_where_a_file_is_wanted_is_called_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("dir.yaml", "dir.json", "data"):
        (tmp_path / name).mkdir()
    asked = ["-u", "fbank", "-t", "demo", "-d", "probe", "--data", "data"]
    for command, words in (
        (run_benchmark.main, [*asked, "--engine", "slurm", "--engine-config", "dir.yaml"]),
        (run_benchmark.main, ["-u", "fbank", "-t", "csv:data"]),
        (apply.main, ["dir.json", "sound.wav"]),
    ):
        assert command(words) == 2, words
        assert "is a folder; name a file" in capsys.readouterr().err, words
    with pytest.raises(TaskError, match="is a folder; name a file; it is a table with"):
        transcripts.read(tmp_path / "dir.yaml")
    with pytest.raises(NotThere, match=r"^audio file 'dir\.yaml' is a folder; name a file$"):
        applied_to.audio([Path("dir.yaml")], tmp_path / "cache")


@pytest.mark.parametrize("option", ["--status", "--cancel"])
def test_runs_are_looked_for_in_a_folder_that_is_there(
    tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    for name in ("none", "file"):
        assert run_benchmark.main([option, "--results", str(tmp_path / name)]) == 2
        assert f"{name}: no such folder; name the folder of results with --results" in capsys.readouterr().err
    assert run_benchmark.main([option, "--results", str(tmp_path)]) == 0


def test_what_contradicts_itself_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run_benchmark.main(["-u", "fbank", "-t", "demo", "--force", "--rerun"])
    assert "not allowed with" in capsys.readouterr().err
    assert run_benchmark.main(["-u", "fbank", "-t", "demo", "-d", "probe", "--by-arousal"]) == 2
    assert "name speecheq or finetune_speecheq with -d" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--labels none.csv", "none.csv: there is no such file"),
        ("--noise none", "none: there is no such folder; name a folder of speech"),
        ("--seen emodb", "--seen and --speech are of pre-training"),
    ],
)
def test_options_that_name_nothing_or_decide_nothing_are_refused(words: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        understood(parse(["-u", "fbank", "-t", "demo", *words.split()]), print)


def test_one_cause_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A corpus that is absent, asked for by two upstreams and two heads."""
    folders = [word for name in ("results", "cache", "data") for word in (f"--{name}", str(tmp_path / name))]
    (tmp_path / "data").mkdir()
    words = ["-u", "fbank", "mfcc", "-t", "emodb", "-d", "probe", "probe_stats", *folders]
    assert run_benchmark.main(words) == 1
    captured = capsys.readouterr()
    assert captured.out.count("emodb is absent") == 1
    assert captured.err.count("emodb: failed") == 1
