"""Settings of s3prl's checkpoints: s3prl passes them to `eval`, so without a check they could run any code."""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import CodeType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# Lists of numbers and text, + and * of lists; and what s3prl itself evaluates: `self.model.encoder.layers[3]`.
PLAIN = (ast.Expression, ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.BinOp, ast.Add, ast.Mult, ast.UnaryOp,
         ast.USub, ast.Name, ast.Attribute, ast.Subscript, ast.Load)  # fmt: skip
SHOWN = 80


class Coded(Exception):
    """An expression that is not only lists of numbers."""


@contextmanager
def plain_in(package: str) -> Iterator[None]:
    """A context in which `eval` in the modules of a package takes plain expressions only, which call nothing.

    Raises Coded for any other expression, before it is evaluated.
    """
    evaluate = builtins.eval

    def checked(
        source: str | ReadableBuffer | CodeType,
        names: dict[str, object] | None = None,
        local: Mapping[str, object] | None = None,
        /,
    ) -> object:
        caller = sys._getframe(1)
        if caller.f_globals.get("__name__", "").split(".")[0] == package:
            _refuse_calls(source)
        if names is None:
            names, local = caller.f_globals, caller.f_locals
        return evaluate(source, names, local)

    builtins.eval = checked
    try:
        yield
    finally:
        builtins.eval = evaluate


def _refuse_calls(source: str | ReadableBuffer | CodeType) -> None:
    try:
        text = source.strip() if isinstance(source, str | bytes) else ""
        plain = all(isinstance(node, PLAIN) for node in ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        plain = False
    if not plain:
        raise Coded(
            f"it holds {str(source)[:SHOWN]!r} where lists of numbers belong, such as '[(512, 10, 5)] + [(512, 3, 2)] "
            "* 4'; evaluating it could run code"
        )
