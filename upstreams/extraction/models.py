"""What a process keeps from one extraction to the next: the last model."""

from __future__ import annotations

from dataclasses import dataclass

from upstreams.build import build
from upstreams.errors import Unsteady
from upstreams.extraction.store import Verified
from upstreams.frozen import Frozen
from upstreams.identity import Identity
from upstreams.named import Named


class Models:
    """What a process keeps of upstreams: the last model that was built, and the chunks of the store that were verified.

    An upstream is then built once for many tasks. Use it in one thread at a time.
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

        An upstream of a user's file is built a second time before its first use, which shows whether its weights differ
        each time it is built.

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
        self._held = None  # there may be no memory for two models
        upstream = build(named, precision=precision)
        self._held = _Held(named, precision, upstream, upstream.fingerprint())
        return self._held


@dataclass
class _Held:
    """A model and what it was built from; `steady`: it was built twice with the same fingerprint."""

    named: Named
    precision: str  # that was asked for; the upstream's own may differ
    upstream: Frozen
    fingerprint: str
    steady: bool = False

    def suits(self, named: Named, precision: str) -> bool:
        """Whether it is this upstream, and its files are unchanged since it was built."""
        same = named == self.named and precision in (self.precision, self.upstream.precision)
        return same and self.upstream.fingerprint() == self.fingerprint
