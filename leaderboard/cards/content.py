"""What stands on a card, from the records of a folder of results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from commons.corridors.record import REFERENCE, Record
from leaderboard.cards import derived, facts, figures
from leaderboard.cards.model import Card, Given
from leaderboard.errors import LeaderboardError, NoResult
from leaderboard.records.display_names import shown
from leaderboard.records.random_weights import is_of, names_of


def collect(results: Path, records: Sequence[Record], upstream: str) -> tuple[Card, list[str]]:
    """The card of an upstream, and a line for every record that cannot be used.

    Raises:
        NoResult: the upstream has no record.
        LeaderboardError: all of its records are of smoke runs.
    """
    full = [record for record in records if record.cell.limit is None]
    every = [r for r in records if is_of(r, [upstream]) and r.cell.downstream != REFERENCE]
    own = [record for record in every if record.cell.limit is None]
    if every and not own:
        raise LeaderboardError(
            f"the cells of {upstream} in {results} are of smoke runs (--limit); a card needs whole ones, measured "
            "without --limit"
        )
    if not own:
        known = set[str]().union(*(names_of(r) for r in full if r.cell.downstream != REFERENCE))
        raise NoResult("upstream", upstream, known)
    plain = sorted({r.cell.task for r in own if not r.task.derived})
    tasks = plain or sorted({r.task.base for r in own if r.task.base}) or sorted({r.cell.task for r in own})
    given = Given(results, upstream, own, full, tasks, [])
    sections = [
        facts.what_it_is(given),
        figures.scores(given),
        figures.layers(given),
        derived.of_kinds(given, "Transfer", derived.TRANSFER),
        derived.of_kinds(given, "Few labels", derived.FEW),
        derived.robustness(given),
        figures.groups(given),
        figures.calibration(given),
        derived.of_kinds(given, "Annotators", derived.ANNOTATORS),
        derived.of_kinds(given, "What else it tells", derived.ELSE),
        facts.cost(given),
    ]
    sections.append(facts.not_known(given, sections))
    return Card(upstream, shown(own[0]), max(r.created for r in own), sections), given.problems
