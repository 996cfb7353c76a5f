"""A user's modules that have the name of one of our packages, such as `tasks.py`: each side imports its own."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

HOUSE = Path(__file__).resolve().parents[2]
OURS = ("commons", "cells", "tasks", "upstreams", "downstreams", "leaderboard", "run_benchmark", "tests", "studies")


class Namesakes:
    """The modules and packages in a folder that have the name of one of ours; `names` are these names."""

    def __init__(self, folder: Path) -> None:
        self.names = frozenset(name for name in OURS if _is_there(folder, name))
        self._finder = _Finder(self.names, folder)
        self._import = builtins.__import__
        self._ours: dict[str, ModuleType] = {}

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """A context in which these names mean the modules of the folder, except in imports of our own code."""
        if not self.names or builtins.__import__ == self._choose:
            yield
            return
        self._import = builtins.__import__
        self._hide()
        try:
            yield
        finally:
            self._show()

    def _hide(self) -> None:
        self._ours = self._take()
        sys.meta_path.insert(0, self._finder)
        builtins.__import__ = self._choose

    def _show(self) -> dict[str, ModuleType]:
        """Restore our modules; returns those of the folder."""
        builtins.__import__ = self._import
        sys.meta_path.remove(self._finder)
        theirs = self._take()
        sys.modules.update(self._ours)
        return theirs

    def _take(self) -> dict[str, ModuleType]:
        """Remove the modules with these names from sys.modules; returns them."""
        taken = [name for name in sys.modules if name.partition(".")[0] in self.names]
        return {name: sys.modules.pop(name) for name in taken}

    def _choose(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """What an import statement returns: in our code our module, in all other code that of the folder."""
        if name.partition(".")[0] not in self.names or not _is_ours(globals):
            return self._import(name, globals, locals, fromlist, level)
        path, theirs = list(sys.path), self._show()
        sys.path[:] = [str(HOUSE), *path]
        try:
            return self._import(name, globals, locals, fromlist, level)
        finally:
            sys.path[:] = path
            self._hide()
            sys.modules.update(theirs)


class _Finder(MetaPathFinder):
    """Finds top-level modules of these names, in one folder only."""

    def __init__(self, names: frozenset[str], folder: Path) -> None:
        self.names, self.folder = names, folder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(fullname, [str(self.folder)]) if fullname in self.names else None


def _is_there(folder: Path, name: str) -> bool:
    """Whether a folder has a module NAME.py, or a folder NAME with Python files. False for our own folder."""
    if folder.resolve() == HOUSE:
        return False
    return (folder / f"{name}.py").is_file() or any((folder / name).glob("*.py"))


def _is_ours(globals: Mapping[str, object] | None) -> bool:
    """Whether a module with these globals is part of our code."""
    file, top = (globals or {}).get("__file__"), str((globals or {}).get("__name__")).partition(".")[0]
    if not isinstance(file, str) or top not in OURS or not Path(file).is_relative_to(HOUSE):
        return False
    return Path(file).relative_to(HOUSE).parts[0].removesuffix(".py") == top
