"""The spread between pre-training runs that differ in the seed alone, as rows of a table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile

from commons.corridors.record import Record
from leaderboard.tables.model import Cell, Table, figure
from leaderboard.text import plural

EXPLAINED = (
    "rows of several seeds: mean ± standard deviation over pre-training runs of one recipe, and the least and largest; "
    "intervals of single runs are over groups and know nothing of it"
)


def groups_of_runs(records: Sequence[Record]) -> list[list[str]]:
    """Upstreams whose pre-training differs in the seed alone, a list for each group of two runs or more.

    Of one run that has several names, the first counts.
    """
    groups: dict[str, dict[str, str]] = {}
    for record in records:
        if group := record.upstream.group_of_runs:
            weights = record.upstream.fingerprint or record.cell.upstream
            groups.setdefault(group, {}).setdefault(weights, record.cell.upstream)
    return [list(runs.values()) for runs in groups.values() if len(runs) > 1]


def with_spread(table: Table, groups: Sequence[Sequence[str]], row_of: Mapping[str, str] | None = None) -> Table:
    """The table with a row for each group of runs: of every column mean, deviation, least and largest figure.

    Args:
        groups: upstreams, as `groups_of_runs` returns them.
        row_of: upstream -> its row; None: rows are called as upstreams.
    """
    cells, names, rows = dict(table.cells), dict(table.names), []
    shown = [[row for one in group if (row := (row_of or {}).get(one, one)) in table.rows] for group in groups]
    several = [own for own in shown if len(own) > 1]
    called = common_names([[table.name(row) for row in own] for own in several])
    for own, name in zip(several, called, strict=True):
        row = f"runs: {' '.join(own)}"
        rows.append(row)
        names[row] = f"{name}: {plural(len(own), 'seed')}"
        for column in table.columns:
            if cell := _spread([table.cell(one, column) for one in own]):
                cells[row, column] = cell
    if not rows:
        return table
    return replace(
        table, rows=[*table.rows, *rows], cells=cells, names=names, notes=[*table.notes, EXPLAINED],
    )  # fmt: skip


def _spread(several: Sequence[Cell]) -> Cell | None:
    """`43.2 ± 1.1 (41.9 to 44.1)` of the figures of several runs; None where fewer than two have one."""
    metric = next((cell.metric for cell in several if cell.metric), None)
    values = [cell.value for cell in several if cell.value is not None and cell.metric == metric]
    if metric is None or len(values) < 2:
        return None
    spread = (statistics.fmean(values), statistics.stdev(values), min(values), max(values))
    mean, std, least, largest = (figure(value, metric) for value in spread)
    lacking = f", {len(values)} runs" if len(values) < len(several) else ""
    return Cell(text=f"{mean} ± {std} ({least} to {largest}{lacking})")


def common_names(groups: Sequence[Sequence[str]]) -> list[str]:
    """What the runs of each group are called together: how all their names begin; all names where that is nothing, or
    where those of another group begin so too.

    >>> common_names([["mask_1", "mask_2"], ["a_x", "a_y"], ["a"]])
    ['mask', 'a_x, a_y', 'a']
    """
    begin = [_beginning(names) for names in groups]
    return [
        name if name and begin.count(name) == 1 else ", ".join(names) for name, names in zip(begin, groups, strict=True)
    ]


def _beginning(names: Sequence[str]) -> str:
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in alike).rstrip("_-.:/@ ")
