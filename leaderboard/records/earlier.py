"""Records of earlier versions: fields that were added later are filled with what the names say.

This is the only module that takes facts from names. Records that are written now hold them.
"""

from __future__ import annotations

import re

from commons.corridors.record import INTERVALS, Cell, Downstream, Record, Task, Upstream
from commons.marks import IMPORTED, OLD_INTERVALS, ONE_SEED

TRANSFERS = ("transfer", "transfer-standardised", "across-languages")
OPTIONS = ("shots", "labels")  # kinds whose last argument is no task
DERIVED = ("gender", "sentence", "speaker", *OPTIONS, *TRANSFERS)
VARIANT = re.compile(r"(?P<base>emotion2vec):(?P<ablation>.+)/(?P<variant>[^/]+)")
# After the step comes `.safetensors`, and a hash that may be digits as well.
CHECKPOINT = re.compile(r"(?P<run>emotion2vec@.*?)step-(?P<step>\d+)[^/]*")
# Tasks of ours that ask for something else than emotion, which records did not tell.
ASKS = {r"\w+_intensity": "intensity", r"\w+_next": "next turn", r"meld3|(meld|mosei|mosi)_binary": "polarity"}
RANDOM = re.compile(r"random:(?P<base>[^@+#]+)(?:@(?P<draw>\d+))?")  # of a fusion, the record says it


def completed(record: Record) -> Record:
    """The record with all fields that were added since it was written, marked where its intervals are of an earlier
    formula or a head that draws has one seed; a later record as it is."""
    lacking = {OLD_INTERVALS} if record.scores.intervals < INTERVALS else set()
    lacking |= {ONE_SEED} if is_of_one_seed(record.cell, record.downstream) else set()
    if lacking - {*record.marks}:
        record = record.model_copy(update={"marks": sorted({*record.marks, *lacking})})
    random = None if IMPORTED in record.marks else RANDOM.fullmatch(record.upstream.name)
    if record.upstream.draw is None and random:
        drawn = record.upstream.model_copy(update={"draw": int(random["draw"] or 0)})
        record = record.model_copy(update={"upstream": drawn})
    if record.task.aspect is not None:
        return record.model_copy(update={"task": asking(record.task)})
    update = {"task": derivation(record.task), "upstream": lineage(record.upstream)}
    return record.model_copy(update=update)


def is_of_one_seed(cell: Cell, downstream: Downstream) -> bool:
    """Whether a head that draws was trained with one seed alone."""
    return len(cell.seeds) == 1 and not downstream.deterministic


def derivation(task: Task) -> Task:
    """The task with `derived aspect base sources shots` as its name has them.

    Which corpora it trained on is not in a name: `source_corpora` stays empty.
    """
    kind, _, arguments = task.name.partition(":")
    if kind not in DERIVED or not arguments:
        return asking(task.model_copy(update={"aspect": ""}))
    update: dict[str, object] = {"derived": kind, "aspect": kind, "base": arguments}
    if kind in TRANSFERS and "," in arguments:
        source, _, target = arguments.partition(",")
        update |= {"base": target.strip(), "sources": [source.strip()]}
    if kind in OPTIONS:
        base, _, option = arguments.rpartition(",")
        update |= {"base": base, "aspect": f"{kind} {'+'.join(sorted(part.strip() for part in option.split('+')))}"}
        if kind == "shots" and option.strip().isdigit():
            update["shots"] = int(option)
    return task.model_copy(update=update)


def asking(task: Task) -> Task:
    """The task with its aspect as its name has it, where it is a task of ours and says none."""
    if task.aspect or task.derived:
        return task
    said = [aspect for asks, aspect in ASKS.items() if re.fullmatch(asks, task.name)]
    return task.model_copy(update={"aspect": said[0]}) if said else task


def lineage(upstream: Upstream) -> Upstream:
    """The upstream with `base ablation variant run step` as its name has them: a variant of ours, a checkpoint of a
    run, a random twin."""
    update: dict[str, object] = {}
    if match := VARIANT.fullmatch(upstream.name):
        update = dict(match.groupdict())
    elif match := CHECKPOINT.fullmatch(upstream.name):
        base = upstream.name.partition("@")[0]
        update = {"base": base, "run": match["run"].rstrip("@/"), "step": int(match["step"])}
    elif match := RANDOM.fullmatch(upstream.name):
        update = {"base": match["base"]}
    return upstream.model_copy(update=update)
