"""Runs that differ in the seed stand together in studies/ablation_differences.py, each counting alike."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from commons.corridors.record import Record
from leaderboard.comparison.answers import Answer
from leaderboard.records.scoring import METRICS, pooled
from tests.leaderboard import cells

FILE = Path(__file__).resolve().parents[2] / "studies" / "ablation_differences.py"


@pytest.fixture(scope="module")
def study() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ablation_differences", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Board:
    """Answers of made-up upstreams: two speakers who say ten utterances of two classes each."""

    def __init__(self, results: Path) -> None:
        self.record = cells.make(results, table=cells.utterances(12, 2), depth=None, pooled=False, seeds=1)

    def answer(self, upstream: str, group: str | None, *right: tuple[int, int]) -> Answer:
        """Of each seed, how many of each class are right, for either speaker; `group`: of runs."""
        variant = upstream.partition("/")[2] or None
        own = {"variant": variant, "group_of_runs": group, "fingerprint": upstream}
        record = self.record.model_copy(
            update={
                "cell": self.record.cell.model_copy(update={"upstream": upstream}),
                "upstream": self.record.upstream.model_copy(update=own),
            }
        )
        counts = [[[[a, 10 - a], [10 - b, b]]] * 2 for a, b in right]
        return Answer(record, np.array(counts, np.float64), ["s0", "s1"])


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


def test_runs_of_one_recipe_are_one_system_in_which_each_run_counts_alike(study: ModuleType, board: Board) -> None:
    first = board.answer("emotion2vec:ems/random_1", "g", (8, 6))  # UA 70
    second = board.answer("emotion2vec:ems/random_2", "g", (5, 5), (9, 5))  # 50 and 70
    alone = board.answer("emotion2vec:ems/energy_1", "h", (10, 6))
    other = board.answer("fbank", None, (5, 5))
    made = study.systems([first, second, alone, other], ["fbank"])
    assert made == {"random": [first, second], "energy_1": [alone], "fbank": [other]}
    whole = study.together("random", made["random"])
    assert whole.upstream == "random" and pooled(whole.statistics, METRICS["UA"]).value == pytest.approx(65)
    assert study.row("random", made["random"]).startswith("| random | 65.0 ")
    assert study.row("random", made["random"]).endswith("| 60.0 to 70.0 |")


def test_groups_whose_names_begin_alike_are_all_kept(study: ModuleType, board: Board) -> None:
    runs = {name: board.answer(f"emotion2vec:ems/{name}", "g" if name[2] in "ab" else "h", (8, 6))
            for name in ("x_a", "x_b", "x_c", "x_d")}  # fmt: skip
    runs["x"] = board.answer("emotion2vec:ems/x", None, (8, 6))
    made = study.systems(list(runs.values()), [])
    assert made == {"x_a, x_b": [runs["x_a"], runs["x_b"]], "x_c, x_d": [runs["x_c"], runs["x_d"]], "x": [runs["x"]]}


def test_a_run_that_two_ablations_share_counts_once(study: ModuleType, board: Board) -> None:
    def record(ablation: str, run: str, task: str) -> Record:
        one = board.answer("", None, (5, 5)).record
        upstream = one.upstream.model_copy(update={"ablation": ablation, "fingerprint": run})
        return one.model_copy(update={"upstream": upstream, "cell": one.cell.model_copy(update={"task": task})})

    made = (("a", "1"), ("b", "1"), ("b", "2"), ("c", "3"))
    records = [record(*one, task) for one in made for task in ("emodb", "emovo")]
    for asked, runs in ((["a", "b"], "12"), (["a"], "1"), (["b", "c"], "123")):
        given = sorted((r.cell.task, r.upstream.fingerprint) for r in study.of_ablations(records, asked))
        assert given == [(task, run) for task in ("emodb", "emovo") for run in runs]
