"""CaFE: `CaFE_48k/Tristesse/Faible/01-T-1-2.wav` = actor 01, emotion T, intensity 1, sentence 2.

Neutral speech has one intensity, hence no folder for it: `Neutre/01-N-1-2.wav`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.corpora import Archive, Corpus, audio_by_stem, code
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

CORPUS = Corpus(
    name="cafe",
    title="CaFE (Canadian French Emotional speech)",
    language="fr",
    licence="CC BY-NC-SA 4.0",
    homepage="zenodo.org/records/1478765",
    obtain="Download CaFE_48k.zip and unpack it into a folder of that name.",
    folders=("cafe", "canadian french emotional"),
    globs=("CaFE_48k/*/[01]*", "CaFE_48k/*/F*/*", "[CDJNPST]*/[01]*", "[CDJNPST]*/F*/*"),
    pattern=r"\d\d-[CDJNPST]-\d-\d",
    files=936,
    speakers=12,
    classes={
        "anger": 144,
        "disgust": 144,
        "fear": 144,
        "happiness": 144,
        "neutral": 72,
        "sadness": 144,
        "surprise": 144,
    },
    family="cafe",
    archives=(Archive("https://zenodo.org/records/1478765/files/CaFE_48k.zip"),),
    lossless=True,
    rate=48000,
    source="EmoBox's metadata, counted",
)

EMOTIONS = {
    "C": "anger",
    "D": "disgust",
    "J": "happiness",
    "N": "neutral",
    "P": "fear",
    "S": "surprise",
    "T": "sadness",
}
INTENSITIES = {"1": "low", "2": "high"}


def read(root: Path) -> pd.DataFrame:
    """The utterance table of a CaFE folder."""
    from tasks import utterances

    rows = []
    for stem, path in audio_by_stem(root, CORPUS).items():
        name = re.fullmatch(r"(\d\d)-([A-Z])-(\d)-(\d)", stem)
        if name is None:
            raise TaskError(f"{path}: not a CaFE name (as 01-T-1-2: actor, emotion, intensity, sentence); move it away")
        emotion = code(EMOTIONS, name[2], "emotion", path)
        rows.append(
            {
                "id": stem,
                "path": path,
                "speaker": name[1],
                "gender": "male" if int(name[1]) % 2 else "female",
                "language": CORPUS.language,
                "emotion": emotion,
                "intensity": None if emotion == "neutral" else code(INTENSITIES, name[3], "intensity", path),
                "sentence": name[4],
            }
        )
    return utterances.table(rows)
