"""Seeds of a cell are done one by one: what a run has done when it is killed stays done."""

import json

import pytest

import downstreams
import leaderboard
import run_benchmark
from commons import journals

CELL = ("mfcc", "demo", "superb")


@pytest.fixture
def command(tmp_path, tmp_path_factory, monkeypatch):
    """Runs the command in this process; returns (exit status, the seeds of every training, the record)."""
    monkeypatch.setenv("EMOREP_RUNS", str(tmp_path / "runs"))
    cache = tmp_path / "cache"

    def run(seeds, results="results", killed_at=None, *options):
        trained = []
        evaluate = downstreams.evaluate

        def watched(name, features, problem, seeds, *rest):
            if killed_at in seeds:
                raise KeyboardInterrupt
            trained.append(seeds)
            return evaluate(name, features, problem, seeds, *rest)

        with monkeypatch.context() as patched:
            patched.setattr(downstreams, "evaluate", watched)
            status = run_benchmark.main(
                ["-u", "mfcc", "-t", "demo", "-d", "superb", "--limit", "64", "--seeds", str(seeds), "--jobs", "1",
                 "--cache", str(cache), "--results", str(tmp_path / results), *options]
            )  # fmt: skip
        return status, trained, leaderboard.find(tmp_path / results / "limited", *CELL, verify=True)

    run.folder = tmp_path / "results" / "limited"
    return run


def scorings(folder):
    lines = map(json.loads, journals.lines(folder / "scored", ".jsonl"))
    return [line["seeds"] for line in lines if line["downstream"] == "superb"]


def test_a_kill_between_seeds_costs_none_that_is_done(command):
    status, trained, record = command(3, killed_at=2)
    assert (status, trained, record.cell.seeds) == (130, [[0], [1]], [0, 1])
    status, trained, record = command(3)
    assert (status, trained) == (0, [[2]])
    assert scorings(command.folder) == [[0, 1], [0, 1, 2]]
    # --force trains all of them at once.
    status, trained, at_once = command(3, "at once", None, "--force")
    assert (status, trained) == (0, [[0, 1, 2]])
    for part in ("cell", "scores", "chosen", "marks", "files"):
        assert getattr(record, part) == getattr(at_once, part)


def test_a_label_is_recorded_and_decides_nothing(command, monkeypatch):
    from upstreams.spectral import Mfcc

    plain = command(1)[2]
    monkeypatch.setattr(Mfcc, "label", "MFCC (ours)", raising=False)
    status, trained, record = command(1)
    assert (status, trained) == (0, []) and record == plain, "the cell is done, whatever it is called"
    labelled = command(1, "elsewhere")[2]
    assert (plain.upstream.label, labelled.upstream.label) == (None, "MFCC (ours)")
    assert labelled.cell.key == plain.cell.key and labelled.cell.upstream == "mfcc"


def test_a_forced_cell_keeps_its_seeds_until_all_are_done_again(command):
    command(2)
    status, trained, record = command(2, "results", 1, "--force")
    assert (status, trained, record.cell.seeds) == (130, [], [0, 1])


def test_a_changed_byte_is_seen_before_seeds_are_added(command, capsys):
    _, _, record = command(1)
    path = next(command.folder.rglob(record.files.predictions.name))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    status, trained, record = command(2)
    assert (status, trained, record.cell.seeds) == (0, [[0], [1]], [0, 1])
    assert "its sha256 is not the recorded one" in capsys.readouterr().err
