"""The utterance table (tasks -> upstreams): a pandas DataFrame indexed by utterance id, a row an utterance."""

from __future__ import annotations

from typing import Literal

Modality = Literal["audio", "text", "both"]  # what an upstream reads of an utterance

# What a corpus may say of an utterance. A column that it does not know is absent, never invented.
COLUMNS = (
    "path",  # absolute, of the audio file
    "start",  # s, where the utterance is a part of the file
    "end",
    "channel",  # from 0; absent: the mean of all
    "speaker",
    "gender",
    "language",
    "emotion",
    "votes",
    "vote",
    "intensity",
    "valence",
    "arousal",
    "dominance",
    "sentiment",
    "polarity",
    "sentence",
    "text",
    "phonemes",
    "dialogue",
    "turn",  # from 0, in its dialogue
    "turns",  # of its dialogue, with or without audio
    "session",
    "style",
    "partition",
    "fold",
)
