"""What the house's own rules say of its code, where no linter has a rule for it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("commons", "cells", "tasks", "upstreams", "downstreams", "leaderboard")
LONGEST_FUNCTION, LONGEST_FILE = 50, 400  # lines


def sources() -> list[Path]:
    """The command's file and every module of the rooms."""
    return [ROOT / "run_benchmark.py", *(path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))]


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            said = (ast.get_docstring(node, clean=False) or "").count("\n")  # examples may be long
            assert node.end_lineno - node.lineno - said < LONGEST_FUNCTION, f"{node.name} at line {node.lineno}"


COMMAND_LINES = {
    "commons/early.py",  # what every command line begins with
    "commons/places.py",
    "cells/request.py",
    "cells/engines/worker.py",  # a process of its own, on another machine
    "leaderboard/__main__.py",
    "upstreams/pretraining/command.py",
}
WORKER = "upstreams/extraction/workers.py"  # a process of its own sets its libraries' threads


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_command_lines_alone_read_the_environment(path: Path) -> None:
    if path.relative_to(ROOT).as_posix() not in COMMAND_LINES | {WORKER}:
        text = path.read_text(encoding="utf-8")
        assert "os.environ" not in text and "getenv" not in text


RIDDLES = {"found", "heard", "read", "told"}  # they name many things: say what the value is


def beside() -> list[Path]:
    """Every module beside the rooms."""
    return [path for folder in ("examples", "studies", "tests") for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", [*sources(), *beside()], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_variables_say_what_they_hold(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            assert node.id not in RIDDLES, f"{node.id} at line {node.lineno}"
        if isinstance(node, ast.arg):
            assert node.arg not in RIDDLES, f"{node.arg} at line {node.lineno}"


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_docstrings_say_it_themselves(path: Path) -> None:
    """`See other_function.` sends the reader away."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            assert not (ast.get_docstring(node) or "").startswith("See "), getattr(node, "name", path.name)
