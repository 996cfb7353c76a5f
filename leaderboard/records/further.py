"""Figures of further targets and of probes, which stand beside those of the task: their tables, files and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from commons.corridors.record import Further, Record, Score, Task
from leaderboard.errors import LeaderboardError
from leaderboard.records import parquet

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from commons.corridors.predictions import Further as Predicted

ENDING = "further.parquet"
ALIKE = ("speaker", "sentence", "repetition", "emotion")  # what two utterances of a pair share, as far as it is known
NEEDED = ("speaker", "sentence", "emotion")  # without these there are no pairs
# The metrics of each kind; tables show the first. A speaker is a group of its own, so UA of speakers has no interval.
SHOWN = {"classification": ("UA", "WA"), "ordinal": ("UA", "level_MAE", "Spearman", "pairs"), "sequence": ("PER",)}
OF_SPEAKERS = ("WA", "UA")


@dataclass(frozen=True)
class Beside:
    """One further target with its predictions, as it is stored and scored: `facts` are `Further`'s without figures."""

    facts: dict[str, object]
    table: pd.DataFrame


def beside(
    several: Sequence[Predicted], utterances: pd.DataFrame, groups: np.ndarray, before: Mapping[str, Beside]
) -> dict[str, Beside]:
    """What stands beside the figures of a cell, by name, with groups.

    Args:
        utterances, groups: of the cell.
        before: what the record that is extended has; the seeds are added to it.

    Raises:
        LeaderboardError: the predictions are not those of the utterances, or the record has other further targets.
    """
    import pandas as pd

    made = {}
    for one in several:
        pairs = [name for name in ALIKE if name in utterances]
        if one.kind != "ordinal" or not set(NEEDED) <= set(pairs):
            pairs = []
        facts: dict[str, object] = {
            "kind": one.kind,
            "classes": list(one.classes),
            "levels": list(one.places),
            "pairs": pairs,
            "headline": _metrics(one.name, one.kind)[0],
        }
        made[one.name] = Beside(facts, _with_groups(one, utterances, groups, pairs))
    both = [name for name in before if name in made]
    if differing := [name for name in both if before[name].facts != made[name].facts]:
        raise LeaderboardError(
            f"further targets: {', '.join(differing)} of the record is another one than these seeds have; --force "
            "measures all seeds again"
        )
    joined = {
        name: Beside(made[name].facts, pd.concat([before[name].table, made[name].table], ignore_index=True))
        for name in both
    }
    return {**before, **made, **joined}  # of draws of few utterances, some may not have a target


def stored(path: Path, record: Record) -> dict[str, Beside]:
    """What the record at `path` has beside its figures.

    Raises:
        LeaderboardError: a file cannot be read, or is not the recorded one.
    """
    figures = {"n", "groups", "metrics", "by_seed", "file"}
    return {
        name: Beside(own.model_dump(exclude=figures), parquet.table_of(path, own.file))
        for name, own in record.further.items()
    }


def save(path: Path, several: Mapping[str, Beside], task: Task) -> dict[str, Further]:
    """Write the predictions beside the record at `path`; returns their figures and files."""
    made = {}
    for name, own in several.items():
        file = parquet.save(path, ENDING, parquet.arrow(own.table))
        made[name] = Further.model_validate(own.facts | scores(name, own, task) | {"file": file})
    return made


def scores(name: str, own: Beside, task: Task) -> dict[str, object]:
    """The figures of a further target: how many answers and groups, metrics with intervals, and values of seeds."""
    from leaderboard.records import scoring

    kind = str(own.facts["kind"])
    if kind == "sequence":
        return _of_sequences(own.table)
    pairs = list(map(str, own.facts["pairs"])) if isinstance(own.facts["pairs"], list) else []
    shown = [m for m in _metrics(name, kind) if pairs or m != "pairs"]
    # Scored as a task of its own, over all corpora; without pairs every utterance is alone.
    asked = task.model_copy(update=own.facts | {"metrics": shown, "pairs": pairs or ["id"], "corpora": {}})
    made = scoring.score(own.table, asked)
    return {
        "n": made.counts.n,
        "groups": made.counts.groups,
        "metrics": {metric: made.metrics[metric] for metric in shown},
        "by_seed": {metric: made.by_seed[metric] for metric in shown},
    }


def computed_again(path: Path, record: Record) -> dict[str, tuple[Further, Further]]:
    """For each further target of the record at `path` its figures as recorded, and as its predictions give them now.

    Raises:
        LeaderboardError: as `stored`.
    """
    made = {}
    for name, own in stored(path, record).items():
        before = record.further[name]
        now = own.facts | scores(name, own, record.task) | {"file": before.file}
        made[name] = before, Further.model_validate(now)
    return made


def headlines(record: Record) -> dict[str, tuple[str, Score]]:
    """What tables show beside the task's figures: the head of a column -> its metric and figure."""
    return {
        called(name, own.headline): (own.headline, own.metrics[own.headline]) for name, own in record.further.items()
    }


def called(name: str, metric: str) -> str:
    """What tables call a figure of a further target.

    >>> called("gender_probe", "UA"), called("phonemes", "PER")
    ('gender probe UA', 'PER')
    """
    return metric if metric == "PER" else f"{name.replace('_', ' ')} {metric}"


def _metrics(name: str, kind: str) -> tuple[str, ...]:
    return OF_SPEAKERS if name.startswith("speaker") else SHOWN[kind]


def _with_groups(one: Predicted, utterances: pd.DataFrame, groups: np.ndarray, pairs: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    rows = utterances.index.get_indexer(pd.Index(one.table["id"]))
    if (rows < 0).any():
        raise LeaderboardError(f"predictions of {one.name}: {one.table['id'].iloc[rows.argmin()]!r} is no utterance")
    # What a corpus does not tell, such as repetitions, is alike in all its utterances; without NEEDED one is alone.
    known = {name: utterances[name] if name in NEEDED else utterances[name].fillna("") for name in pairs}
    added = {name: column.to_numpy(dtype=object)[rows] for name, column in known.items()}
    return one.table.assign(group=groups.astype(object)[rows], **added)


def _of_sequences(table: pd.DataFrame) -> dict[str, object]:
    """The error rate: errors of all utterances over symbols of all references; groups are left out whole."""
    import numpy as np
    import pandas as pd

    from commons import sequences
    from leaderboard.records import scoring

    seeds, seed = np.unique(table["seed"].to_numpy(), return_inverse=True)
    group, names = pd.factorize(table["group"])
    sums = sequences.sums(
        table["target"].tolist(), table["prediction"].tolist(), seed * len(names) + group, len(seeds) * len(names)
    ).reshape(len(seeds), len(names), 2)
    from commons.metrics import METRICS

    metric = METRICS["PER"]
    return {
        "n": int((seed == 0).sum()),
        "groups": len(names),
        "metrics": {"PER": scoring.pooled(sums, metric)},
        "by_seed": {"PER": [float(value) for value in metric(sums.sum(1))]},
    }
