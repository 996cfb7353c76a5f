"""A user's table through the command: a task as all others, with floors beside it."""

import pandas as pd

import run_benchmark
from tests.tasks.brought.test_brought import table


def test_a_table_has_floors_controls_and_one_name_in_every_folder(tmp_path, monkeypatch, capsys):
    file = table(tmp_path / "sounds").rename(tmp_path / "mine.csv")
    places = ["--data", str(tmp_path), "--results", str(tmp_path / "results"), "--cache", str(tmp_path / "cache")]
    more = ["--jobs", "1", "--audio", str(tmp_path / "sounds"), *places]
    monkeypatch.chdir(tmp_path)
    assert (
        run_benchmark.main(["-u", "fbank", "-d", "probe", "-t", "mine.csv=Mine", "speaker:mine.csv=Mine", *more]) == 0
    )
    assert "Mine: emotion" in capsys.readouterr().out
    rows = pd.read_csv(tmp_path / "results" / "leaderboard.csv")
    expected = {(upstream, task) for upstream in ("fbank", "majority", "duration") for task in ("Mine", "speaker:Mine")}
    assert set(zip(rows["upstream"], rows["task"], strict=True)) == expected
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("*.json")}
    monkeypatch.chdir(tmp_path / "sounds")
    assert run_benchmark.main(["-u", "fbank", "-d", "probe", "-t", f"csv:{file}=Mine", *more]) == 0
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("*.json")}


def test_a_table_without_a_name_has_floors_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table(tmp_path)
    places = ["--data", str(tmp_path), "--results", str(tmp_path / "results"), "--cache", str(tmp_path / "cache")]
    assert run_benchmark.main(["-u", "fbank", "-d", "probe", "-t", "csv:mine.csv", "--jobs", "1", *places]) == 0
    rows = pd.read_csv(tmp_path / "results" / "leaderboard.csv")
    assert set(zip(rows["upstream"], rows["task"], strict=True)) == {
        (upstream, "csv:mine") for upstream in ("fbank", "majority", "duration")
    }


def test_a_folder_of_audio_that_is_not_there_is_told_before_anything(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table(tmp_path)
    arguments = ["-u", "fbank", "-t", "mine.csv", "--data", str(tmp_path), "--audio", "nowhere"]
    assert run_benchmark.main(arguments) == 2
    message = "nowhere: there is no such folder; name the folder of your table's audio with --audio"
    assert message in capsys.readouterr().err
