"""python -m leaderboard, and what importing the room costs."""

import errno
import os
import re
import subprocess
import sys

import pytest

import leaderboard
from leaderboard.__main__ import main
from leaderboard.errors import LeaderboardError
from leaderboard.records.files import writing
from tests.leaderboard import cells


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    return code, *capsys.readouterr()


def test_csv_table_verify(make, results, capsys):
    make()
    make(upstream="mfcc", name="urdu")
    assert run(capsys, "csv", "--results", results)[0] == 0
    assert (results / "leaderboard.csv").read_text().count("\n") == 3
    code, out, _ = run(capsys, "table", "--results", results, "-t", "urdu")
    assert code == 0 and "mfcc" in out and "fbank" not in out
    code, out, _ = run(capsys, "table", "--format", "markdown", "--results", results, "-u", "fbank")
    assert code == 0 and "| fbank |" in out and "mfcc" not in out
    assert run(capsys, "verify", "--results", results)[0] == 0


def test_damage_is_told_and_fails(make, results, capsys):
    make()
    broken = make(upstream="mfcc")
    (results / "mfcc" / "emodb" / broken.files.predictions.name).unlink()
    code, out, err = run(capsys, "table", "--results", results)
    assert code == 1 and "fbank" in out and "mfcc/emodb/probe.json" in err
    assert run(capsys, "verify", "--results", results)[0] == 1


@pytest.mark.parametrize("command", ["csv", "table", "compare", "plot", "umap", "page", "methods", "verify"])
def test_no_results_is_said(tmp_path, capsys, command):
    code, out, err = run(capsys, command, "--results", tmp_path / "absent")
    assert (code, out) == (1, "") and "no such folder" in err and "--results" in err
    code, out, err = run(capsys, command, "--results", tmp_path)
    assert (code, out) == (1, "") and "no results; run_benchmark.py makes some" in err
    assert not list(tmp_path.iterdir())


def test_a_tilde_is_the_users_home(make, results, capsys, monkeypatch):
    make()
    monkeypatch.setenv("HOME", str(results.parent))
    assert run(capsys, "csv", "--results", f"~/{results.name}")[0] == 0
    assert (results / "leaderboard.csv").is_file()


def test_unknown_names_get_a_hint(make, results, capsys):
    make()
    code, _, err = run(capsys, "table", "--results", results, "-t", "emodbb")
    assert code == 2 and "did you mean emodb?" in err
    with pytest.raises(SystemExit, match="2"):
        main(["tabel"])


def test_schema_explains_every_key_and_column(capsys):
    code, out, _ = run(capsys, "schema")
    assert code == 0 and "scores.metrics.*.low " in out and "last_layer_UA " in out
    assert all(len(line.split(maxsplit=1)) == 2 for line in out.splitlines() if line)


def test_what_is_not_needed_is_not_imported(make, results):
    """Asking which cells are done must be quick: no pandas, no Parquet reader."""
    make()
    code = (
        "import sys, leaderboard; light = set(sys.modules)\n"
        "assert leaderboard.find(sys.argv[1], 'fbank', 'emodb', 'probe')\n"
        "heavy = {'torch', 'pandas', 'pyarrow', 'scipy', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert not {'pydantic', 'rich'} & light"
    )
    subprocess.run([sys.executable, "-c", code, results], check=True, cwd=cells.ROOT)


def test_the_public_names_are_there():
    assert all(callable(getattr(leaderboard, name)) for name in leaderboard.__all__)


def test_where_pictures_cannot_be_written_is_said_before_the_work(make, results, tmp_path, capsys, monkeypatch):
    make()
    (tmp_path / "file").touch()
    monkeypatch.setattr("leaderboard.umap.pictures.write", lambda *_: pytest.fail("it began to work"))
    for out in ("/proc/x", str(tmp_path / "file"), str(tmp_path / "file" / "below")):
        for command in ("umap", "plot"):
            with pytest.raises(SystemExit, match="2"):
                main([command, "--results", str(results), "--out", out])
            assert "--out: " in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["page", "--results", str(results), "--out", "/proc/x/page.html"])


def test_where_a_file_is_wanted_a_folder_is_refused_before_the_work(make, results, tmp_path, capsys):
    make()
    for words in (["page"], ["card", "-u", "fbank"], ["submit", "--name", "me"]):
        with pytest.raises(SystemExit, match="2"):
            main([*words, "--results", str(results), "--out", str(tmp_path)])
        assert f"--out {tmp_path} is a folder; name a file" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "space"), [(errno.ENOSPC, "free some space, or "), (errno.EACCES, "")])
def test_space_is_asked_for_only_where_there_is_none(tmp_path, number, space):
    said = re.escape(f"({os.strerror(number)}); {space}name another place with --results or --out")
    for path, stands in ((tmp_path / "absent", ""), (tmp_path / "there", "; what stood there before still does")):
        (tmp_path / "there").touch()
        with pytest.raises(LeaderboardError, match=rf"{said}{stands}$"), writing(path):
            raise OSError(number, os.strerror(number))


def test_results_of_others_are_not_checked_against_a_folder_that_is_not_there(make, results, tmp_path, capsys):
    make()
    code, _, err = run(capsys, "merge", results, "--into", tmp_path / "all", "--data", tmp_path / "none")
    assert code == 2 and "none: there is no such folder; name the folder of your corpora" in err
    assert not (tmp_path / "all").exists()


def test_results_that_are_a_file_are_named(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["table", "--results", str(tmp_path / "file")]) == 1
    assert "file: is no folder" in capsys.readouterr().err
