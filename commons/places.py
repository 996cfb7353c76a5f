"""Folders that a command line may name, and their defaults from the environment.

Only command lines read the environment; other code gets these values as arguments.
"""

from __future__ import annotations

import argparse
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from commons.errors import Refused, cut

DATA = "data"  # the folder of corpora unless another is named
NO_DATA = "there is no such folder; name the folder of your corpora with --data or $EMOREP_DATA"


@dataclass(frozen=True)
class Places:
    """Folders of one request.

    Attributes:
        data: holds a folder for each corpus.
        cache: features, the index of audio contents, the embedded corpus.
        results: records; runs: pre-training runs.
        weights: copies of the hub's repositories, such as weights/facebook/wav2vec2-base; None: no such folder.
        emobox: EmoBox's fold files; None: the folder EmoBox under `data`.
        modelscope: ModelScope's cache.
        below: further caches, which are read and never written.
    """

    data: Path = Path(DATA)
    cache: Path = field(default_factory=lambda: Path("~/.cache/emorep").expanduser())
    results: Path = Path("results")
    runs: Path = Path("runs")
    weights: Path | None = None
    emobox: Path | None = None
    modelscope: Path = field(default_factory=lambda: Path("~/.cache/modelscope").expanduser())
    below: tuple[Path, ...] = ()


FIELDS = {field.name for field in fields(Places)} - {"below"}
FROM = {
    "data": "EMOREP_DATA",
    "cache": "EMOREP_CACHE",
    "runs": "EMOREP_RUNS",
    "weights": "EMOREP_WEIGHTS",
    "emobox": "EMOREP_EMOBOX",
    "modelscope": "MODELSCOPE_CACHE",
}
HELP = {
    "data": "holds a folder for each corpus (default: $EMOREP_DATA, else ./data)",
    "cache": "features, and an index of audio files; A:B writes to A and reads B, too (default: $EMOREP_CACHE, else "
    "~/.cache/emorep)",
    "results": "default: ./results",
    "runs": "pre-training runs (default: $EMOREP_RUNS, else ./runs)",
}


def of_environment(environment: Mapping[str, str] = os.environ) -> Places:
    """The places that the environment names, which are the defaults of command lines."""
    given = {name: Path(environment[key]).expanduser() for name, key in FROM.items() if environment.get(key)}
    return layered(Places(below=(), **given))


def expanded(path: str) -> Path:
    """The path with `~` as the home of a user. Raises Refused: there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise Refused(f"{cut(path)!r}: there is no home of such a user; write out the path") from error


def add_to(parser: argparse.ArgumentParser, *names: str) -> None:
    """Give a command line the options of these places, such as --data DIR."""
    defaults = of_environment()
    for name in names:
        parser.add_argument(f"--{name}", metavar="DIR", type=Path, default=_default(defaults, name), help=HELP[name])


def _default(places: Places, name: str) -> Path:
    """The default of an option, as a user would write it."""
    if name == "cache":
        return Path(":".join(map(str, (places.cache, *places.below))))
    return getattr(places, name)


def chosen(options: argparse.Namespace) -> Places:
    """The places of a parsed command line, `~` expanded; places without an option come from the environment."""
    given = {name: Path(place).expanduser() for name, place in vars(options).items() if name in FIELDS and place}
    below = () if "cache" in given else of_environment().below
    return layered(replace(of_environment(), below=below, **given))


def layered(places: Places) -> Places:
    """The places with a cache of the form A:B apart: A is written, B and any further ones are only read."""
    text = str(places.cache)
    if ":" not in text or places.cache.exists():
        return places
    first, *others = (Path(part).expanduser() for part in text.split(":") if part)
    return replace(places, cache=first, below=(*others, *places.below))


def unwritable(folder: Path) -> str:
    """Why no file can be written into a folder, which need not exist yet; empty where files can be written.

    It is checked before the work begins, so that hours of work are not lost.
    """
    try:
        there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
        if not there.exists():
            return f"{there} is a link to {there.readlink()}, which is not there; remove it, or bring that back"
        if not there.is_dir():
            return f"{there} is a file; a folder is expected"
        longest = os.pathconf(there, "PC_NAME_MAX")
        if any(len(os.fsencode(part)) > longest for part in folder.parts):
            return f"{cut(str(folder))}: a name in it is longer than {longest} bytes, which this file system refuses"
        trial = there / f".{uuid.uuid4().hex[:12]}.tmp"
        os.close(os.open(trial, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        trial.unlink()
    except (OSError, ValueError) as error:
        return f"{folder}: no file can be written there ({getattr(error, 'strerror', None) or error})"
    return ""


def columns(environment: Mapping[str, str] = os.environ) -> int | None:
    """The width of a line from the variable COLUMNS, in characters; None where it is not set."""
    asked = environment.get("COLUMNS", "")
    return int(asked) if asked.isdecimal() and len(asked) <= 6 and int(asked) else None
