"""CASIA: `liuchanhg/angry/201.wav` = speaker, emotion, sentence 201 (the part in which all say the same sentences)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.corpora import Corpus, audio_by_stem
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

EMOTIONS = {
    "angry": "anger",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
    "surprise": "surprise",
}

CORPUS = Corpus(
    name="casia",
    title="CASIA (Chinese emotional speech)",
    language="zh",
    licence="licensed by its makers; research",
    homepage="chineseldc.org",
    obtain="Unpack it: one folder a speaker, each with angry/, fear/, happy/, neutral/, sad/ and surprise/.",
    folders=("casia",),
    globs=tuple(f"*/{emotion}/*" for emotion in EMOTIONS),
    pattern=rf"[^/]+/(?:{'|'.join(EMOTIONS)})/\d+",
    files=1200,
    speakers=4,
    classes={
        "anger": 200,
        "fear": 200,
        "happiness": 200,
        "neutral": 200,
        "sadness": 200,
        "surprise": 200,
    },
    family="casia",
    lossless=True,
    rate=16000,
    source="EmoBox's metadata (paths, and 1200 files of four speakers)",
)


def read(root: Path) -> pd.DataFrame:
    """The utterance table of a CASIA folder."""
    from tasks import utterances

    rows = []
    for name, path in audio_by_stem(root, CORPUS).items():
        if re.fullmatch(r"[^/]+/[a-z]+/\d+", name) is None:
            raise TaskError(f"{path}: not a CASIA name (as angry/201.wav: a number); move it away")
        speaker, emotion, sentence = name.split("/")
        rows.append(
            {
                "id": f"{sentence}-{speaker}-{emotion}",
                "path": path,
                "speaker": speaker,
                "language": CORPUS.language,
                "emotion": EMOTIONS[emotion],
                "sentence": sentence,
            }
        )
    return utterances.table(rows)
