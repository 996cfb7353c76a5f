"""python -m tasks, and what importing the room costs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import tasks
from tasks.__main__ import _parser, main
from tests.tasks import layouts


@pytest.fixture
def places(tmp_path):
    return ["--data", str(tmp_path / "data"), "--cache", str(tmp_path / "cache")]


def test_list_shows_every_task_and_its_state(tmp_path, places, capsys):
    layouts.emodb(tmp_path / "data")
    assert main(["list", *places]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in tasks.names())
    assert "56/535" in out and "partial" in out and "absent" in out


def test_check_counts_a_corpus_and_fails_where_it_is_not_whole(tmp_path, places, capsys):
    layouts.emodb(tmp_path / "data")
    assert main(["check", "emodb", *places]) == 1
    out = capsys.readouterr().out
    assert "partial: utterances 56 of 535" in out and "bilderbar" in out
    assert main(["check", "urdu", *places]) == 1
    assert "urdu is absent" in capsys.readouterr().err
    assert main(["check", "emodbb", *places]) == 2
    assert "did you mean emodb" in capsys.readouterr().err


def test_check_of_a_whole_corpus_succeeds(demo_cache, tmp_path, capsys):
    assert main(["check", "demo", "--data", str(tmp_path), "--cache", str(demo_cache)]) == 0
    assert "state    complete" in capsys.readouterr().out


def test_a_table_of_several_tasks_holds_whole_files_with_emotions(tmp_path, demo_cache, places, capsys):
    path, words = tmp_path / "mine.csv", ["--data", str(tmp_path / "data"), "--cache", str(demo_cache)]
    layouts.emodb(tmp_path / "data")
    assert main(["table", "demo", "emodb", *words, "--output", str(path)]) == 0
    table = pd.read_csv(path)
    assert list(table.columns) == ["path", "speaker", "emotion", "corpus"]
    assert set(table["corpus"]) == {"demo", "emodb"} and "neutral" in set(table["emotion"])
    assert all(Path(file).is_file() for file in table["path"]) and not table.isna().any(axis=None)
    assert main(["table", "urdu", *words, "--output", str(path)]) == 1
    assert "urdu is absent" in capsys.readouterr().err


def test_check_names_unusable_audio(tmp_path, places, capsys):
    layouts.emodb(tmp_path / "data")
    (tmp_path / "data" / "EmoDB" / "wav" / "03a01Wa.wav").write_bytes(b"")
    assert main(["check", "emodb", *places]) == 1
    assert "03a01Wa.wav is empty" in capsys.readouterr().out


def test_audit_prints_the_folds_and_writes_the_certificate_only_when_asked(tmp_path, places, capsys):
    layouts.emodb(tmp_path / "data")
    assert main(["audit", "emodb", *places]) == 0
    out = capsys.readouterr().out
    assert "speaker 03" in out and "sha256" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "data"]
    assert main(["audit", "emodb", *places, "--output", str(tmp_path / "proof.json")]) == 0
    proof = json.loads((tmp_path / "proof.json").read_text())
    assert proof["hash"] == tasks.load("emodb", tasks.Options(tmp_path / "data", tmp_path / "cache")).audit.hash
    assert sum(len(fold["test_ids"]) for fold in proof["folds"]) == 56
    assert main(["audit", "emodb", *places, "--output", str(tmp_path / "none" / "proof.json")]) == 1
    assert main(["audit", "emdb", *places]) == 2
    assert "did you mean" in capsys.readouterr().err


def test_folds_writes_a_list_in_the_shipped_format_of_a_whole_copy(tmp_path, demo_cache, places, capsys):
    path = tmp_path / "demo.json"
    assert main(["folds", "demo", "--data", str(tmp_path), "--cache", str(demo_cache), "--output", str(path)]) == 0
    assert set(json.loads(path.read_text())) == {"task", "version", "folds_sha256", "test"}
    layouts.emodb(tmp_path / "data")
    assert main(["folds", "emodb", *places, "--output", str(path)]) == 1
    assert "complete copy" in capsys.readouterr().err and json.loads(path.read_text())["task"] == "demo"


def test_an_output_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path, demo_cache, capsys):
    (tmp_path / "folder").mkdir()
    places = ["--data", str(tmp_path), "--cache", str(demo_cache)]
    assert main(["audit", "demo", *places, "--output", str(tmp_path / "folder")]) == 1
    assert "folder: cannot be written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_empty_variables_mean_the_defaults(monkeypatch):
    for name in ("EMOREP_DATA", "EMOREP_CACHE"):
        monkeypatch.setenv(name, "")
    options = _parser().parse_args(["list"])
    assert (str(options.data), str(options.cache)) == ("data", str(Path("~/.cache/emorep").expanduser()))


def test_emoboxs_folder_comes_from_the_environment(tmp_path, monkeypatch, capsys):
    assert main(["audit", "emobox:emodb", "--data", str(tmp_path), "--cache", str(tmp_path / "cache")]) == 1
    assert "there are no fold files" in capsys.readouterr().err
    (tmp_path / "box" / "urdu" / "fold_1").mkdir(parents=True)
    monkeypatch.setenv("EMOREP_EMOBOX", str(tmp_path / "box"))
    assert main(["audit", "emobox:emodb", "--data", str(tmp_path), "--cache", str(tmp_path / "cache")]) == 2
    assert "known: urdu" in capsys.readouterr().err


def test_importing_and_describing_load_no_heavy_library():
    program = (
        "import sys, tasks\n"
        "light = set(sys.modules)\n"
        "from pathlib import Path\n"
        "tasks.describe(Path('nowhere')); tasks.resolve(['all', 'gender:emodb'], Path('nowhere'))\n"
        "heavy = {'pandas', 'torch', 'scipy', 'sklearn', 'soundfile', 'transformers', 's3prl', 'umap'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "assert not {'numpy', 'pydantic', 'yaml'} & light\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_output_that_is_no_file_is_written_to_and_stays_what_it_is(tmp_path, demo_cache):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    places = ["--data", str(tmp_path), "--cache", str(demo_cache)]
    assert main(["folds", "demo", *places, "--output", str(pipe)]) == 0
    assert json.loads(os.read(reader, 100_000))["task"] == "demo" and pipe.is_fifo()
    os.close(reader)
