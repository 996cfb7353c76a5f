"""A head with its settings, ready to travel: plain values that a job can carry to another process."""

from __future__ import annotations

from dataclasses import dataclass, field

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
        return HEADS.find(self.head).needs

    @property
    def deterministic(self) -> bool:
        """Whether it draws no random numbers, so that all seeds would give the same."""
        return HEADS.find(self.head).deterministic

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of problem that it can treat."""
        return HEADS.find(self.head).kinds

    @property
    def further(self) -> bool:
        """Whether it trains on a problem's further targets as well."""
        return HEADS.find(self.head).further

    @property
    def cite(self) -> tuple[str, ...]:
        """BibTeX keys of its papers."""
        return HEADS.find(self.head).cite


def resolve(name: str) -> Reader:
    """The reader of NAME, or of NAME@FILE.yaml: the head with the settings of that file in place of its own.

    Raises:
        UnknownName: no head has this name, or the file names a setting that the head lacks.
        NotThere: there is no such file.
        Refused: the file does not hold settings, or a setting has a wrong value.
    """
    head, at, file = name.partition("@")
    own = HEADS.find(head).settings
    if not at:
        return Reader(head, head, own.plain())
    from downstreams.settings_file import read  # PyYAML is imported by those who name a file alone

    changed = read(file, head, own)
    return Reader(f"{head}@{changed.label}", head, changed.settings)
