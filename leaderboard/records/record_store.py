"""Result files: `results/<upstream>/<task>/<downstream>.json` and the Parquet files that it names."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from commons.corridors.predictions import Choice
from commons.corridors.record import SCHEMA_VERSION, Cell, Chosen, File, Files, Record, Run, Task, Upstream
from commons.errors import EmorepError
from commons.files import write
from commons.hashing import of_compact_json
from commons.marks import EDGE, OLD_INTERVALS, ONE_SEED
from leaderboard.errors import LeaderboardError
from leaderboard.records import earlier, further, parquet
from leaderboard.records.files import encode, path_of, paths, sweep, writing

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from commons.corridors.measured import Measured


LOOKS = 20  # attempts to read a record that other processes keep replacing
T = TypeVar("T")


@dataclass(frozen=True)
class _AllSeeds:
    """A cell with the seeds measured now and those of the record that it extends.

    Attributes:
        table: predictions with groups, as stored.
        marks: of the head.
        beside: further targets and probes, with their predictions.
    """

    cell: Cell
    table: pd.DataFrame
    chosen: Chosen
    marks: set[str]
    beside: dict[str, further.Beside]


def record(results: Path, measured: Measured, extends: Record | None) -> Record:
    """Score what was measured, write the Parquet files and then the record, which is returned."""
    from leaderboard.records.scoring import score

    if measured.task.aspect is None:
        raise LeaderboardError("record: task.aspect is null; it says what a task asks, and is empty for emotion")
    path = path_of(results, measured.cell.upstream, measured.cell.task, measured.cell.downstream)
    whole = _all_seeds(path, measured, extends)
    task, upstream, run = measured.task, measured.upstream, measured.run
    scores = score(whole.table, task)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        result = Record(
            schema_version=SCHEMA_VERSION,
            created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            cell=whole.cell,
            marks=sorted({*task.marks, *run.marks, *whole.marks, *contamination(upstream, task)}),
            scores=scores,
            chosen=whole.chosen,
            task=task,
            upstream=upstream,
            downstream=measured.downstream,
            run=run,
            files=_save(path, whole.table, measured, extends),
            further=further.save(path, whole.beside, task),
            earlier_runs=_earlier_runs(extends, run) if extends else [],
        )
    return put(path, result)


def put(path: Path, made: Record) -> Record:
    """Write a record, whose Parquet files are there, with its checksum; files that only the one before named go.

    Raises:
        LeaderboardError: it cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        before = _named_files(path)
        made = summed(made)
        write(path, dumps(made))
        _remove_old(path, before)
    return made


def summed(made: Record) -> Record:
    """The record with the checksum of its content."""
    return made.model_copy(update={"checksum": checksum(made.model_dump_json())})


def dumps(made: Record) -> str:
    """The content of a record's file."""
    return made.model_dump_json(indent=1) + "\n"


def _all_seeds(path: Path, measured: Measured, extends: Record | None) -> _AllSeeds:
    """What was measured, added to the record at `path` that it extends.

    Raises:
        LeaderboardError: the files of that record are damaged, or the predictions do not fit the task.
    """
    made = measured.predictions
    table = parquet.predictions_table(made, measured.task, measured.utterances, measured.groups)
    cell, marks = measured.cell, set(made.marks)
    chosen = Chosen(
        layer=made.layer,
        dev_by_layer=_mean_over_folds(made.dev_by_layer),
        folds=_plain(made.choices),
        layer_weights=made.layer_weights,
        features=made.features,
        curves=_plain(made.curves),
    )
    if extends:
        if damage := parquet.damaged(path, extends, contents=True):
            remedy = "seeds can be added to intact files only; --force measures all seeds again"
            raise LeaderboardError("\n".join([*damage, remedy]))
        table = parquet.extended(parquet.read(path, extends), table)
        chosen = _extended(extends.chosen, chosen)
        marks |= set(extends.marks) - {EDGE, OLD_INTERVALS, ONE_SEED}
        cell = cell.model_copy(update={"seeds": sorted({*extends.cell.seeds, *cell.seeds})})
    if sum(choice.get("edge") is True for choice in chosen.folds) > len(chosen.folds) / 2:
        marks.add(EDGE)
    if earlier.is_of_one_seed(cell, measured.downstream):
        marks.add(ONE_SEED)
    beside = further.beside(
        made.further, measured.utterances, measured.groups, further.stored(path, extends) if extends else {}
    )
    return _AllSeeds(cell, table, chosen, marks, beside)


def _save(path: Path, table: pd.DataFrame, measured: Measured, extends: Record | None) -> Files:
    """Write the Parquet files beside a record. The vectors are those of the first seed: an extended record keeps its
    own. Where seeds before have nothing held out, there is nothing for all of them."""
    import pandas as pd

    predictions = parquet.save(path, "parquet", parquet.arrow(table))
    held_out = measured.predictions.held_out
    if extends:
        before = parquet.held_out(path, extends)
        held_out = None if before is None or held_out is None else pd.concat([before, held_out], ignore_index=True)
        rest = extends.files
    else:
        vectors = parquet.vectors_table(table, measured.pooled, measured.predictions.outputs)
        rest = Files(
            predictions=predictions,
            vectors=parquet.save(path, "vectors.parquet", vectors) if vectors else None,
            facts=_saved(path, "facts.parquet", parquet.facts_table(table, measured.utterances)),
        )
    added = {"predictions": predictions, "held_out": _saved(path, "held-out.parquet", held_out)}
    return rest.model_copy(update=added)


def _saved(path: Path, ending: str, table: pd.DataFrame | None) -> File | None:
    return None if table is None else parquet.save(path, ending, parquet.arrow(table))


def _remove_old(path: Path, before: set[str]) -> None:
    """Remove the files that the record at `path` named before and does not name now, and what killed runs left.

    Other files stay: another process may be about to name them.
    """
    now = _named_files(path)
    for name in before - now:
        (path.parent / name).unlink(missing_ok=True)
    sweep(path, now)


def find(
    results: Path,
    upstream: str,
    task: str,
    downstream: str,
    *,
    verify: bool = False,
    warn: Callable[[str], None] | None = None,
) -> Record | None:
    """The record of a cell, or None where there is none or it is damaged (`warn` then gets the reason)."""
    stored, damage = _with_files(results, path_of(results, upstream, task, downstream), contents=verify)
    if damage and warn:
        warn("\n".join(damage))
    return None if damage else stored


def load(results: Path) -> tuple[list[Record], list[str]]:
    """All whole records, sorted, and a line for every damaged one."""
    records: list[Record] = []
    problems: list[str] = []
    for path in paths(results):
        stored, damage = _with_files(results, path)
        problems += damage
        if stored and not damage:
            records.append(stored)
    return sorted(records, key=lambda r: (r.cell.upstream, r.cell.task, r.cell.downstream)), problems


def examples(results: Path, upstream: str, most: int) -> list[Record]:
    """Some whole records of an upstream."""
    several = islice((results / encode(upstream)).glob("*/*.json"), most)
    return [stored for path in several if (stored := examine(results, path)[0])]


def predictions(results: Path, record: Record) -> pd.DataFrame:
    """The stored predictions of a record, all columns."""
    cell = record.cell
    return parquet.read(path_of(results, cell.upstream, cell.task, cell.downstream), record)


def examine(results: Path, path: Path) -> tuple[Record | None, list[str]]:
    """The record in a file (None if absent or unreadable), and what is wrong with it."""
    try:
        stored, intact = read(path)
    except FileNotFoundError:
        return None, []
    except EmorepError as error:
        return None, [str(error)]
    cell = stored.cell
    if path_of(results, cell.upstream, cell.task, cell.downstream) != path:
        whose = f"{cell.upstream}, {cell.task}, {cell.downstream}"
        return None, [f"{path}: holds the record of {whose}; move it to its place or remove it"]
    if not intact:
        changed = "damaged record: its content does not fit its checksum, so it was changed after it was written"
        return stored, [f"{path}: {changed}; run the cell again, or see `python -m leaderboard verify`"]
    return stored, []


def _with_files(results: Path, path: Path, *, contents: bool = False) -> tuple[Record | None, list[str]]:
    """The record in a file, as `examine` returns it, and also what is wrong with the files that it names."""

    def look() -> tuple[Record | None, list[str]]:
        stored, damage = examine(results, path)
        return stored, damage + (parquet.damaged(path, stored, contents=contents) if stored else [])

    return settled(path, look)


def intact(results: Path, records: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """Of some records those whose predictions are the recorded ones, byte by byte, and a line for every other.

    A record that another process replaced since it was read is read again.
    """
    kept, problems = [], []
    for one in records:
        path = path_of(results, one.cell.upstream, one.cell.task, one.cell.downstream)
        stored: Record | None = one
        if damage := parquet.damaged_predictions(path, one):
            stored, damage = _with_files(results, path, contents=True)
        problems += damage
        if stored and not damage:
            kept.append(stored)
    return kept, problems


def settled(path: Path, look: Callable[[], tuple[T, list[str]]]) -> tuple[T, list[str]]:
    """What `look` returns for the record at `path`, with what is wrong with it.

    Between two steps of `look` another process may replace the record and remove the files of the old one. So where
    something is wrong and the record was replaced meanwhile, `look` is called again.
    """
    for _ in range(LOOKS):
        before = _identity(path)
        stored, damage = look()
        if not damage or _identity(path) == before:
            break
    return stored, damage


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Facts of the file that change when the record is replaced; None where there is no file."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns, facts.st_size


def checksum(content: str | bytes) -> str:
    """sha256 of a record's JSON without its checksum; order and spacing of the keys do not matter.

    It is computed from the JSON and not from the `Record`, since an old record lacks the keys that were added later.
    """
    rest = {key: value for key, value in json.loads(content).items() if key != "checksum"}
    return of_compact_json(rest)


def read(path: Path) -> tuple[Record, bool]:
    """The record in a file, and whether its checksum is that of its content (a record of an early version has none).

    Fields that were added since it was written are filled in.

    Raises:
        FileNotFoundError: there is none.
        LeaderboardError: it is not a whole record.
    """
    remedy = "run the cell again to replace it"
    try:
        content = path.read_bytes()
        stored = Record.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "file"
        if key == "schema_version" and first["type"] == "less_than_equal":
            newer = f"{path}: written by a newer emorep (schema {first['input']}); update to read it"
            raise LeaderboardError(newer) from None
        raise LeaderboardError(f"{path}: damaged record, {key}: {first['msg']}; {remedy}") from None
    except FileNotFoundError:
        raise
    except OSError as error:
        raise LeaderboardError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    return earlier.completed(stored), stored.checksum in (None, checksum(content))


def contamination(upstream: Upstream, task: Task) -> set[str]:
    """Marks for what an upstream may have learned of a task's corpus (or of one with the same speakers).

    Names are compared by their letters and digits: emov_db and EmoV-DB are one.
    """
    seen = upstream.seen_by_parts if upstream.seen == "unknown" else upstream.seen or {}
    names = {_letters(name) for name in (task.corpus, task.family, *task.corpora_of_family) if name}
    levels = {level for corpus, level in seen.items() if _letters(corpus) in names}
    others = {"seen:unknown"} if upstream.seen == "unknown" or "unknown" in seen else set()  # beside those named
    return {f"contaminated:{level}" for level in levels} | others


def _letters(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _named_files(path: Path) -> set[str]:
    """Names of the files that the record at `path` names now; none where it is absent or damaged."""
    try:
        files = parquet.named(read(path)[0])
    except (FileNotFoundError, LeaderboardError):
        return set()
    return {file.name for file in files if Path(file.name).name == file.name}


def _mean_over_folds(dev_by_layer: np.ndarray | None) -> list[float | None] | None:
    if dev_by_layer is None:
        return None
    return [float(mean) if math.isfinite(mean) else None for mean in dev_by_layer.mean(axis=0)]


def _extended(before: Chosen, more: Chosen) -> Chosen:
    """The recorded choices with those of more seeds after them; what belongs to the first seed alone stays."""
    weights = None if before.layer_weights is None else [*before.layer_weights, *(more.layer_weights or [])]
    features = None if before.features is None else [*before.features, *(more.features or [])]
    added = {"folds": before.folds + more.folds, "layer_weights": weights, "features": features}
    return before.model_copy(update={**added, "curves": before.curves + more.curves})


def _earlier_runs(extends: Record, run: Run) -> list[Run]:
    """The runs that measured the seeds of an extended record, without those equal to `run` or to a later one."""
    kept: list[Run] = []
    known = [_facts(run)]
    for one in reversed([*extends.earlier_runs, extends.run]):
        if _facts(one) not in known:
            known.append(_facts(one))
            kept.append(one)
    return kept[::-1]


def _facts(run: Run) -> dict[str, object]:
    return run.model_dump(exclude={"seconds", "peak_memory_mb", "peak_gpu_memory_mb"})


def _plain(choices: Sequence[Choice]) -> list[Choice]:
    """The choices with numpy's scalars as Python's, and None for what is not finite."""
    plain = [{key: getattr(value, "item", lambda value=value: value)() for key, value in c.items()} for c in choices]
    return [{k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in c.items()} for c in plain]
