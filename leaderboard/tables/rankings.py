"""What `compare` says: rank tables, two upstreams on every task, two folders of results."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from commons.corridors.record import REFERENCE, Record
from commons.errors import EmorepError
from commons.marks import IMPORTED, UNVERIFIED
from commons.metrics import METRICS
from leaderboard.comparison.answers import Answer, answer, answers, kinds, same_utterances
from leaderboard.comparison.corpora import Across, across
from leaderboard.comparison.permutation import smallest_p
from leaderboard.comparison.standings import SIGNIFICANT, Pair, Standing, compare, significant_pairs, standing
from leaderboard.comparison.statistics import Effect
from leaderboard.errors import LeaderboardError
from leaderboard.records.comparable import Question, aspect, question, unit
from leaderboard.records.display_names import inputs, names, shown
from leaderboard.records.random_weights import is_of
from leaderboard.tables.model import Cell, Table, figure
from leaderboard.tables.views import of_record
from leaderboard.text import NONE, plural, probability


def rankings(results: Path, records: Sequence[Record], *, pairs: bool = False) -> tuple[list[Table], list[str]]:
    """A rank table for every question and head, and one over corpora for every head and metric of several tasks.

    Args:
        pairs: also list every pair with its difference and p.

    Returns:
        tables, and a line for every record whose predictions could not be used.
    """
    (parts, problems), called = answers(results, records), names(records)
    made: list[Table] = []
    for part in parts:
        place = standing(part)
        made += _told([_ranking(place)], part)
        if pairs and place.pairs:
            made += _told([_pairs_table(f"{_title(part)}: all pairs", place.pairs, place.metric, called)], part)
    several_kinds, left = kinds(parts)
    for several in several_kinds:
        if len(several) < 2:
            continue
        over = across(several)
        title = f"over corpora · {_about(several)}"
        if len(over.upstreams) > 1:
            made += _told([_over_corpora(title, over, called, inputs(records))], several[0])
            if pairs:
                made += _told(_pairs_over_corpora(title, over, called), several[0])
        else:
            problems.append(f"{title}: fewer than two upstreams have every task; choose tasks with -t")
    return made, [*problems, *left]


def two_upstreams(
    results: Path, records: Sequence[Record], first: str, second: str, imported: Collection[str] = ()
) -> tuple[list[Table], list[str]]:
    """Two upstreams on every question that both answered, head by head.

    Args:
        imported: upstreams whose predictions came from outside, for the message on what to do.

    Raises:
        LeaderboardError: no question was answered by both.
    """
    sides, problems = [], []
    for name in (first, second):
        parts, lines = answers(results, [r for r in records if is_of(r, [name])])
        sides.append([a for part in parts for a in part])
        problems += lines
    if shared := {a.record.cell.upstream for a in sides[0]} & {a.record.cell.upstream for a in sides[1]}:
        raise LeaderboardError(f"{first} and {second} both name {min(shared)}; name two systems that share nothing")
    asked: dict[Question, tuple[list[Answer], list[Answer]]] = {}
    for side, given in enumerate(sides):
        for a in given:
            asked.setdefault(question(a.record), ([], []))[side].append(a)
    couples = [pair for own in asked.values() for pair in _paired(*own)]
    if not couples:
        runnable = [name for name in (first, second) if name not in imported]
        ways = [f"python run_benchmark.py -u {' '.join(runnable)} -t TASK"] * bool(runnable)
        ways += [f"python -m leaderboard import FILE --name {name} -t TASK -d probe"
                 for name in (first, second) if name in imported]  # fmt: skip
        bare = any(UNVERIFIED in record.marks and is_of(record, [first, second]) for record in records)
        without = f"; cells marked {UNVERIFIED} lack targets and take no part: merge --data adds them" if bare else ""
        raise LeaderboardError(
            f"{first} and {second} share no task, head and task version; put both on one: {' and '.join(ways)}{without}"
        )
    called = names(records)
    made: list[Table] = []
    one, other = called.get(first, first), called.get(second, second)
    for heads in dict.fromkeys((a.record.cell.downstream, b.record.cell.downstream) for a, b in couples):
        own = [(a, b) for a, b in couples if (a.record.cell.downstream, b.record.cell.downstream) == heads]
        head = " and ".join(dict.fromkeys(heads))
        tables = [_couples_table(f"{one} and {other} · {head}", own, (one, other))]
        several_kinds, left = kinds([[a, b] for a, b in own])
        problems += left
        for several in several_kinds:
            if len(several) > 1:
                over = across(several)
                title = f"{one} and {other} over corpora · {_about(several)}"
                tables += [
                    _over_corpora(title, over, called, inputs(records)),
                    *_pairs_over_corpora(title, over, called),
                ]
        made += _told(tables, [a for couple in own for a in couple])
    return made, problems


def _paired(first: Sequence[Answer], second: Sequence[Answer]) -> list[tuple[Answer, Answer]]:
    """Two upstreams' answers to one question, head by head.

    An imported system that shares no head with the other is compared with each of the other's heads.
    """
    pairs = list(product(first, second))
    alike = [(a, b) for a, b in pairs if a.record.cell.downstream == b.record.cell.downstream]
    return alike or [(a, b) for a, b in pairs if IMPORTED in (*a.record.marks, *b.record.marks)]


def two_folders(
    first: Path, second: Path, records: tuple[Sequence[Record], Sequence[Record]]
) -> tuple[list[Table], list[str]]:
    """Every cell that two results folders share, the first's figure minus the second's.

    Raises:
        LeaderboardError: no cell is in both.
    """
    before, after = ({(r.cell.upstream, r.cell.task, r.cell.downstream): r for r in several} for several in records)
    shared = [name for name in before if name in after and name[2] != REFERENCE]
    if not shared:
        raise LeaderboardError(f"{first} and {second} share no cell; name two folders with the same cells")
    couples, problems = [], []
    for name in shared:
        try:
            couple = (answer(first, before[name]), answer(second, after[name]))
            same_utterances(*couple)
            couples.append(couple)
        except EmorepError as error:
            problems.append(str(error))
    labels = (first.name, second.name) if first.name != second.name else (str(first), str(second))
    made = [_couples_table(f"{labels[0]} and {labels[1]}", couples, labels)] if couples else []
    made = _told(made, [a for couple in couples for a in couple])
    for folder, own, other in ((first, before, after), (second, after, before)):
        if alone := [" · ".join(name) for name in own if name not in other and name[2] != REFERENCE]:
            problems.append(f"only in {folder}: {', '.join(alone)}")
    return made, problems


def _about(parts: Sequence[Sequence[Answer]]) -> str:
    """The head of some parts, and the aspect that their tasks ask for."""
    record = parts[0][0].record
    return " · ".join(filter(None, (aspect(record.task), record.cell.downstream)))


def _title(part: Sequence[Answer]) -> str:
    record = part[0].record
    return f"{record.cell.task} · {record.cell.downstream}"


def _told(tables: Sequence[Table], answers: Sequence[Answer]) -> list[Table]:
    """The tables with a word on the heads of the answers that they show, where these are an interpretation."""
    said = dict.fromkeys(one.record.downstream.interpretation for one in answers)
    return [replace(table, interpretation="; ".join(filter(None, said))) for table in tables]


def _ranking(place: Standing) -> Table:
    """The ranks of one task and head."""
    record, metric, k = place.answers[0].record, place.metric, len(place.answers)
    groups = plural(len(place.answers[0].groups), unit(record))
    facts = [f"[95 % interval] over {groups}; {METRICS[metric].reads}; task version {record.task.version}"]
    if k < 2:
        facts.append("one upstream only: nothing to compare it with")
    else:
        facts.append(_power(place.smallest_p, place.pairs, groups))
        facts += _needed(place.needed, metric)
        if not math.isnan(place.detectable):
            size = figure(place.detectable, metric)
            facts.append(
                f"to plan a study: the test of one pair alone finds a true difference in {metric} of {size} in 4 of 5 "
                f"draws of {record.task.group_by}s"
            )
    ranked = significant_pairs(place.pairs) > 0
    cells: dict[tuple[str, str], Cell] = {}
    reads = inputs(item.record for item in place.answers)
    for item, rank, last in zip(place.answers, place.ranks, place.last, strict=True):
        cells[item.upstream, "ranks"] = Cell(text=_span(rank, last))
        cells[item.upstream, "upstream"] = Cell(text=shown(item.record))
        cells[item.upstream, "input"] = Cell(text=reads.get(item.record.cell.upstream, ""))
        cells[item.upstream, metric] = of_record(item.record, metric)
    return Table(
        title=_title(place.answers),
        facts=facts,
        rows=[item.upstream for item in place.answers],
        columns=["ranks", "upstream", *["input"] * bool(reads), metric],
        cells=cells,
        notes=[RANK if ranked else NO_RANK] if k > 1 else [],
        corner="rank",
        names={
            item.upstream: str(rank) if ranked else NONE for item, rank in zip(place.answers, place.ranks, strict=True)
        },
    )


RANK = "rank: 1 + the number of upstreams significantly better; ranks: those that all tests together allow"
NO_RANK = (
    "no rank: no two upstreams differ significantly, which does not mean that they are equal; ranks: those that all "
    "tests together allow"
)
ADJUSTED = "adjusted p"


def _over_corpora(title: str, over: Across, called: dict[str, str], reads: dict[str, str]) -> Table:
    """The ranks over several corpora; `reads`: what each upstream was given, empty where none read text."""
    metric = over.metric
    mean, votes = f"mean {metric}", plural(len(over.families), "vote")
    several = over.clean is not None and len(over.clean_tasks) < sum(map(len, over.families.values()))
    ranked = significant_pairs(over.pairs) > 0
    head = ["ranks", "upstream", *["input"] * bool(reads)]
    cells: dict[tuple[str, str], Cell] = {}
    for i, name in enumerate(over.upstreams):
        cells[name, "ranks"] = Cell(text=_span(over.ranks[i], over.last[i]))
        cells[name, "upstream"] = Cell(text=called[name])
        cells[name, "input"] = Cell(text=reads.get(name, ""))
        cells[name, mean] = _effect(over.means[i], metric)
        cells[name, "clean tasks"] = Cell(over.clean[i] if over.clean else None, metric=metric)
        cells[name, "further corpora"] = Cell(text=_span(over.ranks_corpora[i], over.last_corpora[i]))
    notes = [(RANK if ranked else NO_RANK) + "; the last column: on further corpora"]
    if several:
        clean = ", ".join(over.clean_tasks)
        notes.append(f"clean tasks: the same mean over {clean}, on which no upstream here is known to be contaminated")
    elif over.clean is None:
        notes.append("on every task some upstream is contaminated: there is no mean over clean tasks")
    for name, lacking in over.incomplete.items():
        notes.append(f"not averaged: {called[name]} lacks {', '.join(lacking)}")
    return Table(
        title=title,
        facts=[
            "one vote a family: " + ", ".join(" + ".join(tasks) for tasks in over.families.values()),
            "on further speakers of these corpora: " + _power(over.smallest_p, over.pairs),
            "on further corpora: " + _power(over.smallest_p_corpora, over.pairs_corpora, votes),
            *_needed(over.needed, metric),
        ],
        rows=over.upstreams,
        columns=[*head, mean, *["clean tasks"] * several, "further corpora"],
        cells=cells,
        notes=notes,
        corner="rank",
        names={name: str(rank) if ranked else NONE for name, rank in zip(over.upstreams, over.ranks, strict=True)},
    )


def _couples_table(title: str, couples: Sequence[tuple[Answer, Answer]], labels: tuple[str, str]) -> Table:
    """A row for every two answers to one question."""
    several_upstreams = len({a.upstream for a, _ in couples}) > 1
    cells: dict[tuple[str, str], Cell] = {}
    heads: dict[str, str] = {}
    for number, ((a, b), (effect, p, adjusted)) in enumerate(zip(couples, compare(couples), strict=True)):
        row, metric = str(number), a.record.task.headline
        parts = (shown(a.record), a.record.cell.task, a.record.cell.downstream)
        heads[row] = " · ".join(parts[not several_upstreams :])
        own = {
            "metric": metric,
            "first": figure(a.record.scores.metrics[metric].value, metric),
            "second": figure(b.record.scores.metrics[metric].value, metric),
            "difference": _signed(effect, metric),
            "p": probability(p),
            ADJUSTED: probability(adjusted),
            "smallest p": probability(smallest_p(len(a.groups))),
            "better": _better(effect, adjusted, metric, labels),
        }
        cells |= {(row, column): Cell(text=text) for column, text in own.items()}
    return Table(
        title=title,
        facts=[
            f"first: {labels[0]}; second: {labels[1]}; [95 % interval]",
            f"{ADJUSTED}: over {plural(len(heads), 'row')}",
        ],
        rows=list(heads),
        columns=["metric", "first", "second", "difference", "p", ADJUSTED, "smallest p", "better"],
        cells=cells,
        corner="cell",
        names=heads,
        narrower=[("smallest p", "column"), ("metric", "column")],
    )


def _pairs_table(title: str, pairs: Sequence[Pair], metric: str, called: dict[str, str], figures: str = "") -> Table:
    """A row for every pair: its difference and how significant it is."""
    cells: dict[tuple[str, str], Cell] = {}
    for number, pair in enumerate(pairs):
        own = {
            "second": called[pair.second],
            "difference": _signed(pair.effect, metric),
            "p": probability(pair.p),
            ADJUSTED: probability(pair.adjusted),
        }
        cells |= {(str(number), column): Cell(text=text) for column, text in own.items()}
    return Table(
        title=title,
        facts=[f"{figures or metric} of the first minus that of the second; {ADJUSTED}: over {_plural_pairs(pairs)}"],
        rows=[str(number) for number in range(len(pairs))],
        columns=["second", "difference", "p", ADJUSTED],
        cells=cells,
        corner="first",
        names={str(number): called[pair.first] for number, pair in enumerate(pairs)},
    )


def _pairs_over_corpora(title: str, over: Across, called: dict[str, str]) -> list[Table]:
    several = {"further speakers of these corpora": over.pairs, "further corpora": over.pairs_corpora}
    return [
        _pairs_table(f"{title}: all pairs, on {whom}", pairs, over.metric, called, f"mean {over.metric}")
        for whom, pairs in several.items()
    ]


def _power(smallest: float, pairs: Sequence[Pair], groups: str = "") -> str:
    """How small a p can be, and how many pairs differ; that none can where groups are too few."""
    text = f"smallest p{f' of {groups}' if groups else ''}: {probability(smallest)}; "
    if smallest > SIGNIFICANT:
        return text + f"no difference can be significant (p <= {SIGNIFICANT:g}) with so few"
    number = f"{significant_pairs(pairs)} of {_plural_pairs(pairs)}"
    return text + f"{number} differ significantly ({ADJUSTED} <= {SIGNIFICANT:g})"


def _needed(needed: float, metric: str) -> list[str]:
    """A line on how large a measured difference has to be among all pairs; none where no size is enough."""
    if not math.isfinite(needed):
        return []
    size = figure(needed, metric)
    words = f"in this table a measured difference in {metric} of about {size} or more is significant"
    return [f"{words}, all pairs considered"]


def _plural_pairs(pairs: Sequence[Pair]) -> str:
    return plural(len(pairs), "pair")


def _better(effect: Effect, p: float, metric: str, labels: tuple[str, str]) -> str:
    """Who is significantly better; a dash where nobody is."""
    if not p <= SIGNIFICANT:
        return NONE
    return labels[(effect.value > 0) != METRICS[metric].higher_is_better]


def _effect(effect: Effect, metric: str) -> Cell:
    """A mean or difference as a figure."""
    value, low, high = (None if math.isnan(v) else v for v in (effect.value, effect.low, effect.high))
    return Cell(value, low, high, metric=metric)


def _signed(effect: Effect, metric: str) -> str:
    """A difference with its interval; what is above zero has a plus."""
    value, low, high = (_number(v, metric) for v in (effect.value, effect.low, effect.high))
    return value if math.isnan(effect.low) else f"{value} [{low}, {high}]"


def _number(value: float, metric: str) -> str:
    text = figure(None if math.isnan(value) else value, metric)
    return f"+{text}" if value > 0 else text


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
