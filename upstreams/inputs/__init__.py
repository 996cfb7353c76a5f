"""From rows of the utterance table to what an upstream reads: a module for each modality, `audio` and `text`.

The module of a modality has

- a frozen dataclass of plain values, one for each utterance: its `content` and `rule` go into the keys of the store,
  its `name` into messages, its `length` decides what is batched with what, its `amount` is what progress counts;
- a frozen dataclass of what an upstream takes: the facts that enter its fingerprint, and which inputs of different
  utterances may be in one call;
- a function that makes a list of inputs from the table of utterances.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from commons.corridors.utterances import Modality
from upstreams.errors import UpstreamError
from upstreams.inputs.audio import AudioFormat, Segment, segments
from upstreams.inputs.text import Text, TextFormat, texts

if TYPE_CHECKING:
    import pandas as pd

Input = Segment | Text  # an utterance as an upstream reads it
Format = AudioFormat | TextFormat  # what an upstream takes
INPUTS: dict[str, type[Segment] | type[Text]] = {"audio": Segment, "text": Text}
MODALITIES: tuple[Modality, ...] = ("audio", "text")  # those that upstreams can read


def of_table(utterances: pd.DataFrame, modality: Modality) -> list[Input]:
    """The inputs of a table, one for each row.

    Raises UpstreamError: no such modality, no such column, or an utterance without a text.
    """
    if modality not in MODALITIES:
        raise UpstreamError(f"upstreams read {' or '.join(MODALITIES)}, not {modality}")
    if not len(utterances):
        raise UpstreamError("the utterance table has no rows")
    if not utterances.index.is_unique:
        twice = utterances.index[utterances.index.duplicated()][0]
        raise UpstreamError(f"the utterance table holds the id {twice!r} more than once")
    return [*(texts(utterances) if modality == "text" else segments(utterances))]
