"""What an utterance is to an upstream: one module for each modality. So far there is `audio`.

A modality has three things: a frozen dataclass of plain values for one utterance, whose `content` and `rule` go into
the keys of the store; a function from the table of utterances to a list of these; and a function that loads one as a
model takes it. A second modality, `text`, will be a module beside `audio` and a branch in `of_table`.
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
