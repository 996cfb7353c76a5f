"""Imports predictions of a system that was not run here, and scores them on the utterances of a cell that was."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import leaderboard
from commons.corridors.measured import Measured
from commons.corridors.predictions import Predictions
from commons.corridors.record import Cell, Downstream, Record, Run, Task, Upstream
from commons.errors import cut
from commons.marks import IMPORTED, UNVERIFIED
from leaderboard.errors import LeaderboardError, NoResult
from leaderboard.records.comparable import question
from leaderboard.records.parquet import kept

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

LARGEST = 1e9  # of a predicted value
MOST_SEED, MOST_SEEDS = 2**31 - 1, 1000
FORM = (
    "columns `id` and `prediction` (or `score:<class>`, from 0 to 1, for every class), `seed` where there are several, "
    "`target` to be checked"
)


def import_predictions(
    results: Path,
    records: Sequence[Record],
    file: Path,
    *,
    name: str,
    task: str,
    head: str = IMPORTED,
    like: str | None = None,
    seen: dict[str, str] | str = "unknown",
) -> Record:
    """The record of a foreign system, written and marked `imported`; its targets, folds and groups are those of a cell.

    Args:
        records: all records of `results`.
        file: CSV with columns `id` and `prediction` (or `score:<class>` for every class), `seed` if several, and
            `target`, if it is to be compared with the task's.
        name: what tables call the system.
        task: a task of which `results` has a cell.
        head: the downstream it is listed under; ranks are within one.
        like: upstream of the cell to take targets and folds from, where versions of the task differ.
        seen: corpora it was trained on and with what (audio, labels), or "unknown".

    Raises:
        NoResult: no cell of the task.
        LeaderboardError: none of the upstream `like`, or several versions of the task; ids that are missing, unknown
            or given twice; predictions that are no class or no number; a name that a measured cell has.
    """
    cell = _cell(records, task, like)
    if any((r.cell.upstream, r.cell.task, r.cell.downstream) == (name, task, head) and IMPORTED not in r.marks
           for r in records):  # fmt: skip
        raise LeaderboardError(f"{name} · {task} · {head} was measured here; give the imported system another --name")
    asked = leaderboard.predictions(results, cell)
    asked = asked[asked["seed"] == asked["seed"].min()].astype({"id": str}).set_index("id")
    table = _answers(file, cell.task, asked)
    key = hashlib.sha256(file.read_bytes() + cell.task.audit.encode()).hexdigest()
    upstream = Upstream.model_validate({"name": name, "title": "imported predictions", "seen": seen, "cite": []})
    deterministic = table["seed"].nunique() == 1
    system = Downstream(name=head, deterministic=deterministic, trained=_trained(records, cell, head), cite=[])
    return leaderboard.record(results, _measured(cell, asked, table, upstream, system, key))


def _measured(
    like: Record, asked: pd.DataFrame, table: pd.DataFrame, upstream: Upstream, system: Downstream, key: str
) -> Measured:
    """Imported predictions as a cell with the task of the cell `like`; `asked`: that cell's rows by utterance id."""
    import numpy as np

    seeds = [int(seed) for seed in sorted(table["seed"].unique())]
    return Measured(
        cell=Cell(
            upstream=upstream.name,
            task=like.cell.task,
            downstream=system.name,
            key=key,
            precision="unknown",
            seeds=seeds,
            limit=like.cell.limit,
        ),
        task=like.task,
        upstream=upstream,
        downstream=system,
        run=Run(device="unknown", emorep=metadata.version("emorep")),
        predictions=Predictions(table, marks=(IMPORTED,)),
        utterances=asked[[column for column in kept(like.task) if column in asked]],
        groups=np.asarray(asked["group"], dtype=object),
    )


def _trained(records: Sequence[Record], like: Record, head: str) -> str | None:
    """What the measured cells of this question and head trained, so that the imported one stands among them.

    None where they stayed frozen, where they differ, and where there is none.
    """
    trained = {
        record.downstream.trained
        for record in records
        if record.cell.downstream == head and question(record) == question(like) and IMPORTED not in record.marks
    }
    return trained.pop() if len(trained) == 1 else None


def _answers(file: Path, task: Task, asked: pd.DataFrame) -> pd.DataFrame:
    """The predictions in a CSV with the folds and targets of a cell.

    Args:
        asked: stored predictions of the cell, one seed, indexed by utterance id.

    Raises:
        LeaderboardError: ids are missing, unknown or given twice; a target is another.
    """
    given = _read(file, task)
    seeds = sorted(given["seed"].unique())
    for seed in seeds:
        own = given.loc[given["seed"] == seed, "id"]
        which = f" of seed {seed}" if len(seeds) > 1 else ""
        _same_ids(file, which, own, asked.index)
    rows = asked.loc[given["id"]]
    if "target" in given and (others := given["id"][given["target"].to_numpy() != rows["target"].to_numpy()]).any():
        first = others.iloc[0]
        theirs, ours = given.loc[given["id"] == first, "target"].iloc[0], asked.loc[first, "target"]
        raise LeaderboardError(
            f"{file}: {len(others)} targets are not those of {task.name}: {first} is {ours!r}, "
            f"not {cut(str(theirs), 60)!r}"
        )
    return given.assign(fold=rows["fold"].to_numpy(), target=rows["target"].to_numpy())


def _cell(records: Sequence[Record], task: str, like: str | None) -> Record:
    """A cell of the task, to take targets, folds and groups from."""
    measured = [r for r in records if not {IMPORTED, UNVERIFIED} & set(r.marks)]
    of_task = [r for r in measured if r.cell.task == task]
    if not of_task:
        raise NoResult("task", task, {r.cell.task for r in measured})
    own = [r for r in of_task if like in (None, r.cell.upstream)]
    if not own:
        known = ", ".join(sorted({r.cell.upstream for r in of_task}))
        raise LeaderboardError(f"no cell of task {task!r} of {like} to compare with; there are: {known}")
    if len({question(r) for r in own}) > 1:
        raise LeaderboardError(f"{task}: the cells here differ in version or utterances; name one upstream with --like")
    return own[0]


def _read(file: Path, task: Task) -> pd.DataFrame:
    """id, seed, prediction and scores of a CSV, checked against the task; `target`, where there is one."""
    import numpy as np

    given = _texts(file)
    scores = [f"score:{name}" for name in task.classes]
    scored = bool(scores) and set(scores) <= set(given)
    if "id" not in given or not ("prediction" in given or scored):
        raise LeaderboardError(f"{file}: has the columns {cut(', '.join(map(str, given.columns)))}; expected: {FORM}")
    given = given[["id", *(name for name in ("seed", "target", "prediction") if name in given), *(scores * scored)]]
    if given.isna().any().any() or not len(given):
        column = next((c for c in given if given[c].isna().any()), "id")
        raise LeaderboardError(f"{file}: empty values in column {column!r}; every utterance needs one")
    for name in scores * scored:
        given = given.assign(
            **{name: _numbers(file, given, name, (0.0, 1.0), "a score from 0 to 1").astype(np.float32)}
        )
    if scored and "prediction" not in given:
        best = given[scores].to_numpy().argmax(axis=1)
        given = given.assign(prediction=np.array(task.classes, dtype=object)[best])
    if task.classes:
        if strange := sorted(set(given["prediction"]) - set(task.classes)):
            raise LeaderboardError(f"{file}: {cut(strange[0])!r} is no class of {task.name}: {', '.join(task.classes)}")
        if scored:
            _check_scores(file, given, task.classes)
    else:
        for name in {"prediction", "target"} & set(given):
            limits = (-LARGEST, LARGEST)
            given = given.assign(**{name: _numbers(file, given, name, limits, f"a number of up to {LARGEST:g}")})
    if "seed" not in given:
        return given.assign(seed=0)
    words = f"a seed, a whole number from 0 to {MOST_SEED}"
    seeds = _numbers(file, given, "seed", (0.0, float(MOST_SEED)), words, whole=True).astype(np.int64)
    if len(np.unique(seeds)) > MOST_SEEDS:
        raise LeaderboardError(f"{file}: {len(np.unique(seeds))} seeds; up to {MOST_SEEDS} are taken")
    return given.assign(seed=seeds)


def _check_scores(file: Path, given: pd.DataFrame, classes: Sequence[str]) -> None:
    """Raise LeaderboardError where the scores of an utterance are all 0, or its prediction has not the highest."""
    import numpy as np
    import pandas as pd

    scores = given[[f"score:{name}" for name in classes]].to_numpy()
    own = scores[np.arange(len(given)), pd.Index(classes).get_indexer(pd.Index(given["prediction"]))]
    for wrong, why in (
        (scores.sum(1) == 0, "has scores that are all 0"),
        (own < scores.max(1), "has a prediction that is not the class with the highest score"),
    ):
        if wrong.any():
            first = cut(given["id"][wrong].iloc[0])
            raise LeaderboardError(f"{file}: {first} {why}; correct it, or leave the scores out")


def _texts(file: Path) -> pd.DataFrame:
    """The CSV with every value as text; what is empty is missing."""
    import pandas as pd

    try:
        if file.is_dir():
            raise IsADirectoryError("it is a folder")
        return pd.read_csv(file, dtype=str, encoding="utf-8-sig", keep_default_na=False, na_values=[""])
    except FileNotFoundError:
        raise LeaderboardError(f"{file}: no such file; a CSV with {FORM} is expected") from None
    except Exception as error:  # pandas opens archives too, each kind of which fails by an error of its own
        said = cut(" ".join(str(error).split()) or type(error).__name__)
        raise LeaderboardError(f"{file}: cannot be read as CSV ({said}); expected: {FORM}") from None


def _numbers(
    file: Path, given: pd.DataFrame, column: str, limits: tuple[float, float], words: str, *, whole: bool = False
) -> np.ndarray:
    """(N,) numbers of a column of texts. Raises LeaderboardError: one is none, or is not within `limits`; names it."""
    import numpy as np
    import pandas as pd

    values = pd.to_numeric(given[column], errors="coerce").to_numpy(dtype=np.float64)
    with np.errstate(invalid="ignore"):
        fine = np.isfinite(values) & (values >= limits[0]) & (values <= limits[1])
        fine &= (values == np.floor(values)) | (not whole)
    if not fine.all():
        row = int(np.argmin(fine))
        shown, of = cut(given[column].iloc[row], 60), cut(given["id"].iloc[row], 60)
        raise LeaderboardError(f"{file}: {column} of {of}: {shown!r} is not {words}")
    return values


def _same_ids(file: Path, which: str, given: pd.Series, asked: pd.Index) -> None:
    """Raise LeaderboardError unless every utterance of the test is answered once, and no other."""
    import pandas as pd

    missing, unknown = asked.difference(pd.Index(given)), given[~given.isin(asked)]
    for what, ids in (("unknown", unknown), ("missing", missing), ("given twice", given[given.duplicated()])):
        if len(ids):
            shown = ", ".join(cut(one, 60) for one in sorted(set(ids))[:3]) + (" ..." if len(ids) > 3 else "")
            raise LeaderboardError(f"{file}: {len(ids)} ids{which} are {what}: {shown}; the test has {len(asked)}")
