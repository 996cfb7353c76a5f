"""Two people share a board: one sends an archive of a corpus with a closed licence, the other has the corpus."""

from __future__ import annotations

import leaderboard
import run_benchmark
from leaderboard.__main__ import main
from tests.tasks.layouts import emodb


def test_the_receivers_copy_gives_the_targets_back_and_proves_the_figures(tmp_path, capsys):
    data, mine, board, path = (tmp_path / name for name in ("data", "mine", "board", "cells.zip"))
    emodb(data)
    places = ["--data", str(data), "--cache", str(tmp_path / "cache")]
    asked = ["-u", "fbank", "-t", "emodb", "--jobs", "1"]
    assert run_benchmark.main([*asked, *places, "--results", str(mine)]) == 0
    assert main(["submit", "--results", str(mine), "--out", str(path), "--name", "Anna"]) == 0
    assert main(["merge", str(path), "--into", str(board), *places]) == 0
    records, _ = leaderboard.load(mine)
    sent = {(r.cell.upstream, r.cell.task): r.files.predictions.sha256 for r in records}
    merged, damage = leaderboard.load(board)
    assert {(r.cell.upstream, r.cell.task): r.files.predictions.sha256 for r in merged} == sent and damage == []
    assert {r.contributor for r in merged} == {"Anna"} and not [r for r in merged if "unverified" in r.marks]
    assert merged[0].run.processor, "records name the processor"
    (data / "EmoDB" / "wav" / "03a01Wa.wav").unlink()
    capsys.readouterr()
    assert main(["merge", str(path), "--into", str(tmp_path / "other"), *places]) == 0
    said = capsys.readouterr().out
    assert f"{len(merged)} cells brought" in said and "this copy has version" in said
    assert all("unverified" in r.marks for r in leaderboard.load(tmp_path / "other")[0])
