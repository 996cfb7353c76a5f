"""Models: built from a name when something has to be computed, and kept for the next task."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from commons.commands import asked_to_stop
from commons.errors import EmorepError, UnknownName
from commons.hashing import short
from commons.registry import load
from upstreams.contract import Frozen
from upstreams.errors import Unsteady, UpstreamError, described
from upstreams.identity import Identity
from upstreams.names import Named
from upstreams.neighbours import Neighbours
from upstreams.reach import Reach
from upstreams.torchaudio_repair import repair
from upstreams.verified import Verified


def identify(named: Named, precision: str = "fp32", models: Models | None = None) -> Identity:
    """The facts of an upstream, for which it is built; `models` keeps the model.

    Raises:
        UnknownName: its file has no such class.
        UpstreamError: it cannot be built, or lacks a fact.
    """
    upstream, fingerprint = (models or Models()).current(named, precision)
    return Identity(
        named=named,
        title=upstream.title,
        label=upstream.label,
        depth=upstream.depth,
        width=upstream.width,
        seen=upstream.seen,
        weights=upstream.weights,
        licence=upstream.licence,
        precision=upstream.precision,
        movable=upstream.movable,
        audio=upstream.audio,
        fingerprint=fingerprint,
        modality=upstream.modality,
    )


class Models:
    """What a process holds of upstreams: the last model that was built, and which chunks of the store it verified.

    One upstream over many tasks is so built once. For one thread at a time.
    """

    def __init__(self) -> None:
        self.verified = Verified()
        self._held: _Held | None = None

    def current(self, named: Named, precision: str = "fp32") -> tuple[Frozen, str]:
        """The upstream of a name as its files are now, and its fingerprint. Raises as `build`."""
        held = self._held
        if held is None or not held.suits(named, precision):
            held = self._build(named, precision)
        return held.upstream, held.fingerprint

    def of(self, identity: Identity, device: str = "cpu") -> Frozen:
        """The upstream of an identity, on a device.

        One of a user's file is built a second time before it is used: weights that differ at each start are noticed.

        Raises:
            Unsteady: it has another fingerprint than the identity.
            EmorepError: as `build`.
        """
        held, named = self._held, identity.named
        usable = held is not None and (held.steady or not named.source) and held.suits(named, identity.precision)
        if held is None or not usable:
            held = self._build(named, identity.precision)
        if held.fingerprint != identity.fingerprint:
            raise Unsteady(named.name)
        held.steady = True
        held.upstream.to(device)
        return held.upstream

    def _build(self, named: Named, precision: str) -> _Held:
        self._held = None  # the memory may not hold two
        upstream = build(named, precision=precision)
        self._held = _Held(named, precision, upstream, upstream.fingerprint())
        return self._held


@dataclass
class _Held:
    """A model, and what it was built from; `steady`: it was built twice with the same fingerprint."""

    named: Named
    asked: str  # precision
    upstream: Frozen
    fingerprint: str
    steady: bool = False

    def suits(self, named: Named, precision: str) -> bool:
        """Whether it is this upstream, and its files are what they were when it was built."""
        same = named == self.named and precision in (self.asked, self.upstream.precision)
        return same and self.upstream.fingerprint() == self.fingerprint


def build(named: Named, device: str = "cpu", precision: str = "fp32") -> Frozen:
    """The upstream itself.

    Raises:
        UnknownName: its file has no such class.
        UpstreamError: a user's file raises, a model lacks facts, weights are missing or damaged.
    """
    source = Path(named.source) if named.source else None
    checkpoint = Path(named.checkpoint) if named.checkpoint else None
    neighbours = Neighbours(source) if source else None
    if source:
        repair()  # what a user imports may import torchaudio: transformers does
    reach = Reach(named.name, foreign=source is not None)
    with neighbours.within() if neighbours else nullcontext(), reach.within():
        factory = _factory(named, source)
        try:
            model = factory(*named.arguments)
        except EmorepError:
            raise
        except BaseException as error:
            if asked_to_stop(error):
                raise
            raise UpstreamError(f"upstream {named.name} cannot be built: {described(error, source)}") from error
    upstream = Frozen(model, named.name, device, precision, source, checkpoint, neighbours, reach)
    upstream.title = upstream.title or named.label
    return upstream


def _factory(named: Named, source: Path | None) -> Callable[..., object]:
    place, _, attribute = named.target.rpartition(":")
    if source is None:
        target = load(named.target)
        assert callable(target), named.target
        return target
    module = _import_file(source)
    factory = getattr(module, attribute, None)
    if callable(factory):
        return factory
    own = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
    raise UnknownName(f"class in {place}", attribute, own)


def _import_file(source: Path) -> ModuleType:
    """Run a user's file as a module of its own."""
    unique = short(source.as_posix())
    spec = importlib.util.spec_from_file_location(f"user_upstream_{source.stem}_{unique}", source)
    if spec is None or spec.loader is None:
        raise UpstreamError(f"{source} cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and typing look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        if asked_to_stop(error):
            raise
        raise UpstreamError(f"{source} cannot be imported: {described(error, source)}") from error
    return module
