"""The modules beside a user's file: importable for that file alone, and part of its fingerprint."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from upstreams.namesakes import Namesakes

DYNAMIC = {"globals", "vars", "exec", "eval", "setattr"}  # by these a file may bind names that it does not spell
INSTALLED = {"site-packages", "dist-packages"}  # a virtual environment may lie beside the file


class Neighbours:
    """The folder of a user's file, seen from within.

    Everything of the user's runs in `within()`: there the folder comes first on sys.path, as if the file were run as
    a script, so imports work at the top of a file and inside its functions alike. Outside, nothing of it is left in
    sys.path and sys.modules: two files may each have a `model.py` of their own beside them. A neighbour named like a
    package that is already loaded (torch, say) stays hidden behind it. Packages of ours are the exception: the user's
    own `tasks.py` or `commons/` takes the place of ours within.
    """

    def __init__(self, source: Path) -> None:
        self.source, self.folder = source, source.parent
        self._path = [os.fspath(self.folder)]
        self._modules: dict[str, ModuleType] = {}  # theirs, kept alive here while they are not in sys.modules
        self._namesakes = Namesakes(self.folder)

    @contextmanager
    def within(self) -> Iterator[None]:
        """Make the folder's modules importable for the time of a `with`.

        No bytecode is written meanwhile: Python would run it again in place of a file that was changed in the same
        second without a change of its size, while the fingerprint is that of the new file.
        """
        path, before = list(sys.path), dict(sys.modules)
        writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        sys.path[:0] = self._path
        with self._namesakes.swapped():
            sys.modules.update(self._modules)
            try:
                yield
            finally:
                self._path += [entry for entry in sys.path if entry not in path and entry not in self._path]
                sys.path[:] = path
                sys.dont_write_bytecode = writes
                self._note(before)
                for name in self._modules:
                    if name in before:
                        sys.modules[name] = before[name]
                    else:
                        sys.modules.pop(name, None)

    def _note(self, before: Mapping[str, ModuleType]) -> None:
        """Keep the folder's modules that were loaded since `before`."""
        for name, module in list(sys.modules.items()):
            top = name.partition(".")[0]
            fresh = name not in before and name not in self._modules and (top in self._modules or top not in before)
            if top in self._namesakes.names or (fresh and self._holds(module)):
                self._modules[name] = module

    def files(self) -> list[Path]:
        """Sources beside the file that it imports: those loaded by now, and those that functions import later."""
        loaded = {place for module in self._modules.values() for place in _places(module) if place.is_file()}
        return sorted((loaded | _imported(self.source)) - {self.source})

    def _holds(self, module: ModuleType) -> bool:
        return any(
            place.is_relative_to(self.folder) and not INSTALLED & set(place.relative_to(self.folder).parts)
            for place in _places(module)
        )


def bound(source: Path) -> set[str] | None:
    """Names that a file binds at its top, found without running it; None where that cannot tell them all."""
    try:
        tree = ast.parse(source.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # importing it says what is wrong
    if any(isinstance(node, ast.Name) and node.id in DYNAMIC for node in ast.walk(tree)):
        return None
    names: set[str] = set()
    todo: list[ast.AST] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        todo += ast.iter_child_nodes(node)
    return None if {"*", "__getattr__"} & names else names


def _places(module: ModuleType) -> list[Path]:
    """A module's file, or the folders of a package without __init__.py."""
    facts = getattr(module, "__dict__", {})  # asking a lazy module for what it lacks may raise anything
    return [Path(place) for place in ([facts["__file__"]] if facts.get("__file__") else facts.get("__path__") or ())]


def _imported(source: Path) -> set[Path]:
    """Files beneath a source's folder that its import statements reach, at whatever depth of its functions."""
    files, todo = {source}, [source]
    while todo:
        file = todo.pop()
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError):
            continue  # it cannot be imported either
        for node in ast.walk(tree):
            names: list[str] = []
            base = source.parent
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = file.parents[min(node.level, len(file.parents)) - 1] if node.level else base
                names = [".".join(filter(None, (node.module, alias.name))) for alias in node.names]
            fresh = {place for name in names for place in _sources(base, name.split("."))} - files
            files |= fresh
            todo += fresh
    return files


def _sources(base: Path, parts: list[str]) -> Iterator[Path]:
    """The files that importing a.b.c beneath `base` runs."""
    for depth in range(1, len(parts) + 1):
        place = base.joinpath(*parts[:depth])
        yield from (path for path in (place / "__init__.py", place.with_name(f"{place.name}.py")) if path.is_file())
