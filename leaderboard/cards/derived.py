"""Sections of a card on derived tasks: transfer, few labels, changed recordings, votes, what else features tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from commons.corridors.record import Record
from commons.errors import EmorepError
from commons.perturbations import SUITES, Perturbation, joined
from leaderboard.cards.model import Given, Section
from leaderboard.records import parquet
from leaderboard.records.changed_audio import change_of, members
from leaderboard.records.random_weights import averaged
from leaderboard.tables import transfers
from leaderboard.tables.model import Cell, Table
from leaderboard.tables.robustness import by_robustness
from leaderboard.tables.views import guessed, of_record
from leaderboard.text import NONE
from leaderboard.trust.systems import where

ITSELF = "without it"  # the same task with all labels and its own training part


@dataclass(frozen=True)
class Wanted:
    """Tasks that a whole card has, made of each of its tasks.

    Attributes:
        names: of these tasks, `{task}` being the task that they are made of.
        words: what they ask.
        asks: kinds of tasks that they can be made of.
        column: what a corpus must tell more than one value of; empty: nothing.
    """

    names: tuple[str, ...]
    words: str
    asks: tuple[str, ...] = ("classification",)
    column: str = ""


@dataclass(frozen=True)
class Kinds:
    """Derived tasks that a section shows.

    Attributes:
        kinds: kinds of derived tasks.
        wanted: what a whole card has of them; where `any_does`, one task of these kinds stands for all.
        corpora: those that can have them; empty: all.
    """

    kinds: tuple[str, ...]
    wanted: tuple[Wanted, ...]
    corpora: tuple[str, ...] = ()
    any_does: bool = False


ROBUST = (
    "the audio of test is changed, that of training is not; change: less the figure on clean audio, by the same "
    "training and paired; unchanged: share of predictions that stay",
    "area: mean figure from 0 to 30 dB of noise as a share of the clean one; 95 % intervals over groups",
)
CONTROL = ("classification", "conversation")
TRANSFER = Kinds(
    ("transfer", "transfer-standardised", "across-languages"),
    (Wanted(("across-languages:here,{task}",), "training on corpora in other languages"),),
    any_does=True,
)
FEW = Kinds(("shots",), (Wanted(tuple(f"shots:{{task}},{k}" for k in (1, 4, 16)), "training on few labels"),))
ANNOTATORS = Kinds(
    ("votes",), (Wanted(("votes:{task}",), "votes of single annotators"),), ("cremad", "iemocap", "msp_podcast")
)
ELSE = Kinds(
    ("speaker", "gender", "sentence"),
    (
        Wanted(("speaker:{task}",), "the speaker"),
        Wanted(("gender:{task}",), "the gender", CONTROL, "gender"),
        Wanted(("sentence:{task}",), "the sentence", CONTROL, "sentence"),
    ),
)


def of_kinds(given: Given, title: str, kinds: Kinds) -> Section:
    """Figures of derived tasks, and which of those that a whole card has are missing."""
    used = [r for r in averaged(given.own) if r.task.derived in kinds.kinds]
    sources = list[Record]()
    used.sort(key=lambda r: (r.task.base or "", r.task.derived or "", r.task.shots or 0, r.cell.task))
    cells: dict[tuple[str, str], Cell] = {}
    for record in used:
        row, metric = f"{record.cell.task} · {record.cell.downstream}", record.task.headline
        cells[row, "metric"] = Cell(text=metric)
        cells[row, "figure"] = of_record(record, metric, tuple(record.marks))
        cells[row, "chance"] = Cell(text=guessed(record.task) if metric == "UA" else NONE)
        if beside := _undisturbed(given, record):
            cells[row, ITSELF] = of_record(beside, metric)
            sources.append(beside)
    rows = list(dict.fromkeys(row for row, _ in cells))
    columns = [c for c in ("metric", "figure", ITSELF, "chance") if any(column == c for _, column in cells)]
    tables = [Table(title.lower(), [], rows, columns, cells, corner="task · head")] if rows else []
    missing = _lacking(given, kinds, used)
    lines = [] if tables or missing else ["no corpus of this card is known here to have them"]
    if any(column == ITSELF for _, column in cells):
        lines.append(f"{ITSELF}: the same classes with all labels and the corpus's own training part")
    return Section(title, lines, tables, [*used, *sources], missing)


def _undisturbed(given: Given, record: Record) -> Record | None:
    """The same upstream and head on the task that a derived one is made of, where both ask for the same classes.

    For a transfer that is the task of the shared classes.
    """
    if record.task.derived in TRANSFER.kinds:
        return transfers.own(record, given.own, record.task.base or "")
    return next(
        (r for r in given.own if r.cell.task == record.task.base and r.cell.downstream == record.cell.downstream
         and r.task.headline == record.task.headline and set(r.task.classes) == set(record.task.classes)),
        None,
    )  # fmt: skip


def _lacking(given: Given, kinds: Kinds, used: Sequence[Record]) -> list[tuple[str, str]]:
    """What a whole card has of every task and these records lack, each with the command for all tasks that lack it."""
    missing = []
    names = {record.cell.task for record in used}
    some = {record.task.base for record in used} if kinds.any_does else set()
    for wanted in kinds.wanted:
        asked: dict[str, list[str]] = {}
        for task in _made_of(given, wanted, kinds.corpora):
            own = [name for form in wanted.names if (name := form.format(task=task)) not in names]
            if own and task not in some:
                asked[task] = own
        if asked:
            command = given.command(*(name for own in asked.values() for name in own))
            missing.append((f"{wanted.words} ({', '.join(asked)})", command))
    return missing


def _made_of(given: Given, wanted: Wanted, corpora: tuple[str, ...]) -> list[str]:
    """The card's tasks of which such tasks can be made, as far as their records tell."""
    of = {record.cell.task: record for record in given.own}
    return [
        name for name in given.tasks
        if (record := of.get(name)) is None  # only what is made of it was measured
        or ((not corpora or record.task.corpus in corpora)
            and record.task.kind in wanted.asks
            and not (wanted.column and _has_one_value(given, record, wanted.column)))
    ]  # fmt: skip


def _has_one_value(given: Given, record: Record, column: str) -> bool:
    """Whether the stored facts of the utterances say that they all have one value of a column, or none."""
    if record.files.facts is None:
        return False
    path = where(given.results, record)
    try:
        facts, table = parquet.facts(path, record), parquet.read(path, record)
    except EmorepError:
        return False  # the file is damaged, which other sections say
    known = table if column in table else facts
    return known is None or column not in known or known[column].nunique() < 2


def robustness(given: Given) -> Section:
    """Figures of changed recordings against unchanged ones, and which of the suites of changes are missing."""
    used = [record for record in given.own if change_of(record)]
    tables, problems = by_robustness(given.results, used)
    given.problems.extend(problems)
    summaries = [table for table in tables if " · robustness · " in table.title]
    single = [table for table in tables if " · changed test audio · " in table.title]
    lines = [*ROBUST * bool(used), *dict.fromkeys(note for table in single for note in table.notes)]
    each = [replace(one, title=_short(one.title), facts=[], notes=[]) for one in single]
    shown = [*_one_of(summaries), *each]
    if not _hears(given):
        return Section("Robustness", [*lines, "it reads texts, and only audio can be changed"], shown, used)
    return Section("Robustness", lines, shown, used, _changes_lacking(given, used))


def _changes_lacking(given: Given, used: Sequence[Record]) -> list[tuple[str, str]]:
    """The changes of each suite that were not measured, with the command for all tasks."""
    missing = []
    of = {record.cell.task: record for record in given.own}
    for suite in SUITES:
        asked: dict[str, list[Perturbation]] = {}
        for task in given.tasks:
            if task in of and of[task].task.kind != "classification":
                continue
            measured = {change_of(record) for record in used if record.task.base == task}
            if left := [change for change in members(suite) if change not in measured]:
                asked[task] = left
        if asked:
            several = [f"perturbed:{task},{suite if len(left) == len(SUITES[suite]) else joined(left)}"
                       for task, left in asked.items()]  # fmt: skip
            missing.append((f"changed recordings, {suite} ({', '.join(asked)})", given.command(*several)))
    return missing


def _hears(given: Given) -> bool:
    """Whether the upstream, or a part of it, reads audio."""
    return any("audio" in record.upstream.modality for record in given.own)


def _one_of(summaries: Sequence[Table]) -> list[Table]:
    """One table of the summaries of several tasks and heads, which have a column each; none where there are none."""
    cells: dict[tuple[str, str], Cell] = {}
    for table in summaries:
        for row in table.rows:
            own = _short(table.title)
            cells |= {(column, own): cell for column in table.columns if (cell := table.cells.get((row, column)))}
    rows, columns = (list(dict.fromkeys(keys)) for keys in ([r for r, _ in cells], [c for _, c in cells]))
    return [Table("robustness", [], rows, columns, cells, corner="all changes")] if rows else []


def _short(title: str) -> str:
    """`emodb · probe` of `emodb · robustness · probe` and of `emodb · changed test audio · fbank · probe`."""
    first, *_, last = title.split(" · ")
    return f"{first} · {last}"
