"""RUN/recipe.json: what decides a run, and what of it differs from what is asked for. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from commons import hashing
from upstreams.pretraining.recipe_sections import FREE, SCORES, Recipe

FILE = "recipe.json"
VERSION = 1
FILES = {"init", SCORES}  # settings that name files, of which the content counts and not the place


def of(recipe: Recipe, audio: str, teacher: object = None) -> dict[str, object]:
    """What decides a run: its recipe, and hashes of its speech and of the files that the recipe names.

    `teacher`: fingerprint of the upstream whose frames are learnt. Raises OSError where a file cannot be read.
    """
    files = {"init": recipe.init, SCORES: recipe.score_file}
    paths = {key: Path(file).expanduser() for key, file in files.items() if file is not None}
    hashes = {key: _hash(path, path.stat().st_mtime_ns, path.stat().st_size) for key, path in paths.items()}
    taught = {} if teacher is None else {"teacher": teacher}
    return {"version": VERSION, "audio": audio, "recipe": recipe.plain(), **hashes, **taught}


@cache
def _hash(path: Path, changed: int, size: int) -> str:
    return hashing.of_file(path)


def read(run: Path) -> object:
    """The record of a run. Raises OSError: it cannot be read; ValueError: it is damaged."""
    return json.loads((run / FILE).read_text())


def differences(before: object, asked: object) -> dict[str, tuple[object, object]]:
    """Name -> (value before, value that is asked for) of each setting that differs; None for one that is absent.

    Settings that decide nothing are left out.
    """
    return {name: (then, now) for name, then, now in _differing(_deciding(before), _deciding(asked))}


def _deciding(record: object) -> object:
    if not (isinstance(record, dict) and isinstance(record.get("recipe"), dict)):
        return record
    return {**record, "recipe": {key: value for key, value in record["recipe"].items() if key not in FREE | FILES}}


def _differing(a: object, b: object, name: str = "") -> Iterator[tuple[str, object, object]]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in a.keys() | b.keys():
            yield from _differing(a.get(key), b.get(key), key if name in ("", "recipe") else f"{name}.{key}")
    elif a != b:
        yield name, a, b
