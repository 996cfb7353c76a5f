"""ShEMO: `male/M36S02.wav` = speaker M36, emotion S, number 2; the archives unpack to `male` and `female`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.corpora import Archive, Corpus, audio_by_stem, code
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

CORPUS = Corpus(
    name="shemo",
    title="ShEMO (Sharif Emotional Speech Database)",
    language="fa",
    licence="free for academic use",
    homepage="github.com/mansourehk/ShEMO",
    obtain="Download female.zip and male.zip and unpack each into a folder of that name.",
    folders=("shemo", "sharif emotional speech"),
    globs=("male/*", "female/*", "male/male/*", "female/female/*"),
    pattern=r"[FM]\d\d[A-Z]\d+",
    files=3000,
    speakers=87,
    classes={},
    others=("anger", "fear", "happiness", "neutral", "sadness", "surprise"),
    family="shemo",
    archives=tuple(
        Archive(f"https://github.com/mansourehk/ShEMO/raw/master/{sex}.zip", folder=sex) for sex in ("female", "male")
    ),
    lossless=True,
    rate=44100,
    source="the corpus's README (3000 utterances, 87 speakers); EmoBox's metadata list 2838 of them",
)

EMOTIONS = {
    "A": "anger",
    "F": "fear",
    "H": "happiness",
    "N": "neutral",
    "S": "sadness",
    "W": "surprise",
}


def read(root: Path) -> pd.DataFrame:
    """The utterance table of a ShEMO folder."""
    from tasks import utterances

    rows = []
    for stem, path in audio_by_stem(root, CORPUS).items():
        name = re.fullmatch(r"([FM]\d\d)([A-Z])(\d+)", stem)
        if name is None:
            raise TaskError(f"{path}: not a ShEMO name (as M36S02: speaker, emotion, number); move it away")
        rows.append(
            {
                "id": stem,
                "path": path,
                "speaker": name[1],
                "gender": "female" if name[1].startswith("F") else "male",
                "language": CORPUS.language,
                "emotion": code(EMOTIONS, name[2], "emotion", path),
            }
        )
    return utterances.table(rows)
