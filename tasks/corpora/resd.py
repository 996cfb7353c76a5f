"""RESD: `train/happiness_enthusiasm_32/32_happiness_enthusiasm_h_120.wav` = dialogue 32, emotion h, place 120.

The two actors of a dialogue play one of its two emotions each; who they are is not told, and dialogues of train occur
in test as well. Some names have a blank before the letter: `08_sadness_anger/08_sadness_anger s_160.wav`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.corpora import Corpus, audio_by_stem, code
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

CORPUS = Corpus(
    name="resd",
    title="RESD (Russian Emotional Speech Dialogs)",
    language="ru",
    licence="MIT",
    homepage="huggingface.co/datasets/Aniemore/resd",
    obtain="Download and unpack the audio, so that train/ and test/ lie in it.",
    folders=("resd", "russian emotional speech dialogs"),
    globs=("train/*/*", "test/*/*"),
    pattern=r"\d+_[a-z]+_[a-z]+[ _][a-z]_\d+",
    files=1396,
    speakers=0,
    classes={
        "anger": 219,
        "disgust": 185,
        "enthusiasm": 198,
        "fear": 223,
        "happiness": 218,
        "neutral": 191,
        "sadness": 162,
    },
    family="resd",
    lossless=True,
    rate=16000,
    source="EmoBox's metadata, counted (716 files at 16 kHz, 680 at 44.1 kHz)",
)

EMOTIONS = {
    "a": "anger",
    "d": "disgust",
    "e": "enthusiasm",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "s": "sadness",
}
PARTITIONS = {"train": "train", "test": "test"}


def read(root: Path) -> pd.DataFrame:
    """The utterance table of a RESD folder; it has no speakers."""
    from tasks import utterances

    rows = []
    for stem, path in audio_by_stem(root, CORPUS).items():
        name = re.fullmatch(r"(\d+)_[a-z]+_[a-z]+[ _]([a-z])_\d+", stem)
        if name is None:
            raise TaskError(
                f"{path}: not a RESD name (as 32_happiness_enthusiasm_h_120: dialogue, its emotions, emotion, place); "
                "move it away"
            )
        part = next((p.lower() for p in reversed(path.relative_to(root).parts) if p.lower() in PARTITIONS), "unknown")
        rows.append(
            {
                "id": stem,
                "path": path,
                "language": CORPUS.language,
                "emotion": code(EMOTIONS, name[2], "emotion", path),
                "dialogue": name[1],
                "partition": code(PARTITIONS, part, "part", path),
            }
        )
    return utterances.table(rows)
