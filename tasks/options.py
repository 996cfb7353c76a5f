"""What a load is asked for, beside the task's name."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """Plain values that any process may be handed.

    Attributes:
        data: folder that holds one folder a corpus.
        cache: folder for the index of audio contents, fold lists and the embedded corpus.
        emobox: folder of EmoBox's fold files; None: it is looked for under `data`.
        skip_bad: leave out audio that cannot be used (counted and marked) instead of stopping.
        limit: keep about this many utterances, spread over speakers and classes (a smoke run); None: all.
        jobs: threads that decode.
        audio: folder in which paths of a user's tables (`csv:`) begin; None: the table's own.
        labels: file that maps labels of such tables to classes, a line `Angry=anger` each; None: none.
    """

    data: Path
    cache: Path
    emobox: Path | None = None
    skip_bad: bool = False
    limit: int | None = None
    jobs: int = 1
    audio: Path | None = None
    labels: Path | None = None

    def absolute(self) -> Options:
        """The same with absolute folders, `~` expanded."""
        emobox, audio, labels = (absolute(one) if one else None for one in (self.emobox, self.audio, self.labels))
        data, cache = absolute(self.data), absolute(self.cache)
        return replace(self, data=data, cache=cache, emobox=emobox, audio=audio, labels=labels)


def absolute(place: Path) -> Path:
    """A folder's absolute path, `~` expanded; links stay as they are."""
    return Path(os.path.abspath(place.expanduser()))
