"""SAVEE: `AudioData/DC/sa03.wav` = speaker DC, emotion sa, sentence 3; some copies are flat, `DC_sa03.wav`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.corpora import Corpus, audio_by_stem, code
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

CORPUS = Corpus(
    name="savee",
    title="SAVEE",
    language="en",
    licence="research only",
    homepage="kahlan.eps.surrey.ac.uk/savee",
    obtain="Register on the home page, download and unpack; audio lies in AudioData/DC, JE, JK and KL.",
    folders=("savee", "surrey audiovisual expressed emotion"),
    globs=("AudioData/[DJK][CEKL]/*", "[DJK][CEKL]/*", "[DJK][CEKL]_*"),
    pattern=r"(?:DC|JE|JK|KL)[/_](?:sa|su|[adfhn])\d\d",
    files=480,
    speakers=4,
    classes={
        "anger": 60,
        "disgust": 60,
        "fear": 60,
        "happiness": 60,
        "neutral": 120,
        "sadness": 60,
        "surprise": 60,
    },
    family="savee",
    lossless=True,
    rate=44100,
    source="EmoBox's metadata, counted",
)

EMOTIONS = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}


def read(root: Path) -> pd.DataFrame:
    """The utterance table of a SAVEE folder. Sentences are numbered anew for each emotion, so they are not told."""
    from tasks import utterances

    rows = []
    for place, path in audio_by_stem(root, CORPUS).items():
        name = re.fullmatch(r"(DC|JE|JK|KL)[/_](sa|su|[a-z])(\d\d)", place)
        if name is None:
            raise TaskError(f"{path}: not a SAVEE name (as DC/sa03 or DC_sa03: speaker, emotion, number); move it away")
        rows.append(
            {
                "id": f"{name[1]}_{name[2]}{name[3]}",
                "path": path,
                "speaker": name[1],
                "gender": "male",
                "language": CORPUS.language,
                "emotion": code(EMOTIONS, name[2], "emotion", path),
            }
        )
    return utterances.table(rows)
