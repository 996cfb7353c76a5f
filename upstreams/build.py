"""Models built from names. A user's file is imported here."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

from commons.commands import asked_to_stop
from commons.errors import EmorepError, UnknownName
from commons.hashing import short
from commons.registry import load
from upstreams.errors import UpstreamError, described
from upstreams.frozen import Frozen
from upstreams.named import Named
from upstreams.plugins.isolation import Isolation
from upstreams.plugins.neighbours import Neighbours
from upstreams.torchaudio_repair import repair


def build(named: Named, device: str = "cpu", precision: str = "fp32") -> Frozen:
    """The upstream that a name stands for.

    Raises:
        UnknownName: its file has no such class.
        UpstreamError: a user's file raises, a model lacks facts, weights are missing or damaged.
    """
    if named.parts or named.given:
        raise UpstreamError(f"upstream {named.name}: is made of features, and cannot be called with waveforms")
    source = Path(named.source) if named.source else None
    checkpoint = Path(named.checkpoint) if named.checkpoint else None
    neighbours = Neighbours(source) if source else None
    if source:
        repair()  # the file may import torchaudio, or transformers, which imports it
    isolation = Isolation(named.name, foreign=source is not None)
    with neighbours.within() if neighbours else nullcontext(), isolation.within():
        factory = _factory(named, source)
        try:
            model = factory(*named.arguments)
        except EmorepError:
            raise
        except BaseException as error:
            if asked_to_stop(error):
                raise
            raise UpstreamError(f"upstream {named.name} cannot be built: {described(error, source)}") from error
    upstream = Frozen(model, named.name, device, precision, source, checkpoint, neighbours, isolation)
    upstream.title = upstream.title or named.record_name
    return upstream


def _factory(named: Named, source: Path | None) -> Callable[..., object]:
    file, _, attribute = named.target.rpartition(":")
    if source is None:
        target = load(named.target)
        assert callable(target), named.target
        return target
    module = _import_file(source)
    factory = getattr(module, attribute, None)
    if callable(factory):
        return factory
    own = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
    raise UnknownName(f"class in {file}", attribute, own)


def _import_file(source: Path) -> ModuleType:
    """The module of a user's file."""
    unique = short(source.as_posix())
    spec = importlib.util.spec_from_file_location(f"user_upstream_{source.stem}_{unique}", source)
    if spec is None or spec.loader is None:
        raise UpstreamError(f"{source} cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and typing look up their module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        if asked_to_stop(error):
            raise
        raise UpstreamError(f"{source} cannot be imported: {described(error, source)}") from error
    return module
