"""Which chunk files of the store were verified, so that each is hashed once and not at every use."""

from __future__ import annotations

import os
from pathlib import Path

from commons import hashing


class Damaged(Exception):
    """A chunk file is not what its name says."""


class Verified:
    """The chunk files that were hashed against their names, each with its size and time at that moment."""

    def __init__(self) -> None:
        self._states: dict[str, tuple[int, int]] = {}

    def verify(self, chunk: Path) -> None:
        """Hash a file against its name, unless that was done and its size and time are the same since.

        Raises:
            Damaged: it is not what its name says.
            OSError: it cannot be read.
        """
        state = os.stat(chunk)
        seen = (state.st_size, state.st_mtime_ns)
        if self._states.get(str(chunk)) == seen:
            return
        if hashing.of_file(chunk)[:32] != chunk.stem:
            raise Damaged(chunk)
        self._states[str(chunk)] = seen
