"""States of a training, kept in a folder so that a killed training goes on, or in memory where there is no folder."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import cast

import torch

from commons import files

State = dict[str, object]  # of tensors and plain values, in dicts and lists
SUFFIX = ".pt"


class Shelf:
    """Named states. Those in a folder are written whole or not at all."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._held: dict[str, State] = {}

    def put(self, name: str, state: State) -> None:
        """Keep a state under a name, in place of an earlier one. Raises OSError where it cannot be written."""
        if self._folder is None:
            self._held[name] = copy.deepcopy(state)
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with files.whole(self._folder / f"{name}{SUFFIX}") as file:
            torch.save(state, file)

    def get(self, name: str) -> State | None:
        """The state of that name, its tensors on the CPU; None where there is none."""
        if self._folder is None:
            return self._held.get(name)
        path = self._folder / f"{name}{SUFFIX}"
        return cast(State, torch.load(path, map_location="cpu", weights_only=True)) if path.is_file() else None

    def names(self) -> list[str]:
        """The names of all states."""
        if self._folder is None:
            return list(self._held)
        return [path.stem for path in self._folder.glob(f"*{SUFFIX}")]

    def drop(self, name: str) -> None:
        """Remove the state of that name, if there is one."""
        self._held.pop(name, None)
        if self._folder is not None:
            (self._folder / f"{name}{SUFFIX}").unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all states, and the folder if nothing else is in it."""
        for name in self.names():
            self.drop(name)
        if self._folder is not None and self._folder.is_dir() and not any(self._folder.iterdir()):
            self._folder.rmdir()


def within(folder: Path | None, *parts: str) -> Path | None:
    """A folder in a folder, for names of any kind; None where there is none."""
    if folder is None:
        return None
    for part in parts:
        safe = "".join(letter if letter.isalnum() else "-" for letter in part)[:40]
        folder = folder / f"{safe}-{hashlib.sha256(part.encode()).hexdigest()[:8]}"
    return folder
