"""The points of UMAP pictures: utterances of a task in the spaces of several upstreams, from what records keep."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from commons.corridors.record import Record
from commons.errors import EmorepError
from leaderboard.errors import NoResult
from leaderboard.records import parquet
from leaderboard.records.comparable import groups, question
from leaderboard.records.files import path_of
from leaderboard.records.random_weights import is_of, together
from leaderboard.umap import LABELS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MOST = 4000  # points; UMAP searches neighbours exactly below 4,096, and a picture holds no more


@dataclass(frozen=True)
class Points:
    """Utterances of one task in the spaces of several upstreams.

    Attributes:
        records: a cell for each space, all of one head.
        fold: of the head's first-layer outputs; None for pooled features, which are the same in every fold.
        vectors: (N, D) float16 for each record.
        labels: indexed by utterance id, columns LABELS; None where unknown.
        total: utterances of which these N are a sample.
    """

    records: list[Record]
    fold: str | None
    vectors: list[np.ndarray]
    labels: pd.DataFrame
    total: int

    @property
    def space(self) -> str:
        head = self.records[0].cell.downstream
        return "pooled" if self.fold is None else f"first layer of {head}, fold {self.fold}"


def gather(
    results: Path, records: Sequence[Record], upstreams: Sequence[str], fold: str | None, seed: int, problems: list[str]
) -> Iterator[Points]:
    """The points of every task; of several heads, those of the one with most upstreams.

    Args:
        upstreams: panels in this order; empty: all, the best figure first.
        fold: None: pooled features. A fold's name: the head's first layer on its test utterances; "" is the fold
            that tests most.
        seed: of the sample where there are more than MOST utterances.
        problems: gets a line for every one of `upstreams` that a task lacks, and for a task whose files are damaged.

    Raises:
        UnknownName: a task has no such fold.
    """
    column = "pooled" if fold is None else "output"
    asked: dict[tuple[object, ...], list[list[Record]]] = {}
    for measured, _ in groups(records):
        if measured[0].task.classes:  # a silhouette of values is not defined
            asked.setdefault(question(measured[0]), []).append(measured)
    for heads in asked.values():
        try:
            points = _points(results, heads, upstreams, column, fold, seed, problems)
        except NoResult:
            raise
        except EmorepError as error:
            problems.append(str(error))
        else:
            if points:
                yield points


def _lacking(upstream: str, task: str, column: str, head: str | None) -> str:
    """What is missing, and the command that computes it; `head`: one that kept it of other upstreams."""
    what = "pooled features" if column == "pooled" else "a head's first layer"
    lacks = f"{task}: no {what} of {upstream} in these results"
    if head is None:
        return f"{lacks}, nor of another upstream: run a head that keeps them (docs/heads.md)"
    remedy = f"run_benchmark.py -u {shlex.quote(upstream)} -t {shlex.quote(task)} -d {shlex.quote(head)}"
    return f"{lacks}; `{remedy}` computes them"


def _draw(record: Record) -> int:
    """The seed of random weights: of several draws the first is drawn."""
    return record.upstream.draw or 0


def _path(results: Path, record: Record) -> Path:
    return path_of(results, record.cell.upstream, record.cell.task, record.cell.downstream)


def _points(
    results: Path, heads: list[list[Record]], upstreams: Sequence[str], column: str, fold: str | None, seed: int,
    problems: list[str],
) -> Points | None:  # fmt: skip
    import pandas as pd

    def holds(record: Record) -> bool:
        try:
            return parquet.holds(_path(results, record), record, column)
        except EmorepError as error:
            problems.append(str(error))
            return False

    firsts = ([own[0] for own in together((r, r) for r in sorted(head, key=_draw))] for head in heads)
    records = max(([record for record in head if holds(record)] for head in firsts), key=len)
    for name in upstreams:
        if not any(is_of(record, [name]) for record in records):
            head = records[0].cell.downstream if records else None
            problems.append(_lacking(name, heads[0][0].cell.task, column, head))
    if not records:
        return None
    if upstreams:
        records.sort(key=lambda record: next(i for i, name in enumerate(upstreams) if is_of(record, [name])))
    table = parquet.read(_path(results, records[0]), records[0])
    table = table[table["seed"] == table["seed"].min()].astype({"id": str, "fold": str})
    if fold is not None:
        sizes = table["fold"].value_counts()
        if fold and fold not in sizes:
            raise NoResult("fold", fold, sizes.index)
        fold = fold or min(sizes.index[sizes == sizes.max()])
        table = table[table["fold"] == fold]
    labels = table.rename(columns={"target": "emotion"}).drop_duplicates("id").set_index("id").sort_index()
    labels = labels.reindex(columns=list(LABELS)).astype(object)
    labels = labels.map(lambda value: None if pd.isna(value) else str(value))
    kept = labels.iloc[sample(labels["emotion"].to_numpy(), MOST, seed)]
    vectors = [parquet.vectors(_path(results, r), r, column, kept.index, fold) for r in records]
    return Points(records, fold, vectors, kept, len(labels))


def sample(labels: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Ascending positions of at most `most` of N labels, every label in its share (to within one)."""
    import numpy as np

    n = len(labels)
    if n <= most:
        return np.arange(n)
    shuffled = np.lexsort((np.random.default_rng(seed).random(n), labels.astype(str)))
    return np.sort(shuffled[np.linspace(0, n - 1, most).round().astype(int)])
