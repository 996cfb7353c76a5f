"""Rules for splits: pure functions of columns of the utterance table.

No part of a fold (dev, inner groups, their order) depends on the labels of its test speakers. All rules are
deterministic: a random order is the order of a hash of the ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from commons.corridors.problem import Fold
from tasks.errors import TaskError

MOST_SINGLE_SPEAKERS = 8  # up to this number, each speaker that is not in test is an inner group
INNER_GROUPS = 5


def leave_one_out(by: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """Test rows by fold name, one fold for each value of a column (a speaker, a session)."""
    return {f"{by} {value}": np.flatnonzero(values == value) for value in sorted(set(values))}


def leave_groups_out(by: str, values: np.ndarray, groups: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
    """Test rows by fold name, one fold for each listed group of values; groups without rows are left out.

    Raises:
        TaskError: a value is in no group or in two.
    """
    listed = [value for group in groups for value in group]
    stray = sorted(set(values) - set(listed))
    if stray or len(set(listed)) != len(listed):
        raise TaskError(f"the groups of folds must hold each {by} once; not in one group: {stray or listed}")
    rows = {f"{by} {' '.join(group)}": np.flatnonzero(np.isin(values, list(group))) for group in groups}
    return {name: test for name, test in rows.items() if len(test)}


def leave_balanced_groups_out(by: str, values: np.ndarray, k: int) -> dict[str, np.ndarray]:
    """Test rows by fold name, one fold for each of k groups of values; the groups are of similar size.

    The largest value comes first, and each goes to the smallest group; labels are not used. With k values or fewer,
    each is a group.
    """
    different, sizes = np.unique(values, return_counts=True)
    if len(different) <= k:
        return leave_one_out(by, values)
    groups: list[list[str]] = [[] for _ in range(k)]
    totals = [0] * k
    for index in sorted(range(len(different)), key=lambda i: (-sizes[i], different[i])):
        smallest = min(range(k), key=lambda g: (totals[g], g))
        groups[smallest].append(different[index])
        totals[smallest] += sizes[index]
    return {f"{by} group {i}": np.flatnonzero(np.isin(values, group)) for i, group in enumerate(groups, start=1)}


def leave_out(by: str, values: np.ndarray, k: int | None) -> dict[str, np.ndarray]:
    """Test rows by fold name: a fold for each value of a column, or for each of k groups of values."""
    return leave_balanced_groups_out(by, values, k) if k else leave_one_out(by, values)


def shuffled(rows: np.ndarray, ids: np.ndarray, salt: str) -> np.ndarray:
    """Rows in a pseudo-random order, which depends on their ids and the salt only."""

    def place(row: int) -> bytes:
        return hashlib.sha256(f"{salt}\n{ids[row]}".encode()).digest()

    return np.array(sorted(rows, key=place), dtype=np.int64)


def random_fifth(rows: np.ndarray, ids: np.ndarray, salt: str) -> np.ndarray:
    """A random fifth of the rows; four fifths are rounded down, as SUPERB does."""
    return np.sort(shuffled(rows, ids, salt)[int(0.8 * len(rows)) :])


def stratified_fifth(rows: np.ndarray, ids: np.ndarray, targets: np.ndarray, salt: str) -> np.ndarray:
    """A fifth of the rows of each class, at least one row, but never the only row of a class."""
    parts = [shuffled(rows[targets[rows] == c], ids, salt) for c in np.unique(targets[rows])]
    return np.sort(np.concatenate([part[: max(1, round(len(part) / 5)) if len(part) > 1 else 0] for part in parts]))


def next_folds(k: int, tests: Sequence[np.ndarray], speakers: np.ndarray, targets: np.ndarray) -> np.ndarray | None:
    """The dev part of fold k: test rows of the folds that follow it, in cyclic order; None where none is suitable.

    Folds are added one by one until dev has at least two speakers, at least a sixth of the utterances outside test, and
    every class that two or more speakers outside test have. A fold is skipped if train would lose a class, or if dev
    would then hold more than half of the utterances outside test (the first fold may, if there is no dev part else).
    Dev needs two speakers because one of them does not show how a head does on others.

    Args:
        tests: test rows of each fold, disjoint.
        speakers, targets: (N,) of the utterances that `tests` point to.
    """
    rest = np.concatenate([test for j, test in enumerate(tests) if j != k])
    classes = set(targets[rest])
    shared = {c for c in classes if len(set(speakers[rest[targets[rest] == c]])) >= 2}
    for most in (len(rest) / 2, len(rest)):
        dev = np.empty(0, dtype=np.int64)
        for step in range(1, len(tests)):
            grown = np.concatenate([dev, tests[(k + step) % len(tests)]])
            if len(grown) > (most if not len(dev) else len(rest) / 2):
                continue
            if set(targets[np.setdiff1d(rest, grown)]) != classes:
                continue
            dev = grown
            if shared <= set(targets[dev]) and len(set(speakers[dev])) > 1 and 6 * len(dev) >= len(rest):
                return dev
        if len(dev) and shared <= set(targets[dev]):
            return dev
    return None


def inner_groups(rows: np.ndarray, speakers: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, ...]:
    """Rows outside test in groups of whole speakers, for inner cross-validation.

    Up to eight speakers: each is a group. More speakers: five groups. The speaker with the most utterances is placed
    first. Each goes to the group where the sum of squared shares, of utterances and of each class, grows least. If all
    speakers of a class would end in one group, the last of them goes to another group where that is possible: else
    no training set would have that class while this group is left out.
    """
    names = sorted(set(speakers[rows]))
    if len(names) <= MOST_SINGLE_SPEAKERS:
        return tuple(rows[speakers[rows] == name] for name in names)
    classes = np.unique(targets[rows])
    # A row for each speaker: number of utterances of each class.
    counts = np.zeros((len(names), len(classes)), dtype=np.int64)
    np.add.at(counts, (np.searchsorted(names, speakers[rows]), np.searchsorted(classes, targets[rows])), 1)
    totals = counts.sum(0)
    groups = np.zeros((INNER_GROUPS, len(classes)), dtype=np.int64)
    dealt: list[list[str]] = [[] for _ in range(INNER_GROUPS)]
    for index in sorted(range(len(names)), key=lambda i: (-counts[i].sum(), names[i])):
        speaker = counts[index]
        last = (speaker > 0) & (groups.sum(0) + speaker == totals)
        swallowed = (last & (groups + speaker == totals) & (groups > 0)).sum(1)
        grown = (((groups + speaker) / totals) ** 2 - (groups / totals) ** 2).sum(1)
        grown += ((groups.sum(1) + speaker.sum()) ** 2 - groups.sum(1) ** 2) / totals.sum() ** 2
        best = min(range(INNER_GROUPS), key=lambda g: (swallowed[g], round(grown[g], 12), g))
        groups[best] += speaker
        dealt[best].append(names[index])
    return tuple(rows[np.isin(speakers[rows], group)] for group in dealt)


def crossed(
    parts: Mapping[str, np.ndarray], others: Mapping[str, np.ndarray]
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """For each pair of a part and another part, arguments of `build_one` for the fold that tests their overlap.

    Args:
        parts, others: test rows by fold name, of two columns.

    Yields:
        The index of the fold, and test rows by fold name without rows that share a value of the other column with its
        test part, so that train and test differ in both columns. Pairs without overlap are left out.
    """
    for k, (name, part) in enumerate(parts.items()):
        for other_name, other in others.items():
            test = np.intersect1d(part, other)
            if len(test):
                yield (
                    k,
                    {
                        f"{name}, {other_name}" if i == k else there: test if i == k else np.setdiff1d(rows, other)
                        for i, (there, rows) in enumerate(parts.items())
                    },
                )


def official(
    partition: np.ndarray, ids: np.ndarray, units: np.ndarray, targets: np.ndarray, strata: np.ndarray, dev_rule: str
) -> tuple[Fold, ...]:
    """The one fold of an official split.

    Args:
        partition: (N,) train, dev or test; rows with other values are in no part.
        units: (N,) values that inner groups never split; strata: (N,) classes for a stratified dev part.
        targets: (N,) bool, whether a row has a target.
        dev_rule: `partition`: the official dev part; `fifth`: a fifth of train; `speakers`: the first inner group
            that is suitable as in `next_folds`, where train has at least three units, else a fifth.

    Raises:
        TaskError: a part that is needed has no rows.
    """
    rows = {part: np.flatnonzero((partition == part) & targets) for part in ("train", "dev", "test")}
    wanted = ("train", "dev", "test") if dev_rule == "partition" else ("train", "test")
    empty = [part for part in wanted if not len(rows[part])]
    if empty:
        raise TaskError(f"the official {' and '.join(empty)} part has no usable utterance; the copy is not complete")
    if dev_rule == "partition":
        return (Fold("test", rows["train"], rows["dev"], rows["test"]),)
    inner, following = inner_groups(rows["train"], units, strata), None
    if dev_rule == "speakers" and len(inner) > 2:
        following = next_folds(0, (rows["test"], *inner), units, strata)
    dev = stratified_fifth(rows["train"], ids, strata, "test") if following is None else np.sort(following)
    return (Fold("test", np.setdiff1d(rows["train"], dev), dev, rows["test"], inner),)


def build(
    tests: Mapping[str, np.ndarray],
    ids: np.ndarray,
    speakers: np.ndarray,
    targets: np.ndarray,
    dev_rule: str = "next_folds",
    draws: Mapping[str, np.ndarray] | None = None,
    units: np.ndarray | None = None,
) -> tuple[Fold, ...]:
    """The folds of a task.

    Args:
        tests: test rows by fold name, disjoint (`leave_one_out`, `leave_groups_out`); other rows are in no part.
        ids, speakers, targets: (N,) of all utterances; rows without a target are not in `tests`.
        dev_rule: `next_folds` (where no fold is suitable, a stratified fifth of train), `fifth` (a stratified fifth) or
            `superb` (a random fifth, on which the protocol makes its choices: no inner groups).
        draws: dev rows by fold name from a user's split files; they replace the rule `superb`.
        units: (N,) values that inner groups never split; None: speakers.

    Raises:
        TaskError: too few speakers for a split that keeps them apart.
    """
    return tuple(build_one(k, tests, ids, speakers, targets, dev_rule, draws, units) for k in range(len(tests)))


def build_one(
    k: int,
    tests: Mapping[str, np.ndarray],
    ids: np.ndarray,
    speakers: np.ndarray,
    targets: np.ndarray,
    dev_rule: str = "next_folds",
    draws: Mapping[str, np.ndarray] | None = None,
    units: np.ndarray | None = None,
) -> Fold:
    """Fold k of `build`."""
    units = speakers if units is None else units
    name, parts = list(tests)[k], list(tests.values())
    rest = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *parts[:k], *parts[k + 1 :]]))
    if len(set(units[rest])) < 2:
        there = ", ".join(sorted(set(speakers[np.concatenate(parts)])))
        raise TaskError(
            f"fold {name!r}: fewer than two speakers are left to train on (speakers: {there}); a split that keeps "
            "speakers apart, also within training, needs three"
        )
    inner: tuple[np.ndarray, ...] = ()
    if dev_rule == "superb":
        dev = random_fifth(rest, ids, name) if draws is None else draws[name]
    else:
        following = next_folds(k, parts, speakers, targets) if dev_rule == "next_folds" else None
        dev = stratified_fifth(rest, ids, targets, name) if following is None else following
        inner = inner_groups(rest, units, targets)
    return Fold(name, np.setdiff1d(rest, dev), np.sort(dev), np.sort(parts[k]), inner)
