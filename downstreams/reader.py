"""A head with its settings, ready to travel: plain values that a job can carry to another process."""

from __future__ import annotations

from dataclasses import dataclass, field

from commons.errors import UnknownName
from downstreams.registry import HEADS
from downstreams.settings import PlainSettings


@dataclass(frozen=True)
class Reader:
    """A head with the settings to run it with.

    Attributes:
        name: as it is shown and stored: that of the head, or NAME@STEM~hash with settings of the user's own.
        head: its name in the registry.
        settings: all that decides its figures; part of a cell's key.
    """

    name: str
    head: str
    settings: PlainSettings = field(hash=False)

    @property
    def needs(self) -> frozenset[str]:
        """What it reads of the features: any of commons.corridors.features.NEEDS."""
        return HEADS.find(self.head).reads(self.settings)

    @property
    def deterministic(self) -> bool:
        """Whether it draws no random numbers, so that all seeds would give the same."""
        return HEADS.find(self.head).deterministic

    @property
    def keeps_folds(self) -> bool:
        """Whether it keeps what each fold gave in a folder until all are done."""
        return HEADS.find(self.head).keeps_folds

    @property
    def resumes(self) -> bool:
        """Whether its training is long, and keeps its states in a folder."""
        return HEADS.find(self.head).resumes

    @property
    def keeps(self) -> bool:
        """Whether its fitted heads can be kept and applied to other audio."""
        return bool(HEADS.find(self.head).applies)

    @property
    def trained(self) -> str | None:
        """What of the upstream it trains, in words; None: the upstream stays as it is."""
        return HEADS.find(self.head).trained(self.settings)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of problem that it can treat."""
        return HEADS.find(self.head).kinds

    @property
    def further(self) -> bool:
        """Whether it trains on a problem's further targets as well."""
        return HEADS.find(self.head).further

    @property
    def interpretation(self) -> str:
        """Of which paper it is an interpretation; empty: of none."""
        return HEADS.find(self.head).interpretation

    @property
    def cite(self) -> tuple[str, ...]:
        """BibTeX keys of its papers."""
        return HEADS.find(self.head).cite


def expand(name: str) -> list[str]:
    """The names of all read-outs that one training of the head gives; NAME alone where it has none or names one.

    Raises:
        UnknownName: no head has this name.
    """
    head, readout, file = _parts(name)
    others = HEADS.find(head).readouts[1:]
    return [name] if readout else [name, *(f"{head}:{other}{file}" for other in others)]


def resolve(name: str) -> Reader:
    """The reader of NAME, or of NAME@FILE.yaml: the head with the settings of that file in place of its own.

    NAME is a head's, or HEAD:READOUT of one whose training gives several read-outs.

    Raises:
        UnknownName: no head has this name, or the file names a setting that the head lacks.
        NotThere: there is no such file.
        Refused: the file does not hold settings, or a setting has a wrong value.
    """
    head, readout, file = _parts(name)
    facts = HEADS.find(head)
    if readout and readout not in facts.readouts:
        raise UnknownName(f"read-out of {head}", readout, list(facts.readouts))
    main = not readout or readout == facts.readouts[0]
    own, called = facts.settings, head if main else f"{head}:{readout}"
    chosen: PlainSettings = {} if main else {"readout": readout}
    if not file:
        return Reader(called, head, own.plain() | chosen)
    from downstreams.settings_file import read  # PyYAML is imported by those who name a file alone

    changed = read(file[1:], head, own)
    return Reader(f"{called}@{changed.label}", head, changed.settings | chosen)


def _parts(name: str) -> tuple[str, str, str]:
    """Head, read-out and file, with its @, of a name; the latter two may be empty."""
    head, at, file = name.partition("@")
    head, _, readout = head.partition(":")
    return head, readout, f"{at}{file}"
