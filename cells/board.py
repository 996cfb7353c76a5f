"""The results of a request: outcomes as jobs end, then the tables."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import leaderboard
from cells import ablation
from cells.jobs import Measure
from commons.progress import log

if TYPE_CHECKING:
    from cells.jobs import CellName, Outcome
    from cells.plan import Plan
    from cells.request import Request


class Board:
    """Gathers the outcomes of a plan's jobs."""

    def __init__(self, request: Request, plan: Plan) -> None:
        self._request = request
        self._cells: list[CellName] = list(plan.done)
        self._again: dict[CellName, tuple[str, ...]] = {}
        self._failed: list[Outcome] = []
        self._together = {job.id: job.together for job in plan.jobs if isinstance(job, Measure) and job.together}
        for outcome in plan.failed:
            self.add(outcome)

    def add(self, outcome: Outcome) -> None:
        """Store an outcome, and print a line on each of its cells where there is no progress bar."""
        if outcome.failure:  # a job that failed measured none of its cells
            several = [replace(outcome, cell=part.cell) for part in self._together.get(outcome.job, ())] or [outcome]
        else:
            several = [outcome, *outcome.also]
        for one in several:
            self._add(one)

    def _add(self, outcome: Outcome) -> None:
        cell = outcome.cell
        if cell is None or (outcome.skipped and not outcome.failure):
            return
        if outcome.failure:
            self._failed.append(outcome)
        else:
            self._cells.append(cell)
        if outcome.differs is not None:
            self._again[cell] = outcome.differs
        log([part for part in cell if part],
            "failed" if outcome.failure else "done" if outcome.differs is None else "done again")  # fmt: skip

    def show(self, absent: Mapping[str, str]) -> int:
        """Print the tables and write the CSV; returns 1 where a cell or the training of a variant
        failed, or a cell differs, else 0.

        Args:
            absent: variants of the ablation that were not trained, and why.
        """
        records = [record for cell in self._cells if (record := leaderboard.find(self._request.results, *cell))]
        failures = [(*outcome.cell, outcome.failure) for outcome in self._failed if outcome.cell]
        leaderboard.show(records, failures=failures, matrix=True)
        differing = {cell: differs for cell, differs in self._again.items() if differs}
        for cell, differs in differing.items():
            print("\n  ".join([f"differs: {' · '.join(cell)}", *differs]), file=sys.stderr)
        if self._request.rerun:
            same = len(self._again) - len(differing)
            print(f"{len(self._again)} cells done again: {same} the same, {len(differing)} differ.")
        if self._request.ablation:
            print(*ablation.show(self._request, records, dict(absent)), sep="\n")
        if records:
            write_csv(self._request)
        return 1 if failures or differing or ablation.failed(self._request, absent) else 0


def write_csv(request: Request) -> None:
    """Write the CSV of all records, and print its path."""
    print(f"results: {leaderboard.csv(request.results)}", file=sys.stderr)
