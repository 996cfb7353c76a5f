"""What `compare` says: rank tables, two upstreams on every task, two folders of results."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path

from commons.corridors.record import REFERENCE, Record
from commons.errors import EmorepError
from commons.metrics import METRICS
from leaderboard.comparison.permutation import smallest_p
from leaderboard.comparison.standings import (
    SIGNIFICANT,
    Across,
    Answer,
    Pair,
    Standing,
    across,
    answer,
    answers,
    compare,
    kinds,
    same_utterances,
    standing,
    told_apart,
)
from leaderboard.errors import LeaderboardError
from leaderboard.imported import IMPORTED
from leaderboard.records.comparable import Question, aspect, question
from leaderboard.records.intervals import Effect
from leaderboard.records.labels import names, shown
from leaderboard.tables.results import NONE, Block, Row, figure, interval, plain, plural


def rank_blocks(results: Path, records: Sequence[Record], *, pairs: bool = False) -> tuple[list[Block], list[str]]:
    """A rank table for every question and head, and one over corpora for every head and metric of several tasks.

    Args:
        pairs: also list every pair with its difference and p.

    Returns:
        blocks, and a line for every record whose predictions could not be used.
    """
    (parts, problems), called = answers(results, records), names(records)
    found: list[Block] = []
    for part in parts:
        place = standing(part)
        found.append(_ranking(place))
        if pairs and place.pairs:
            found.append(_pairs_block(f"{_title(part)}: all pairs", place.pairs, place.metric, called))
    several_kinds, left = kinds(parts)
    for several in several_kinds:
        if len(several) < 2:
            continue
        over = across(several)
        title = plain(f"over corpora · {_about(several)}")
        if len(over.upstreams) > 1:
            found.append(_over_corpora(title, over, called))
            if pairs:
                found += _pairs_over_corpora(title, over, called)
        else:
            problems.append(f"{title}: fewer than two upstreams have every task; choose tasks with -t")
    return found, [*problems, *left]


def two_upstreams(
    results: Path, records: Sequence[Record], first: str, second: str, imported: Collection[str] = ()
) -> tuple[list[Block], list[str]]:
    """Two upstreams on every question that both answered, head by head.

    Args:
        imported: upstreams whose predictions came from outside, for the message on what to do.

    Raises:
        LeaderboardError: no question was answered by both.
    """
    parts, problems = answers(results, [r for r in records if r.cell.upstream in (first, second)])
    asked: dict[Question, list[Answer]] = {}
    for a in (a for part in parts for a in part):
        asked.setdefault(question(a.record), []).append(a)
    couples = [pair for several in asked.values() for pair in _paired(several, first, second)]
    if not couples:
        runnable = [name for name in (first, second) if name not in imported]
        ways = [f"python run_benchmark.py -u {' '.join(runnable)} -t TASK"] * bool(runnable)
        ways += [f"python -m leaderboard import FILE --name {name} -t TASK -d probe"
                 for name in (first, second) if name in imported]  # fmt: skip
        raise LeaderboardError(
            f"{first} and {second} share no task, head and task version; put both on one: {' and '.join(ways)}"
        )
    called, found = names(records), []
    one, other = called[first], called[second]
    for heads in dict.fromkeys((a.record.cell.downstream, b.record.cell.downstream) for a, b in couples):
        own = [(a, b) for a, b in couples if (a.record.cell.downstream, b.record.cell.downstream) == heads]
        head = " and ".join(dict.fromkeys(heads))
        found.append(_couples_block(f"{one} and {other} · {head}", own, (one, other)))
        several_kinds, left = kinds([[a, b] for a, b in own])
        problems += left
        for several in several_kinds:
            if len(several) > 1:
                over = across(several)
                title = plain(f"{one} and {other} over corpora · {_about(several)}")
                found += [_over_corpora(title, over, called), *_pairs_over_corpora(title, over, called)]
    return found, problems


def _paired(several: Sequence[Answer], first: str, second: str) -> list[tuple[Answer, Answer]]:
    """Two upstreams' answers to one question, head by head.

    An imported system that shares no head with the other is compared with each of the other's heads.
    """
    pairs = [(a, b) for a in several for b in several if (a.upstream, b.upstream) == (first, second)]
    alike = [(a, b) for a, b in pairs if a.record.cell.downstream == b.record.cell.downstream]
    return alike or [(a, b) for a, b in pairs if IMPORTED in (*a.record.marks, *b.record.marks)]


def two_folders(
    first: Path, second: Path, records: tuple[Sequence[Record], Sequence[Record]]
) -> tuple[list[Block], list[str]]:
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
    found = [_couples_block(f"{labels[0]} and {labels[1]}", couples, labels)] if couples else []
    for folder, own, other in ((first, before, after), (second, after, before)):
        if alone := [" · ".join(name) for name in own if name not in other and name[2] != REFERENCE]:
            problems.append(f"only in {folder}: {', '.join(alone)}")
    return found, problems


def _about(parts: Sequence[Sequence[Answer]]) -> str:
    """The head of some parts, and the aspect that their tasks ask for."""
    record = parts[0][0].record
    return " · ".join(filter(None, (aspect(record.task), record.cell.downstream)))


def _title(part: Sequence[Answer]) -> str:
    record = part[0].record
    return plain(f"{record.cell.task} · {record.cell.downstream}")


def _ranking(place: Standing) -> Block:
    record, metric, k = place.answers[0].record, place.metric, len(place.answers)
    groups = plural(len(place.answers[0].groups), record.task.group_by)
    facts = [f"[95 % interval] over {groups}; {METRICS[metric].reads}; task version {record.task.version}"]
    if k < 2:
        facts.append("one upstream only: nothing to compare it with")
    else:
        facts.append(_power(place.smallest_p, place.pairs, groups))
        if not math.isnan(place.detectable):
            size = figure(place.detectable, metric)
            facts.append(f"smallest detectable difference in {metric} (one pair, 80 % power): {size}")
        facts += _needed(place.needed, place.pairs, metric)
    rows, told = [], told_apart(place.pairs)
    for item, rank, last in zip(place.answers, place.ranks, place.last, strict=True):
        score = item.record.scores.metrics[metric]
        cells = {"rank": str(rank) if told else NONE, "ranks": _span(rank, last), "upstream": plain(shown(item.record))}
        rows.append(Row(cells | {metric: figure(score.value, metric) + interval(score, metric)}))
    return Block(
        _title(place.answers), facts, ["rank", "ranks", "upstream", metric], rows,
        notes=[RANK if told else UNTOLD] if k > 1 else [],
    )  # fmt: skip


RANK = "rank: 1 + the number significantly better; ranks: those it may have, given all tests together"
UNTOLD = "no rank: no two of them can be told apart, which does not say that they are equal; ranks: those it may have"
ADJUSTED = "adjusted p"


def _over_corpora(title: str, over: Across, called: dict[str, str]) -> Block:
    metric = over.metric
    votes = plural(len(over.families), "vote")
    several = over.clean is not None and len(over.clean_tasks) < sum(map(len, over.families.values()))
    facts = [
        "one vote a family: " + plain(", ".join(" + ".join(tasks) for tasks in over.families.values())),
        "on further speakers of these corpora: " + _power(over.smallest_p, over.pairs),
        "on further corpora: " + _power(over.smallest_p_corpora, over.pairs_corpora, votes),
        *_needed(over.needed, over.pairs, metric),
    ]
    columns = ["rank", "ranks", "upstream", f"mean {metric}", *(["clean tasks"] if several else []), "further corpora"]
    rows = []
    for i, name in enumerate(over.upstreams):
        cells = {
            "rank": str(over.ranks[i]) if told_apart(over.pairs) else NONE,
            "ranks": _span(over.ranks[i], over.last[i]),
            "upstream": plain(called[name]),
            f"mean {metric}": _effect(over.means[i], metric),
            "clean tasks": figure(over.clean[i], metric) if over.clean else NONE,
            "further corpora": _span(over.ranks_corpora[i], over.last_corpora[i]),
        }
        rows.append(Row(cells))
    notes = [(RANK if told_apart(over.pairs) else UNTOLD) + "; the last column: on further corpora"]
    if several:
        left = plain(", ".join(over.clean_tasks))
        notes.append(f"clean tasks: the same mean over {left}, on which none of these upstreams is contaminated")
    elif over.clean is None:
        notes.append("on every task some upstream is contaminated: there is no mean over clean tasks")
    for name, lacking in over.incomplete.items():
        notes.append(plain(f"not averaged: {called[name]} lacks {', '.join(lacking)}"))
    return Block(plain(title), facts, columns, rows, notes=notes)


def _couples_block(title: str, couples: Sequence[tuple[Answer, Answer]], labels: tuple[str, str]) -> Block:
    """A row for every two answers to one question."""
    several_upstreams = len({a.upstream for a, _ in couples}) > 1
    rows = []
    for (a, b), (seen, p, adjusted) in zip(couples, compare(couples), strict=True):
        metric = a.record.task.headline
        name = " · ".join((shown(a.record), a.record.cell.task, a.record.cell.downstream)[not several_upstreams :])
        cells = {"cell": plain(name), "metric": metric}
        cells |= {"first": figure(a.record.scores.metrics[metric].value, metric)}
        cells |= {"second": figure(b.record.scores.metrics[metric].value, metric)}
        cells |= {"difference": _effect(seen, metric, signed=True), "p": probability(p)}
        cells |= {ADJUSTED: probability(adjusted), "better": _better(seen, adjusted, metric, labels)}
        rows.append(Row(cells | {"smallest p": probability(smallest_p(len(a.groups)))}))
    facts = [
        plain(f"first: {labels[0]}; second: {labels[1]}; [95 % interval]"),
        f"{ADJUSTED}: over {plural(len(rows), 'row')}",
    ]
    columns = ["cell", "metric", "first", "second", "difference", "p", ADJUSTED, "smallest p", "better"]
    return Block(plain(title), facts, columns, rows, narrower=[("smallest p", None), ("metric", None)])


def _pairs_block(title: str, pairs: Sequence[Pair], metric: str, called: dict[str, str], figures: str = "") -> Block:
    rows = []
    for pair in pairs:
        cells = {"first": plain(called[pair.first]), "second": plain(called[pair.second])}
        cells |= {"difference": _effect(pair.effect, metric, signed=True), "p": probability(pair.p)}
        cells |= {ADJUSTED: probability(pair.adjusted)}
        rows.append(Row(cells))
    facts = [f"{figures or metric} of the first minus that of the second; {ADJUSTED}: over {_plural_pairs(pairs)}"]
    return Block(title, facts, ["first", "second", "difference", "p", ADJUSTED], rows)


def _pairs_over_corpora(title: str, over: Across, called: dict[str, str]) -> list[Block]:
    several = {"further speakers of these corpora": over.pairs, "further corpora": over.pairs_corpora}
    return [
        _pairs_block(f"{title}: all pairs, on {whom}", pairs, over.metric, called, f"mean {over.metric}")
        for whom, pairs in several.items()
    ]


def _power(smallest: float, pairs: Sequence[Pair], groups: str = "") -> str:
    """How small a p can be, and how many pairs were told apart; that none can be where groups are too few."""
    text = f"smallest p{f' of {groups}' if groups else ''}: {probability(smallest)}; "
    if smallest > SIGNIFICANT:
        return text + "no difference can become significant: who is better cannot be told with so few"
    return text + f"{told_apart(pairs)} of {_plural_pairs(pairs)} told apart, adjusted for all"


def _needed(needed: float, pairs: Sequence[Pair], metric: str) -> list[str]:
    """A line on how large a difference has to be among all pairs; none where no size is enough."""
    if not math.isfinite(needed):
        return []
    size = figure(needed, metric)
    return [f"to be significant among {_plural_pairs(pairs)}, a difference in {metric} has to be about {size}"]


def _plural_pairs(pairs: Sequence[Pair]) -> str:
    return plural(len(pairs), "pair")


def _better(seen: Effect, p: float, metric: str, labels: tuple[str, str]) -> str:
    if not p <= SIGNIFICANT:
        return NONE
    return plain(labels[(seen.value > 0) != METRICS[metric].higher_is_better])


def _effect(seen: Effect, metric: str, *, signed: bool = False) -> str:
    value, low, high = (_number(v, metric, signed) for v in (seen.value, seen.low, seen.high))
    return value if math.isnan(seen.low) else f"{value} [{low}, {high}]"


def _number(value: float, metric: str, signed: bool) -> str:
    text = figure(None if math.isnan(value) else value, metric)
    return f"+{text}" if signed and value > 0 else text


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def probability(p: float) -> str:
    """A p as tables show it."""
    return NONE if math.isnan(p) else f"{p:.3f}" if p >= 0.001 else f"{p:.1g}"
