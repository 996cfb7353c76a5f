"""Weights of fitted heads beside records: `RESULTS/<upstream>/<task>/<downstream>.weights/seed-<n>/`.

Each seed has a folder of its own, whose index.json names the cell, its key, and every file with its sha256. What else
the index says, and what the files hold, is the business of those who write and read them.
"""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import JsonValue

from commons import files, hashing
from commons.corridors.record import Record
from leaderboard.errors import LeaderboardError
from leaderboard.records.files import LIMITED, path_of, writing

INDEX, SUFFIX, SEED = "index.json", ".weights", "seed-"
Content = dict[str, JsonValue]


def folder_of(results: Path, upstream: str, task: str, downstream: str) -> Path:
    """Where the weights of a cell lie: a folder of each seed is in it."""
    record = path_of(results, upstream, task, downstream)
    return record.with_name(record.name.removesuffix(".json") + SUFFIX)


def write(
    results: Path, cell: tuple[str, str, str], key: str, seed: int, fill: Callable[[Path], Mapping[str, JsonValue]]
) -> Path:
    """Write the weights of one seed, whole or not at all, in place of earlier ones; returns their folder.

    Args:
        key: of the cell.
        fill: writes the files into the folder that it gets, and returns what the index has to say of them.

    Raises:
        LeaderboardError: they cannot be written.
    """
    folder = folder_of(results, *cell) / f"{SEED}{seed}"
    aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:12]}{files.SUFFIX}")
    with writing(folder):
        aside.mkdir(parents=True)
        try:
            _sweep(folder.parent)
            about = fill(aside)
            held = {path.relative_to(aside).as_posix(): hashing.of_file(path) for path in _files(aside)}
            upstream, task, downstream = cell
            content: Content = {
                "version": 1, "upstream": upstream, "task": task, "downstream": downstream, "key": key, "seed": seed,
                "content": dict(about), "files": dict(sorted(held.items())),
            }  # fmt: skip
            content["sha256"] = hashing.of_compact_json(content)
            files.write(aside / INDEX, json.dumps(content, indent=1) + "\n")
            shutil.rmtree(folder, ignore_errors=True)
            aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return folder


def seeds(results: Path, record: Record) -> list[int]:
    """The seeds of a record whose weights are there, and are those of this record by its key."""
    cell = record.cell
    folder = folder_of(results, cell.upstream, cell.task, cell.downstream)
    return [seed for seed in cell.seeds if _key(folder / f"{SEED}{seed}" / INDEX) == cell.key]


def read(results: Path, record: Record, seed: int) -> tuple[Path, dict[str, JsonValue]]:
    """The folder with the weights of a seed, and what its index says of them.

    Raises:
        LeaderboardError: they are damaged, or are not there.
    """
    cell = record.cell
    folder = folder_of(results, cell.upstream, cell.task, cell.downstream) / f"{SEED}{seed}"
    content, damage = _examined(folder)
    if damage:
        raise LeaderboardError("\n".join(damage))
    about = content["content"]
    assert isinstance(about, dict)
    return folder, about


def remove(results: Path, upstream: str, task: str, downstream: str) -> None:
    """Remove the weights of a cell, which is measured anew."""
    shutil.rmtree(folder_of(results, upstream, task, downstream), ignore_errors=True)


def verify(results: Path, records: Mapping[Path, Record | None]) -> list[str]:
    """A line for every file of weights that is damaged or missing, and for weights that are not of their record.

    Args:
        records: by the paths of their files; None: damaged.
    """
    lines: list[str] = []
    for folder in sorted(results.glob(f"*/*/*{SUFFIX}/{SEED}*")):
        if folder.relative_to(results).parts[0] == LIMITED:
            continue
        path = folder.parent.with_name(folder.parent.name.removesuffix(SUFFIX) + ".json")
        content, damage = _examined(folder)
        lines += damage
        if damage or (path in records and records[path] is None):
            continue
        record = records.get(path)
        if record is None:
            lines.append(f"{folder}: weights of a cell that has no record; remove the folder")
        elif content["key"] != record.cell.key or content["seed"] not in record.cell.seeds:
            lines.append(f"{folder}: weights of an earlier record of the cell; run it again with --keep-weights")
    return lines


def _key(index: Path) -> str | None:
    """The key that an index names; None where there is none that can be read."""
    try:
        return str(json.loads(index.read_text(encoding="utf-8"))["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _examined(folder: Path) -> tuple[Content, list[str]]:
    """The content of a folder's index, and a line for everything that is wrong with the folder."""
    remedy = "run the cell again with --force --keep-weights"
    try:
        content = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        rest = {name: value for name, value in content.items() if name != "sha256"}
        whole = content["sha256"] == hashing.of_compact_json(rest) and isinstance(content["content"], dict)
        listed: dict[str, str] = content["files"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return {}, [f"{folder / INDEX}: cannot be read ({error}); {remedy}"]
    if not whole:
        return {}, [f"{folder / INDEX}: was changed after it was written; {remedy}"]
    there = {path.relative_to(folder).as_posix() for path in _files(folder)} - {INDEX}
    lines = [f"{folder / name}: is missing; {remedy}" for name in sorted(listed.keys() - there)]
    lines += [f"{folder / name}: is in no index; remove it" for name in sorted(there - listed.keys())]
    for name in sorted(listed.keys() & there):
        if hashing.of_file(folder / name) != listed[name]:
            lines.append(f"{folder / name}: its sha256 is not the recorded one; {remedy}")
    return content, lines


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _sweep(folder: Path) -> None:
    """Remove what killed runs left half written more than a day ago."""
    for path in folder.glob(f".{SEED}*{files.SUFFIX}"):
        if time.time() - path.stat().st_mtime > files.STALE:
            shutil.rmtree(path, ignore_errors=True)
