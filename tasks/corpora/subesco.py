"""SUBESCO: `F_10_FAHMEE_S_6_FEAR_5.wav` = speaker F_10, her name, sentence 6, emotion, take 5; all in one folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.corpora import Archive, Corpus, audio_by_stem, code
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

CORPUS = Corpus(
    name="subesco",
    title="SUBESCO (SUST Bangla Emotional Speech Corpus)",
    language="bn",
    licence="CC BY 4.0, as its home page says",
    homepage="zenodo.org/records/4526477",
    obtain="Download SUBESCO.zip and unpack it; all files lie in one folder.",
    folders=("subesco",),
    globs=("[FM]_[0-9]*", "SUBESCO/[FM]_[0-9]*"),
    pattern=r"[FM]_\d\d_[A-Z]+_S_\d+_[A-Z]+_\d+",
    files=7000,
    speakers=20,
    classes={
        "anger": 1000,
        "disgust": 1000,
        "fear": 1000,
        "happiness": 1000,
        "neutral": 1000,
        "sadness": 1000,
        "surprise": 1000,
    },
    family="subesco",
    archives=(Archive("https://zenodo.org/records/4526477/files/SUBESCO.zip"),),
    lossless=True,
    rate=48000,
    source="EmoBox's metadata, counted (4555 files at 44.1 kHz, 2445 at 48 kHz)",
)

EMOTIONS = {
    "ANGRY": "anger",
    "DISGUST": "disgust",
    "FEAR": "fear",
    "HAPPY": "happiness",
    "NEUTRAL": "neutral",
    "SAD": "sadness",
    "SURPRISE": "surprise",
}


def read(root: Path) -> pd.DataFrame:
    """The utterance table of a SUBESCO folder."""
    from tasks import utterances

    rows = []
    for stem, path in audio_by_stem(root, CORPUS).items():
        name = re.fullmatch(r"([FM])_(\d\d)_[A-Z]+_S_(\d+)_([A-Z]+)_\d+", stem)
        if name is None:
            raise TaskError(
                f"{path}: not a SUBESCO name (as F_10_FAHMEE_S_6_FEAR_5: speaker, sentence, emotion, take); "
                "move it away"
            )
        rows.append(
            {
                "id": stem,
                "path": path,
                "speaker": f"{name[1]}_{name[2]}",
                "gender": "female" if name[1] == "F" else "male",
                "language": CORPUS.language,
                "emotion": code(EMOTIONS, name[4], "emotion", path),
                "sentence": name[3],
            }
        )
    return utterances.table(rows)
