"""The bit rate that a codec gives on a corpus, measured."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from commons.perturbations import parse
from upstreams.inputs import codecs
from upstreams.inputs.audio import Segment, decode, segments

if TYPE_CHECKING:
    import pandas as pd

RATE, MOST = 16000, 50  # Hz, utterances


def bit_rate(utterances: pd.DataFrame) -> float:
    """kbit/s over changed utterances of a table at 16 kHz; of many, the 50 whose content has the smallest hashes."""

    def place(one: Segment) -> bytes:
        return hashlib.sha256(repr(one.clean).encode()).digest()

    rows = sorted((one for one in segments(utterances) if one.perturbation), key=place)[:MOST]
    bits = seconds = 0.0
    for one in rows:
        change = parse(one.perturbation)
        samples = decode(replace(one, perturbation="", noise=()), RATE)
        length = len(samples) / RATE
        bits += codecs.coded(samples, RATE, change.kind, change.level)[1] * length
        seconds += length
    return round(bits / seconds, 2)
