"""The figures of a card: scores with ranks, layers, groups and calibration."""

from __future__ import annotations

from collections.abc import Sequence

from commons.corridors.record import REFERENCE, Record
from leaderboard.cards.model import Given, Section
from leaderboard.comparison.answers import answers
from leaderboard.comparison.standings import Standing, significant_pairs, standing
from leaderboard.records.comparable import question, unit
from leaderboard.records.display_names import shown
from leaderboard.records.random_weights import averaged, is_of
from leaderboard.tables.calibration import by_calibration
from leaderboard.tables.groups import AGAINST, by_group
from leaderboard.tables.model import Cell, Table
from leaderboard.tables.views import guessed, of_record
from leaderboard.text import NONE, plural
from leaderboard.trust.variants import GIVEN, PRIOR


def scores(given: Given) -> Section:
    """Every task's headline figure with its interval, its possible ranks, and reference rows beside it."""
    used = [r for r in averaged(given.own) if r.cell.task in given.tasks]
    places = _places(given)
    cells: dict[tuple[str, str], Cell] = {}
    floors: list[Record] = []
    for record in used:
        row, metric = f"{record.cell.task} · {record.cell.downstream}", record.task.headline
        cells[row, "metric"] = Cell(text=metric)
        cells[row, "figure"] = of_record(record, metric, tuple(record.marks))
        cells[row, "chance"] = Cell(text=guessed(record.task) if metric == "UA" else NONE)
        cells[row, "ranks"] = Cell(text=_rank(places.get((*question(record), record.cell.downstream)), given.upstream))
        cells[row, "tested"] = Cell(text=plural(record.scores.counts.groups, unit(record)))
        for floor in given.everyone:
            if floor.cell.downstream == REFERENCE and question(floor) == question(record):
                cells[row, floor.cell.upstream] = of_record(floor, metric)
                floors.append(floor)
    rows = list(dict.fromkeys(row for row, _ in cells))
    columns = ["metric", "figure", "ranks", "tested", "chance", *sorted({floor.cell.upstream for floor in floors})]
    lines = [
        "figures pooled over folds, with 95 % intervals over groups; ranks: those that the tests over groups allow"
    ]
    said = {r.cell.downstream: r.downstream.interpretation for r in used if r.downstream.interpretation}
    lines += [f"{head}: {words}" for head, words in said.items()]
    everyone = [answer.record for place in places.values() for answer in place.answers]
    beside = [record for record in everyone if not is_of(record, [given.upstream])]
    if beside:
        lines.append(
            f"ranked with {', '.join(sorted({shown(record) for record in beside}))}, where these were measured"
        )
    table = Table("scores", [], rows, columns, cells, corner="task · head")
    return Section("Scores", lines, [table], [*given.of_tasks, *floors, *beside])


def _places(given: Given) -> dict[tuple[object, ...], Standing]:
    """The standing of every question and head on which the upstream was measured."""
    asked = {(*question(r), r.cell.downstream) for r in given.own if r.cell.task in given.tasks}
    wanted = [r for r in given.everyone if (*question(r), r.cell.downstream) in asked]
    parts, problems = answers(given.results, wanted)
    given.problems.extend(problems)
    return {(*question(p[0].record), p[0].record.cell.downstream): standing(p) for p in parts}


def _rank(place: Standing | None, upstream: str) -> str:
    """`1-3 of 7`; where no two upstreams differ significantly, that."""
    at = next((i for i, a in enumerate(place.answers) if is_of(a.record, [upstream])), None) if place else None
    if place and at is None:
        return "not ranked"  # its predictions cannot be used, or could not be proved
    if place is None or at is None or len(place.answers) < 2:
        return "alone"
    if not significant_pairs(place.pairs):
        return f"no difference among {len(place.answers)}"
    first, last = place.ranks[at], place.last[at]
    return f"{first if first == last else f'{first}-{last}'} of {len(place.answers)}"


def layers(given: Given) -> Section:
    """The headline figure of every layer on every task, and the layer that most folds chose."""
    used = [r for r in averaged(given.own) if r.cell.task in given.tasks and r.scores.by_layer]
    if not used:
        return Section("Layers", missing=[("figures of every layer", given.command(*given.tasks, more="-d probe"))])
    deep = [r for r in used if len(r.scores.by_layer or ()) > 1]
    if not deep:
        return Section("Layers", ["it has one layer"], records=given.of_tasks)
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
    return Section("Layers", lines, [table], given.of_tasks)


def groups(given: Given) -> Section:
    """UA by gender, language ..., and how speakers fare, a row a task, head and column."""
    used = [r for r in given.own if r.cell.task in given.tasks]
    tables, problems = by_group(given.results, used)
    columns: dict[tuple[str, str], Cell] = {}
    for table in tables:
        if " · UA by " in table.title:
            row, levels = table.title.replace(" · UA by ", " · "), [c for c in table.columns if c != AGAINST]
            columns[row, "UA of each"] = Cell(text="; ".join(f"{c} {table.texts(c)[0]}" for c in levels) or NONE)
            columns[row, AGAINST] = table.cell(table.rows[0], AGAINST)
            columns[row, "of guesses"] = Cell(text=table.notes[0].rpartition(": ")[2])
    speakers = [table for table in tables if table.title.endswith("speakers")]
    made = [_rows("groups", columns, "task · head · groups"), _joined("speakers", speakers, " · speakers")]
    lines = [
        f"UA of every group; {AGAINST}, in points; of guesses: the greatest gap of 1,000 models that guess, on groups "
        "of these sizes",
        *problems,
    ]
    return Section("Groups", lines, [table for table in made if table.rows], used)


def calibration(given: Given) -> Section:
    """Brier, log loss and the like, as given and after all corrections, a row each."""
    used = [r for r in given.own if r.cell.task in given.tasks and r.task.classes]
    tables, problems = by_calibration(given.results, used)
    kept = [table for table in tables if not table.title.endswith(f"calibration, {PRIOR}")]
    made = _joined("calibration", kept, " calibration,")
    names = {table.title.partition(" · calibration, ")[0]: table.title.partition(", ")[2] for table in tables}
    lacking = [row.split(" · ") for row, last in names.items() if last == GIVEN]  # no correction came after it
    commands = []
    for head in sorted({head for _, head in lacking}):
        asked = [task for task, own in lacking if own == head]
        words = f"corrected probabilities, since nothing held out was kept ({', '.join(asked)}; {head})"
        commands.append((words, given.command(*asked, more=f"-d {head} --force")))
    lines = [
        "ECE in 10 bins of equal mass, percent; in brackets that of a calibrated system with these confidences; "
        "corrections are made from held-out training utterances, never from test",
        *problems,
    ]
    return Section("Calibration", lines, [made] if made.rows else [], used, commands)


def _joined(title: str, tables: Sequence[Table], left_out: str) -> Table:
    """Tables of one row each as one table; `left_out` of their titles, the rest names the rows."""
    cells = {
        (table.title.replace(left_out, ""), column): table.cell(table.rows[0], column)
        for table in tables
        for column in table.columns
    }
    return _rows(title, cells, "task · head")


def _rows(title: str, cells: dict[tuple[str, str], Cell], corner: str) -> Table:
    """A table of cells, rows and columns in the order in which they first occur."""
    rows, columns = (list(dict.fromkeys(keys)) for keys in ([r for r, _ in cells], [c for _, c in cells]))
    return Table(title, [], rows, columns, cells, corner=corner)
