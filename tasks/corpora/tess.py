"""TESS: `OAF_angry/OAF_back_angry.wav` = speaker OAF (older) or YAF (younger), word, emotion; some copies are flat."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.corpora import Corpus, audio_by_stem, code
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

CORPUS = Corpus(
    name="tess",
    title="TESS (Toronto Emotional Speech Set)",
    language="en",
    licence="CC BY-NC-ND 4.0",
    homepage="doi.org/10.5683/SP2/E8H2MF",
    obtain="Download the files of the dataset; they may lie in one folder or in one folder a speaker and emotion.",
    folders=("tess", "tess toronto emotional speech set data", "toronto emotional speech set"),
    globs=("[OY]A*", "[OY]AF_*/[OY]A*", "*/[OY]AF_*/[OY]A*"),
    pattern=r"[OY]AF?_[A-Za-z-]+_[a-z]+",
    files=2800,
    speakers=2,
    classes={
        "anger": 400,
        "disgust": 400,
        "fear": 400,
        "happiness": 400,
        "neutral": 400,
        "sadness": 400,
        "surprise": 400,
    },
    family="tess",
    lossless=True,
    rate=24414,
    source="the dataset's page (200 words, two speakers, seven emotions); names as its files are listed there",
)

EMOTIONS = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "ps": "surprise",  # pleasant surprise
    "sad": "sadness",
}

# Sources: the dataset's page (tspace.library.utoronto.ca/handle/1807/24487), and its reader in PaddleSpeech.
CARRIER = "Say the word {}"


def read(root: Path) -> pd.DataFrame:
    """The utterance table of a TESS folder."""
    from tasks import utterances

    rows = []
    for stem, path in audio_by_stem(root, CORPUS).items():
        name = re.fullmatch(r"([OY]A)F?_([a-z-]+)_([a-z]+)", stem, re.IGNORECASE)  # one name lacks its F
        if name is None:
            raise TaskError(f"{path}: not a TESS name (as OAF_back_angry: speaker, word, emotion); move it away")
        rows.append(
            {
                "id": stem,
                "path": path,
                "speaker": f"{name[1]}F",
                "gender": "female",
                "language": CORPUS.language,
                "emotion": code(EMOTIONS, name[3], "emotion", path),
                "sentence": name[2],
                "text": CARRIER.format(name[2]),
            }
        )
    return utterances.table(rows)
