"""Text as an upstream takes it: the words of an utterance, from the column `text` of the utterance table."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from commons.errors import some
from upstreams.errors import UpstreamError

if TYPE_CHECKING:
    import pandas as pd

RULE = "text as the table has it; 1"  # part of every key
SHOWN = 6


@dataclass(frozen=True)
class TextFormat:
    """What a text upstream takes.

    Attributes:
        one_frame: whether it gives one frame for each utterance; else it gives a frame for each word piece.
    """

    one_frame: bool

    @property
    def facts(self) -> tuple[object, ...]:
        """What enters the fingerprint of an upstream."""
        return "text", self.one_frame

    def alike(self, inputs: Sequence[Sized]) -> bool:
        """Whether inputs may be in one call of an upstream that is not `ragged`: only a single text may."""
        return len(inputs) <= 1


@dataclass(frozen=True)
class Text:
    """The words of one utterance; `name`: its id."""

    name: str
    text: str
    rule: ClassVar[str] = RULE
    chunk: ClassVar[int] = 1024  # utterances in one file of the store at most
    chunk_length: ClassVar[float] = 40_000  # characters in it at most, about 10,000 word pieces

    @property
    def content(self) -> tuple[str]:
        """All facts of the utterance that its features depend on."""
        return (self.text,)

    @property
    def length(self) -> float:
        """Characters."""
        return float(len(self.text))

    @property
    def amount(self) -> float:
        """What progress counts: texts."""
        return 1.0


def texts(utterances: pd.DataFrame) -> list[Text]:
    """One Text a row. Raises UpstreamError: there is no column of texts, or an utterance has none."""
    if "text" not in utterances.columns:
        raise UpstreamError("the utterance table has no column text: the corpus comes without the words that were said")
    rows = [Text(str(name), text if isinstance(text, str) else "") for name, text in utterances["text"].items()]
    if blank := [row.name for row in rows if not row.text.strip()]:
        raise UpstreamError(
            f"no text of {some(blank, SHOWN)}: it is missing or blank; add the words that were said, or "
            "leave such utterances out with --skip-bad"
        )
    for row in rows:
        try:
            row.text.encode()
        except UnicodeEncodeError as error:
            raise UpstreamError(
                f"the text of {row.name} is no valid Unicode ({error.reason}); was its file read in another encoding?"
            ) from error
    return rows
