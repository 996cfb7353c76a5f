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
    """

    data: Path
    cache: Path
    emobox: Path | None = None
    skip_bad: bool = False
    limit: int | None = None
    jobs: int = 1

    def absolute(self) -> Options:
        """The same with absolute folders, `~` expanded."""
        emobox = absolute(self.emobox) if self.emobox else None
        return replace(self, data=absolute(self.data), cache=absolute(self.cache), emobox=emobox)


def absolute(place: Path) -> Path:
    """A folder's absolute path, `~` expanded; links stay as they are."""
    return Path(os.path.abspath(place.expanduser()))
