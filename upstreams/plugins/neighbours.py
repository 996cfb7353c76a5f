"""The modules beside a user's file: only that file can import them, and they are part of its fingerprint."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from upstreams.plugins.namesakes import Namesakes

DYNAMIC = {"globals", "vars", "exec", "eval", "setattr"}  # these can bind names that the source does not show
INSTALLED = {"site-packages", "dist-packages"}  # a virtual environment may lie beside the file


class Neighbours:
    """The modules in the folder of a user's file, and in folders that the file itself puts on sys.path.

    The user's code runs in `within()`. There the folder is first on sys.path, as for a script, so imports work at the
    top of the file and inside its functions. Afterwards nothing of the folder stays in sys.path and sys.modules, so two
    files can each have their own `model.py`. A module with the name of a package that is already loaded, such as torch,
    is not imported; a module with the name of one of our packages, such as `tasks.py`, is.
    """

    def __init__(self, source: Path) -> None:
        self.source, self.folder = source, source.parent
        self._path = [os.fspath(self.folder)]
        self._modules: dict[str, ModuleType] = {}  # of the folder, kept here while they are not in sys.modules
        self._namesakes = Namesakes(self.folder)

    @contextmanager
    def within(self) -> Iterator[None]:
        """A context in which the modules of the folder can be imported.

        No bytecode is written in it. Otherwise Python would run old bytecode for a file that was changed within one
        second to the same size, while the fingerprint would be that of the new file.
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
        """Remember the modules of the folder that were loaded since `before`."""
        ours = self._namesakes.names  # few, if any, while thousands of modules are loaded: most are passed over at once
        for name in [name for name in list(sys.modules) if name not in before or (ours and _top(name) in ours)]:
            top, module = _top(name), sys.modules[name]
            fresh = name not in before and name not in self._modules and (top in self._modules or top not in before)
            if top in ours or (fresh and self._holds(module)):
                self._modules[name] = module

    def files(self) -> list[Path]:
        """The source files that the user's file imports: those loaded by now, and those its functions import later."""
        loaded = {path for module in self._modules.values() for path in _paths(module) if path.is_file()}
        return sorted((loaded | _imported(self.source)) - {self.source})

    def _holds(self, module: ModuleType) -> bool:
        """Whether a module lies in the folder, or in one that the user's code has put on sys.path, and is no installed
        package."""
        added = [os.path.abspath(entry) for entry in self._path if entry]
        for path in _paths(module):
            own = path.relative_to(self.folder) if path.is_relative_to(self.folder) else path
            if any(path.is_relative_to(folder) for folder in added) and not INSTALLED & set(own.parts):
                return True
        return False


def top_level_names(source: Path) -> set[str] | None:
    """The names that a file defines at its top level, without running it; None: the source does not show them all."""
    try:
        tree = ast.parse(source.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # importing it gives the error
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


def _top(name: str) -> str:
    """The package of a module, or the module itself."""
    return name.partition(".")[0]


def _paths(module: ModuleType) -> list[Path]:
    """The file of a module, or the folders of a package without __init__.py."""
    facts = getattr(module, "__dict__", {})  # getattr on a lazy module may raise anything
    return [Path(path) for path in ([facts["__file__"]] if facts.get("__file__") else facts.get("__path__") or ())]


def _imported(source: Path) -> set[Path]:
    """The files in the folder of a source that it imports, inside functions too, and those that these import."""
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
            fresh = {path for name in names for path in _sources(base, name.split("."))} - files
            files |= fresh
            todo += fresh
    return files


def _sources(base: Path, parts: list[str]) -> Iterator[Path]:
    """The files that `import a.b.c` runs, searched in `base`."""
    for depth in range(1, len(parts) + 1):
        module = base.joinpath(*parts[:depth])
        yield from (path for path in (module / "__init__.py", module.with_name(f"{module.name}.py")) if path.is_file())
