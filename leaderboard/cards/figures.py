"""The figures of a card: scores with ranks, layers, derived tasks, groups and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from commons.corridors.record import REFERENCE, Record
from leaderboard.cards.model import Given, Section
from leaderboard.comparison.answers import answers
from leaderboard.comparison.standings import Standing, significant_pairs, standing
from leaderboard.records.comparable import question
from leaderboard.records.random_weights import averaged, is_of
from leaderboard.tables.calibration import by_calibration
from leaderboard.tables.groups import by_group
from leaderboard.tables.model import Cell, Table, figure
from leaderboard.tables.views import of_record
from leaderboard.text import NONE, plural


@dataclass(frozen=True)
class Kinds:
    """Derived tasks that a section shows.

    Attributes:
        kinds: kinds of derived tasks.
        wanted: names of the tasks that a whole card has, `{task}` being a task; each with what it asks.
    """

    kinds: tuple[str, ...]
    wanted: tuple[tuple[str, str], ...]


TRANSFER = Kinds(
    ("transfer", "transfer-standardised", "across-languages"),
    (("across-languages:here,{task}", "training on corpora in other languages"),),
)
FEW = Kinds(("shots",), (("shots:{task},1 shots:{task},4 shots:{task},16", "training on few labels"),))
ROBUST = Kinds(("perturbed",), (("card:{task}", "changed recordings (perturbed: tasks)"),))
ANNOTATORS = Kinds(("votes",), (("votes:{task}", "agreement with single annotators, where the corpus has votes"),))
ELSE = Kinds(
    ("speaker", "gender", "sentence"),
    (("speaker:{task}", "the speaker"), ("gender:{task}", "the gender"), ("sentence:{task}", "the sentence")),
)


def scores(given: Given) -> Section:
    """Every task's headline figure with its interval, its possible ranks, and reference rows beside it."""
    used = [r for r in averaged(given.own) if r.cell.task in given.tasks]
    places = _places(given)
    cells: dict[tuple[str, str], Cell] = {}
    floors: list[str] = []
    for record in used:
        row, metric = f"{record.cell.task} · {record.cell.downstream}", record.task.headline
        cells[row, "metric"] = Cell(text=metric)
        cells[row, "figure"] = of_record(record, metric, tuple(record.marks))
        cells[row, "chance"] = Cell(text=figure(100 / len(record.task.classes), "UA") if metric == "UA" else NONE)
        cells[row, "ranks"] = Cell(text=_rank(places.get((*question(record), record.cell.downstream)), given.upstream))
        cells[row, "tested"] = Cell(text=plural(record.scores.counts.groups, record.task.group_by))
        for floor in given.everyone:
            if floor.cell.downstream == REFERENCE and question(floor) == question(record):
                cells[row, floor.cell.upstream] = of_record(floor, metric)
                floors.append(floor.cell.upstream)
    rows = list(dict.fromkeys(row for row, _ in cells))
    columns = ["metric", "figure", "ranks", "tested", "chance", *sorted(set(floors))]
    lines = [
        "figures pooled over folds, with 95 % intervals over groups; ranks: those that the tests over groups allow"
    ]
    return Section("Scores", lines, [Table("scores", [], rows, columns, cells, corner="task · head")], used)


def _places(given: Given) -> dict[tuple[object, ...], Standing]:
    """The standing of every question and head on which the upstream was measured."""
    asked = {(*question(r), r.cell.downstream) for r in given.own if r.cell.task in given.tasks}
    wanted = [r for r in given.everyone if (*question(r), r.cell.downstream) in asked]
    parts, problems = answers(given.results, wanted)
    given.problems.extend(problems)
    return {(*question(p[0].record), p[0].record.cell.downstream): standing(p) for p in parts}


def _rank(place: Standing | None, upstream: str) -> str:
    """`1-3 of 7`; where no two upstreams differ significantly, that."""
    if place is None or len(place.answers) < 2:
        return "alone"
    if not significant_pairs(place.pairs):
        return f"no difference among {len(place.answers)}"
    at = next(i for i, a in enumerate(place.answers) if is_of(a.record, [upstream]))
    first, last = place.ranks[at], place.last[at]
    return f"{first if first == last else f'{first}-{last}'} of {len(place.answers)}"


def layers(given: Given) -> Section:
    """The headline figure of every layer on every task, and the layer that most folds chose."""
    used = [r for r in averaged(given.own) if r.cell.task in given.tasks and r.scores.by_layer]
    if not used:
        return Section("Layers", missing=[("figures of every layer", given.command(*given.tasks, more="-d probe"))])
    deep = [r for r in used if len(r.scores.by_layer or ()) > 1]
    if not deep:
        return Section("Layers", ["it has one layer"], records=used)
    cells: dict[tuple[str, str], Cell] = {}
    for record in deep:
        row = f"{record.cell.task} · {record.cell.downstream}"
        for layer, value in enumerate(record.scores.by_layer or ()):
            cells[row, str(layer)] = Cell(value, metric=record.task.headline)
        cells[row, "chosen"] = Cell(text=NONE if record.chosen.layer is None else str(record.chosen.layer))
    rows = list(dict.fromkeys(row for row, _ in cells))
    numbers = sorted({int(column) for _, column in cells if column != "chosen"})
    lines = [
        "headline figure on test had every fold taken that layer; chosen: by most folds, on training speakers alone"
    ]
    table = Table("layers", [], rows, ["chosen", *map(str, numbers)], cells, corner="task · head")
    return Section("Layers", lines, [table], deep)


def of_kinds(given: Given, title: str, kinds: Kinds) -> Section:
    """Figures of derived tasks, and which of those that a whole card has are missing."""
    used = [r for r in averaged(given.own) if r.task.derived in kinds.kinds]
    cells: dict[tuple[str, str], Cell] = {}
    for record in used:
        row, metric = f"{record.cell.task} · {record.cell.downstream}", record.task.headline
        cells[row, "metric"] = Cell(text=metric)
        cells[row, "figure"] = of_record(record, metric, tuple(record.marks))
        cells[row, "chance"] = Cell(text=figure(100 / len(record.task.classes), "UA") if metric == "UA" else NONE)
        if beside := _undisturbed(given, record):
            cells[row, "on its own folds"] = of_record(beside, metric)
    rows = list(dict.fromkeys(row for row, _ in cells))
    columns = [c for c in ("metric", "figure", "on its own folds", "chance") if any(column == c for _, column in cells)]
    tables = [Table(title.lower(), [], rows, columns, cells, corner="task · head")] if rows else []
    return Section(title, [], tables, used, _lacking(given, kinds, used))


def _undisturbed(given: Given, record: Record) -> Record | None:
    """The same upstream and head on the task that a derived one is made of, where both ask for the same classes."""
    return next(
        (r for r in given.own if r.cell.task == record.task.base and r.cell.downstream == record.cell.downstream
         and r.task.headline == record.task.headline and set(r.task.classes) == set(record.task.classes)),
        None,
    )  # fmt: skip


def _lacking(given: Given, kinds: Kinds, used: Sequence[Record]) -> list[tuple[str, str]]:
    """What a whole card has of every task and these records lack, each with its command."""
    missing = []
    for form, words in kinds.wanted:
        kind = form.partition(":")[0]
        of = kinds.kinds if kind == "card" or kind in TRANSFER.kinds else (kind,)
        for task in given.tasks:
            if not any(r.task.derived in of and r.task.base == task for r in used):
                missing.append((f"{task}: {words}", given.command(*form.format(task=task).split())))
    return missing


def groups(given: Given) -> Section:
    """UA by gender, language ..., and how speakers fare."""
    used = [r for r in given.own if r.cell.task in given.tasks]
    tables, problems = by_group(given.results, used)
    shown = [table for table in tables if " · UA by " in table.title or table.title.endswith("speakers")]
    return Section("Groups", problems, shown, used)


def calibration(given: Given) -> Section:
    """Brier, log loss and the like, as given and after all corrections."""
    used = [r for r in given.own if r.cell.task in given.tasks and r.task.classes]
    tables, problems = by_calibration(given.results, used)
    kept = [table for table in tables if not table.title.endswith("calibration, prior")]
    commands = []
    for line in problems:
        words, again, command = line.partition("to measure it again: ")
        commands += [(words.rstrip("; "), command)] if again else []
    rest = [line for line in problems if "to measure it again: " not in line]
    return Section("Calibration", rest, [replace(table, notes=[]) for table in kept], used, commands)
