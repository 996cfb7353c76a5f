"""RUN/recipe.json: what decides a run, and what of it differs from what is asked for. Imports no torch by itself."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path

from commons import hashing
from commons.errors import EmorepError
from upstreams.pretraining.recipe_sections import FREE, Recipe

FILE = "recipe.json"
VERSION = 1
CONTENTS = ("init", "scores", "distil")  # settings that name files or an upstream: the content counts, not the place


def of(recipe: Recipe, audio: str) -> dict[str, object]:
    """What decides a run: its recipe, and hashes of its speech and of the files and the upstream that the recipe names.

    Raises OSError: a file cannot be read; EmorepError: there is no such upstream.
    """
    paths = {key: Path(file).expanduser() for key, file in recipe.files.items()}
    hashes = {key: _hash(path, path.stat().st_mtime_ns, path.stat().st_size) for key, path in paths.items()}
    if recipe.teacher_frames:
        from upstreams.pretraining.checkpoints import taught_by
        from upstreams.pretraining.given_frames import teacher_of

        hashes["distil"] = taught_by(teacher_of(recipe.teacher_frames))
    return {"version": VERSION, "audio": audio, "recipe": recipe.plain(), **hashes}


def of_finished(recipe: Recipe, audio: str) -> dict[str, object]:
    """The same for a run that is done: where the upstream that taught it is not here, its name counts."""
    try:
        return of(recipe, audio)
    except EmorepError:
        return of(recipe.model_copy(update={"distil": None}), audio) | {"recipe": recipe.plain()}


@cache
def _hash(path: Path, changed: int, size: int) -> str:
    return hashing.of_file(path)


def read(run: Path) -> object:
    """The record of a run. Raises OSError: it cannot be read; ValueError: it is damaged."""
    return json.loads((run / FILE).read_text())


def differences(before: object, asked: object) -> dict[str, tuple[object, object]]:
    """Name -> (value before, value that is asked for) of each setting that differs; None for one that is absent.

    Settings that decide nothing are left out. Of contents the hashes are compared, or the names where one record has
    none, as those of earlier versions.
    """
    hashed = [key for key in CONTENTS if all(isinstance(one, dict) and key in one for one in (before, asked))]
    several = _differing(_deciding(before, hashed), _deciding(asked, hashed))
    return {name: (then, now) for name, then, now in several}


def without_places(settings: Mapping[str, object], hashed: Collection[str] = CONTENTS) -> dict[str, object]:
    """Settings of a recipe, without those that name the contents `hashed`; of the upstream's section the rest stays."""
    kept = {key: value for key, value in settings.items() if key not in hashed}
    distil = settings.get("distil")
    if "distil" in hashed and isinstance(distil, dict):
        kept["distil"] = {key: value for key, value in distil.items() if key != "upstream"}
    return kept


def _deciding(record: object, hashed: Collection[str]) -> object:
    if not (isinstance(record, dict) and isinstance(record.get("recipe"), dict)):
        return record
    settings = {key: value for key, value in record["recipe"].items() if key not in FREE}
    kept = {key: value for key, value in record.items() if key not in CONTENTS or key in hashed}
    return {**kept, "recipe": without_places(settings, hashed)}


def _differing(a: object, b: object, name: str = "") -> Iterator[tuple[str, object, object]]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in a.keys() | b.keys():
            yield from _differing(a.get(key), b.get(key), key if name in ("", "recipe") else f"{name}.{key}")
    elif a != b:
        yield name, a, b
