"""Which cells belong together: those that read the same features of the same audio, those of one training, and parts
with their late fusions.

A shard is some whole groups, dealt by estimated cost, so that nothing is extracted twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import downstreams
import upstreams
from cells.components import components
from cells.costs import Costs, Size
from cells.jobs import Cell, Extract, Job, Late, Measure, parts_of
from cells.shards import Shard
from commons import hashing

if TYPE_CHECKING:
    from cells.plan import Plan
    from downstreams.reader import Reader
    from upstreams import Identity

Resource = tuple[str, ...]  # what cells of one group share


def grouped(cells: Sequence[Cell], sizes: Mapping[str, Size]) -> list[list[Cell]]:
    """The cells, those that share a resource together; groups and cells in the order of `cells`."""
    return components(cells, lambda cell: _resources(cell, sizes))


def _resources(cell: Cell, sizes: Mapping[str, Size]) -> set[Resource]:
    if isinstance(cell, Late):
        return set().union(*(_of_upstream(part, cell.reader, cell.task, sizes) for part in cell.upstream.parts))
    if cell.upstream is None:
        return {("reference", cell.task)}
    # One training answers the clean cell and those of changed audio.
    return {("key", cell.training or cell.key), *_of_upstream(cell.upstream, cell.reader, cell.task, sizes)}


def _of_upstream(upstream: Identity, reader: Reader, task: str, sizes: Mapping[str, Size]) -> set[Resource]:
    needs = reader.needs - {"live"}
    if not needs:  # read-outs of one training
        return {("training", upstream.fingerprint, task, hashing.of_json(downstreams.of_training(reader)))}
    return {(source.fingerprint, sizes[task].corpus) for source, _ in upstreams.sources(upstream, needs)}


def dealt(cells: Sequence[Cell], sizes: Mapping[str, Size], count: int) -> list[list[Cell]]:
    """The cells in `count` shards of about the same cost, whole groups each; some may be empty.

    It depends on the request alone, and not on records that are there, so that every shard deals alike wherever and
    whenever it starts.
    """
    costs = Costs()
    weighed = []
    for number, group in enumerate(grouped(cells, sizes)):
        estimates = costs.of([*_extractions(group), *group], sizes)
        weighed.append((-sum(one.seconds for one in estimates.values()), number, group))
    shards: list[list[Cell]] = [[] for _ in range(count)]
    loads = [0.0] * count
    for cost, _, group in sorted(weighed, key=lambda one: one[:2]):
        lightest = loads.index(min(loads))
        loads[lightest] -= cost
        shards[lightest] += group
    return shards


def _extractions(group: Sequence[Cell]) -> list[Extract]:
    """The extractions that the cells of a group need, were nothing there."""
    wanted: dict[tuple[str, str], Extract] = {}
    for cell in group:
        if not isinstance(cell, Measure) or cell.upstream is None or not (needs := cell.reader.needs - {"live"}):
            continue
        for source, own in upstreams.sources(cell.upstream, needs):
            name = f"extract {source.named.record_name} {cell.task}"
            earlier = wanted.get((source.fingerprint, cell.task))
            kinds = own | earlier.needs if earlier else own
            wanted[source.fingerprint, cell.task] = Extract(name, cell.task, source, kinds, cell.setting)
    return list(wanted.values())


def _ids(job: Job) -> set[str]:
    """The ids of the cells that a job measures."""
    return {part.id for part in parts_of(job)}


def shard(plan: Plan, which: Shard) -> Plan:
    """The part of a plan that a shard does: its cells, and the extractions that they need."""
    own = dealt(plan.cells, plan.sizes, which.of)[which.number - 1]
    ids = {cell.id for cell in own}
    names = {cell.cell for cell in own}
    cells: list[Job] = [job for job in plan.jobs if _ids(job) & ids]
    needed = {before for job in cells for before in job.after} | ids
    jobs: list[Job] = []
    for job in plan.jobs:
        if job.id in needed or _ids(job) & ids:
            beside = tuple(one for one in job.beside if one in ids) if isinstance(job, Measure) else ()
            jobs.append(replace(job, beside=beside) if isinstance(job, Measure) else job)
    done = tuple(cell for cell in plan.done if cell in names)
    return replace(plan, jobs=tuple(jobs), done=done, cells=tuple(own))
