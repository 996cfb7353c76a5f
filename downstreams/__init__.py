"""HOW it is read: heads, and how they are trained. Knows no files and no corpora."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from downstreams.predictions import Predictions

Progress = Callable[[float, float], None]


def names() -> list[str]:
    """Heads that `evaluate` knows."""
    from downstreams.registry import HEADS

    return list(HEADS)


def describe() -> list[tuple[str, str]]:
    """(name, one line) of every head, without importing what trains it."""
    from downstreams.registry import HEADS

    return [(head.name, head.about) for head in HEADS.values()]


def resolve(name: str) -> str:
    """The name itself when a head has it; raises UnknownName with the nearest ones otherwise."""
    from downstreams.registry import get

    return get(name).name


def needs(name: str) -> frozenset[str]:
    """What the head wants extracted: any of `pooled`, `frames:last`, `frames:all`."""
    from downstreams.registry import get

    return get(name).needs


def settings(name: str) -> dict[str, Any]:
    """Everything that decides the head's figures, as plain values: part of the key of a cell."""
    from downstreams.registry import get

    return dict(get(name).settings)


def deterministic(name: str) -> bool:
    """Whether the head draws nothing, so that one seed is all there is to it."""
    from downstreams.registry import get

    return get(name).deterministic


def kinds(name: str) -> tuple[str, ...]:
    """The kinds of problem that the head can treat."""
    from downstreams.registry import get

    return get(name).kinds


def seeds(name: str, wanted: int, draws: int = 0) -> list[int]:
    """The seeds to run when `wanted` are asked for: a deterministic head has one, unless the problem has draws.

    Raises:
        DownstreamError: the problem has draws, and fewer of them.
    """
    from downstreams.errors import DownstreamError

    if 0 < draws < wanted:
        raise DownstreamError(f"{wanted} seeds are asked for, and the task has {draws} draws; ask for fewer")
    return [0] if deterministic(name) and not draws else list(range(wanted))


def evaluate(
    name: str,
    features: Any,
    problem: Any,
    seeds: list[int],
    device: str = "cpu",
    progress: Progress | None = None,
    settings: dict[str, Any] | None = None,
) -> Predictions:
    """Train the head on every fold of the problem and predict its test utterances.

    Args:
        name: a head of `names()`.
        features: `.pooled` (N, 2, L, D) or `.frames`, as the head `needs`; row i belongs to `problem.ids[i]`.
        problem: targets, classes and folds (see `tasks.problem.Problem`).
        seeds: seeds of heads that draw anything; what one gives does not depend on the others. Of a problem with draws,
            each is a draw as well.
        device: torch device of the computation.
        progress: called with (done, total) parts of the work.
        settings: some that take the place of the head's own, such as a shorter schedule.

    Raises:
        DownstreamError: features and problem do not fit, or the head cannot treat this kind of problem.
    """
    from downstreams.draws import drawn
    from downstreams.errors import DownstreamError
    from downstreams.registry import get

    head = get(name)
    if problem.kind not in head.kinds:
        raise DownstreamError(f"{name} treats {' and '.join(head.kinds)}, not {problem.kind}; use probe.")
    if problem.test_standardised and not head.standardises:
        raise DownstreamError(f"{name} takes features as they are, and the task asks to standardise them; use probe.")
    if problem.draws:
        return drawn(head, features, problem, head.settings | (settings or {}), seeds, device, progress)
    return head.load()(features, problem, head.settings | (settings or {}), seeds, device, progress)


def reference(name: str, problem: Any, durations: Any) -> Predictions:
    """Predictions that listen to nothing: `majority` class, `duration` alone (seconds, (N,)) under `probe`, or, of
    conversations, `persistence` of the speaker's true class."""
    from downstreams import references

    if name == "duration":
        return references.duration(problem, durations)
    return references.majority(problem) if name == "majority" else references.persistence(problem)
