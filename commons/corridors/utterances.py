"""The utterance table (tasks -> upstreams): a pandas DataFrame with a row for each utterance, indexed by its id."""

from __future__ import annotations

from typing import Literal

Modality = Literal["audio", "text", "audio+text"]  # the part of an utterance that an upstream reads

# Columns that a corpus may have. Columns without data are absent; values are never invented.
COLUMNS = (
    "path",  # absolute, of the audio file; absent where a copy holds texts alone
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
    "repetition",  # of the sentence by the same speaker in the same way
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
ROUNDING = 0.05  # s that `end` may exceed the end of the file, for corpora round it
# What corpora tell of speakers beside their gender; groups are compared by it, and nothing else reads it.
PEOPLE = ("age", "accent", "race", "ethnicity")  # age in years, or a word
VOTES = "votes:"  # begins further columns: the number of annotators who named a class, as `votes:anger`
# Columns that tasks of changed audio have beside them.
CHANGED = (
    "perturbation",  # KIND@LEVEL (commons/perturbations.py); none: the audio as it is
    "noise",  # path and sha256 of each recording that is mixed in
    "twin_of",  # id of the same utterance before any change, its own where it is that one
)
