"""python -m leaderboard compare: ranks, two upstreams, two folders, and the input that cannot be compared."""

import re

import pytest

from leaderboard.__main__ import main
from tests.leaderboard import cells
from tests.leaderboard.test_tables import HOSTILE


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    return code, *capsys.readouterr()


def make_board(make, names=("emodb", "urdu"), upstreams=(("good", 0.9), ("poor", 0.2)), speakers=10, **own):
    for name in names:
        table = cells.utterances(300, speakers, seed=len(name))
        for i, (upstream, right) in enumerate(upstreams):
            make(name=name, upstream=upstream, right=right, seed=i, table=table, family=name, **own)


def row(text, *words):
    return next(line for line in text.splitlines() if all(word in line.split() for word in words))


def test_ranks(make, results, capsys):
    make_board(make)
    make_board(make, upstreams=[("majority", 0.1)], head="reference")
    code, out, err = run(capsys, "compare", "--results", results)
    assert (code, err) == (0, "")
    assert row(out, "1", "good") and row(out, "2", "poor") and "majority" not in out
    assert "smallest p of 10 speakers: 0.002" in out and "to plan a study: the test of one pair alone finds" in out
    assert "over corpora · probe" in out and "one vote a family: emodb, urdu" in out
    assert "smallest p of 2 votes: 0.500; no difference can be significant (p <= 0.05) with so few" in out
    code, out, _ = run(capsys, "compare", "--results", results, "-t", "urdu", "--pairs", "--format", "markdown")
    assert code == 0 and "| good | poor | +" in out and "over corpora" not in out


def test_who_cannot_be_told_apart_has_no_rank(make, results, capsys):
    alike = tuple((f"u{i}", 0.5) for i in range(6))
    make_board(make, names=("emodb",), upstreams=alike)
    make_board(make, names=("savee",), upstreams=alike, speakers=4)
    code, out, _ = run(capsys, "compare", "--results", results)
    first, second = out.split("savee · probe")[:2]
    assert (
        code == 0
        and "0 of 15 pairs differ significantly (adjusted p <= 0.05)" in first
        and row(first, "–", "1-6", "u0")
    )
    assert "in this table a measured difference in UA of about" in first
    assert "no rank: no two upstreams differ significantly, which does not mean that they are equal" in first
    assert "smallest p of 4 speakers: 0.125; no difference can be significant" in second
    assert "to plan a study" not in second.split("over corpora")[0] and row(second, "–", "1-6", "u0")


def test_two_upstreams(make, results, capsys):
    make_board(make)
    code, out, _ = run(capsys, "compare", "poor", "good", "--results", results)
    line = row(out, "emodb", "probe")
    assert code == 0 and " -" in line and line.rstrip().endswith("good")
    assert "adjusted p: over 2 rows" in out and "on further corpora" in out


def test_two_folders(make, results, capsys, tmp_path):
    make_board(make)
    again = tmp_path / "again"
    table = cells.utterances(300, 10, seed=len("emodb"))
    cells.make(again, name="emodb", upstream="good", right=0.3, table=table, family="emodb")
    cells.make(again, name="urdu", upstream="good", version=2, table=table)
    cells.make(again, name="new", upstream="good", table=table)
    code, out, err = run(capsys, "compare", results, again)
    assert code == 0 and row(out, "emodb", "probe").rstrip().endswith("results")
    assert "not the same utterances, targets or task version" in err, "other versions are never mixed"
    assert "only in" in err and "good · new · probe" in err
    assert run(capsys, "compare", results, tmp_path)[0] == 1
    code, _, err = run(capsys, "compare", results, "nosuch", "--results", results)
    assert code == 2 and f"nosuch: no such folder, and {results} is one" in err


def test_what_cannot_be_compared_is_said(make, results, capsys):
    make_board(make, upstreams=[("good", 0.9)], names=("emodb",))
    code, out, _ = run(capsys, "compare", "--results", results)
    assert code == 0 and "one upstream only" in out
    make(upstream="elsewhere", name="urdu")
    code, _, err = run(capsys, "compare", "good", "elsewhere", "--results", results)
    assert code == 1 and "share no task" in err and "put both on one: python run_benchmark.py -u" in err
    assert "did you mean good" in run(capsys, "compare", "goodd", "good", "--results", results)[2]
    with pytest.raises(SystemExit, match="2"):
        main(["compare", "good"])


@pytest.mark.parametrize("command", ["compare", "methods"])
def test_a_choice_without_a_cell_is_said(make, results, capsys, command):
    make(upstream="a")
    make(upstream="b", head="superb")
    assert main([command, "-u", "a", "-d", "superb", "--results", str(results)]) == 1
    assert "no result of this choice" in capsys.readouterr().err


def test_one_speaker_has_no_interval_and_no_test(make, results, capsys):
    make_board(make, names=("emodb",), speakers=1)
    code, out, _ = run(capsys, "compare", "--results", results)
    assert code == 0 and "smallest p of 1 speaker: 1.000" in out and "no difference can be significant" in out
    assert "[" not in row(out, "1-2", "good")
    code, out, _ = run(capsys, "compare", "good", "poor", "--results", results)
    assert code == 0 and "–" in row(out, "emodb", "probe")


def test_missing_and_damaged_predictions_are_named_and_the_rest_compared(make, results, capsys):
    make_board(make, upstreams=[("good", 0.9), ("fair", 0.5), ("poor", 0.2), ("lost", 0.2)], names=("emodb",))
    for upstream in ("lost", "poor"):
        path = min((results / upstream / "emodb").glob("*.parquet"), key=lambda p: len(p.name))
        if upstream == "lost":
            path.unlink()
        else:
            path.write_bytes(b"x" * path.stat().st_size)
    code, out, err = run(capsys, "compare", "--results", results)
    assert code == 1 and row(out, "good") and row(out, "fair") and "poor" not in out and "lost" not in out
    assert "lost/emodb/probe.json: names probe." in err and "its sha256 is not the recorded one" in err


def test_hostile_names_are_only_text(make, results, capsys):
    make_board(make, upstreams=[(HOSTILE, 0.9), ("poor", 0.2)])
    for arguments in ((), ("--pairs",), (HOSTILE, "poor")):
        _, out, _ = run(capsys, "compare", *arguments, "--results", results)
        assert "\x1b" not in out and HOSTILE.split("\x1b")[0] in out
        _, out, _ = run(capsys, "compare", *arguments, "--results", results, "--format", "markdown")
        rows = [re.sub(r"\\.", "", line) for line in out.splitlines() if line.startswith("|")]
        assert rows and "\x1b" not in out and not any(re.search(r"[`<]|\]\(", line) for line in rows)
