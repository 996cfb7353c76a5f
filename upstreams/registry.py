"""Names of upstreams, and what each stands for. Targets are strings, so that listing them imports no model:

fbank                        a registered upstream
random:wav2vec2_base         an architecture with random weights, seed 0; random:wav2vec2_base@7: seed 7
path/to/file.py:Class        a class (or function that returns an object) of the user's own
path/to/file.py:Class@FILE   the same, called with the path of a checkpoint
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from upstreams.contract import Frozen, describe_error
from upstreams.errors import UnknownName, UpstreamError
from upstreams.random_weights import ARCHITECTURES


@dataclass(frozen=True)
class Entry:
    """A registered upstream: `target` is "module:factory"; one with weights takes name@checkpoint."""

    name: str
    title: str
    about: str
    target: str
    weights: bool = False


ENTRIES = (
    Entry("fbank", "FBANK", "80 log-mel energies every 10 ms", "upstreams.spectral:Fbank"),
    Entry("mfcc", "MFCC", "13 cepstral coefficients, their deltas and delta-deltas", "upstreams.spectral:Mfcc"),
    Entry("prosody", "prosody", "F0, voicing, energy and their changes", "upstreams.prosody:Prosody"),
    Entry("opensmile", "eGeMAPSv02", "88 functionals of openSMILE", "upstreams.opensmile:egemaps"),
    Entry("opensmile_compare", "ComParE 2016", "6373 functionals of openSMILE", "upstreams.opensmile:compare"),
)

USER_FILE = re.compile(r"(?P<file>.+\.py):(?P<object>[A-Za-z_]\w*)(?:@(?P<checkpoint>.+))?")


@dataclass(frozen=True)
class Resolved:
    """A name understood: its canonical spelling and how to build it."""

    name: str
    target: str  # "module:object", or "file.py:object" of the user's own
    arguments: tuple[Any, ...] = ()
    source: Path | None = None
    checkpoint: Path | None = None

    @property
    def label(self) -> str:
        """The name for records: of files outside the working folder only the last part, which tells nobody's home."""
        label = self.name
        for path in (self.source, self.checkpoint):
            if path and not path.is_relative_to(Path.cwd()):
                label = label.replace(path.as_posix(), path.name)
        return label


def known() -> tuple[Entry, ...]:
    """Every upstream that can be named without a file."""
    random = tuple(
        Entry(f"random:{name}", f"random {name}", "the architecture with random weights", "") for name in ARCHITECTURES
    )
    return ENTRIES + random


def resolve(name: str) -> Resolved:
    """Understand a name without importing anything heavy. Raises UnknownName."""
    if match := USER_FILE.fullmatch(name):
        return _resolve_file(match["file"], match["object"], match["checkpoint"])
    base, _, checkpoint = name.partition("@")
    base = base.casefold()
    if base.startswith("random:") and base.removeprefix("random:") in ARCHITECTURES:
        return _resolve_random(base, checkpoint)
    entry = next((entry for entry in ENTRIES if entry.name == base), None)
    if entry is None:
        raise UnknownName("upstream", name, [entry.name for entry in known()] + ["path/to/file.py:Class"])
    if not checkpoint:
        return Resolved(entry.name, entry.target)
    if not entry.weights:
        raise UpstreamError(f"upstream {name!r}: {entry.name} has no weights, so it takes no @checkpoint")
    path = _existing(checkpoint, "checkpoint")
    return Resolved(f"{entry.name}@{_shown(path)}", entry.target, (str(path),), checkpoint=path)


def _resolve_random(base: str, seed: str) -> Resolved:
    if seed and not seed.isdecimal():
        raise UpstreamError(f"upstream {base}@{seed}: expected a seed after @, a whole number such as {base}@7")
    number = int(seed or 0)
    name = f"{base}@{number}" if number else base
    return Resolved(name, "upstreams.random_weights:RandomWeights", (base.removeprefix("random:"), number))


def _resolve_file(file: str, attribute: str, checkpoint: str | None) -> Resolved:
    source = _existing(file, "file of an upstream")
    name, weights = f"{_shown(source)}:{attribute}", _existing(checkpoint, "checkpoint") if checkpoint else None
    if weights:
        name = f"{name}@{_shown(weights)}"
    return Resolved(name, f"{source}:{attribute}", (str(weights),) if weights else (), source, weights)


def _existing(path: str, what: str) -> Path:
    full = Path(path).expanduser().resolve()
    if full.exists():
        return full
    siblings = [entry.name for entry in full.parent.iterdir()] if full.parent.is_dir() else []
    raise UnknownName(what, path, siblings[:20] or [f"nothing: the folder {full.parent} is not there"])


def _shown(path: Path) -> str:
    """Relative to the working folder where it lies beneath it."""
    here = Path.cwd()
    return (path.relative_to(here) if path.is_relative_to(here) else path).as_posix()


def build(name: str, device: str = "cpu", precision: str = "fp32") -> Frozen:
    """The upstream itself. Raises UnknownName; UpstreamError where a user's file raises or lacks facts."""
    resolved = resolve(name)
    factory = _factory(resolved)
    try:
        model = factory(*resolved.arguments)
    except UpstreamError:
        raise
    except Exception as error:
        raise UpstreamError(
            f"upstream {resolved.name} cannot be built: {describe_error(error, resolved.source)}"
        ) from error
    return Frozen(model, resolved.name, device, precision, resolved.source, resolved.checkpoint)


def _factory(resolved: Resolved) -> Callable[..., Any]:
    place, _, attribute = resolved.target.rpartition(":")
    module = _import_file(resolved.source) if resolved.source else importlib.import_module(place)
    found = getattr(module, attribute, None)
    if callable(found):
        return found
    own = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
    raise UnknownName(f"class in {resolved.source or place}", attribute, own)


def _import_file(source: Path) -> ModuleType:
    """Run a user's file as a module of its own; its neighbours are importable, as if it were run as a script."""
    spec = importlib.util.spec_from_file_location(f"user_upstream_{source.stem}", source)
    if spec is None or spec.loader is None:
        raise UpstreamError(f"{source} cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and typing look their module up
    folder = os.fspath(source.parent)
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UpstreamError(f"{source} cannot be imported: {describe_error(error, source)}") from error
    return module
