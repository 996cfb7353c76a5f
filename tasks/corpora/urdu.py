"""URDU: `Angry/SM20_F8_A012.wav` = speaker SM20 (male), file 8 of the speaker, emotion A and its number.

Spontaneous speech of television talk shows: most speakers were taken for one emotion only.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.corpora import Archive, Corpus, audio_by_stem, code
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

FOLDERS = ("Angry", "Happy", "Neutral", "Sad")

CORPUS = Corpus(
    name="urdu",
    title="URDU-Dataset",
    language="ur",
    licence="research only",
    homepage="github.com/siddiquelatif/URDU-Dataset",
    obtain="Clone the repository; audio lies in Angry/, Happy/, Neutral/ and Sad/.",
    folders=("urdu", "urdu-dataset", "urdu-dataset-master"),
    globs=tuple(f"{folder}/*" for folder in FOLDERS),
    pattern=r"S[A-Z]\d+_F\d+_[A-Z]\d+",
    files=400,
    speakers=29,
    classes={"anger": 100, "happiness": 100, "neutral": 100, "sadness": 100},
    family="urdu",
    archives=(Archive("https://github.com/siddiquelatif/URDU-Dataset/archive/refs/heads/master.zip", strip=1),),
    lossless=True,
    rate=44100,
    source="file names of the whole corpus, counted; its README speaks of 38 speakers",
    cite=("latif2018",),
)

EMOTIONS = {"A": "anger", "H": "happiness", "N": "neutral", "S": "sadness"}
GENDERS = {"F": "female", "M": "male"}


def read(root: Path) -> pd.DataFrame:
    """The utterance table of a URDU folder."""
    from tasks import utterances

    rows = []
    for stem, path in audio_by_stem(root, CORPUS).items():
        name = re.fullmatch(r"(S([A-Z])\d+)_F\d+_([A-Z])\d+", stem)
        if name is None:
            raise TaskError(f"{path}: not a URDU name (as SM20_F8_N012: speaker, file, emotion); move it away")
        emotion = code(EMOTIONS, name[3], "emotion", path)
        folder = path.parent.name.title()
        if folder in FOLDERS and not folder.startswith(name[3]):
            raise TaskError(f"{path}: its name says {emotion}, its folder {path.parent.name}; the copy is damaged")
        rows.append(
            {
                "id": stem,
                "path": path,
                "speaker": name[1],
                "gender": code(GENDERS, name[2], "gender", path),
                "language": CORPUS.language,
                "emotion": emotion,
            }
        )
    return utterances.table(rows)
