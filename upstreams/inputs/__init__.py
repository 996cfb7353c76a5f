"""From rows of the utterance table to what an upstream reads: a module for each modality, so far `audio`.

The module of a modality has

- a frozen dataclass of plain values, one for each utterance; its `content` and `rule` go into the keys of the store;
- a function that makes a list of them from the table of utterances;
- a function that loads one of them in the form that a model takes.

A second modality, `text`, needs such a module and a branch in `of_table`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from commons.corridors.utterances import Modality
from upstreams.errors import UpstreamError

if TYPE_CHECKING:
    import pandas as pd

    from upstreams.inputs.audio import Segment

MODALITIES: tuple[Modality, ...] = ("audio",)  # those that upstreams can read


def of_table(utterances: pd.DataFrame, modality: Modality) -> list[Segment]:
    """The inputs of a table, one for each row. Raises UpstreamError: no such modality, or no such column."""
    if modality not in MODALITIES:
        raise UpstreamError(f"upstreams read {' or '.join(MODALITIES)} so far, not {modality}")
    from upstreams.inputs.audio import segments

    return segments(utterances)
