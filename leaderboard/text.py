"""Text for readers: safe lines, numbers with their nouns, probabilities."""

from __future__ import annotations

import math
import re

NONE = "–"  # where there is no value


def plain(text: str) -> str:
    """The text as one line without control characters, which a terminal would obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in re.sub(r"\s+", " ", text).strip())


def plural(n: int, noun: str) -> str:
    """`1 fold`, `2 folds`."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def probability(p: float) -> str:
    """A p-value as tables show it."""
    return NONE if math.isnan(p) else f"{p:.3f}" if p >= 0.001 else f"{p:.1g}"
