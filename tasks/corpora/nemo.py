"""nEMO: `samples/EB0_anger_12.wav` = speaker EB0, emotion, sentence 12; `data.tsv` beside them adds texts and genders.

A copy without data.tsv is read from its file names alone.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.corpora import Archive, Corpus, audio_by_stem, code, label_file, lines
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

CORPUS = Corpus(
    name="nemo",
    title="nEMO",
    language="pl",
    licence="CC BY-NC-SA 4.0",
    homepage="github.com/amu-cai/nEMO",
    obtain="Clone the repository; audio lies in samples/.",
    folders=("nemo", "nemo-main"),
    globs=("samples/*",),
    pattern=r"[A-Z]+\d_[a-z]+_\d+",
    parts=("data.tsv",),
    files=4481,
    speakers=9,
    classes={"anger": 749, "fear": 736, "happiness": 749, "neutral": 809, "sadness": 769, "surprise": 669},
    family="nemo",
    archives=(Archive("https://github.com/amu-cai/nEMO/archive/refs/heads/main.zip", strip=1),),
    lossless=True,
    rate=24000,
    source="file names of the whole corpus, counted",
)

EMOTIONS = {
    "anger": "anger",
    "fear": "fear",
    "happiness": "happiness",
    "neutral": "neutral",
    "sadness": "sadness",
    "surprised": "surprise",
}


def _metadata(path: Path) -> dict[str, tuple[str, str]]:
    """Text and gender by stem, of data.tsv (file, emotion, text, normalised text, speaker, gender, age)."""
    if not path.exists():
        return {}
    metadata = {}
    for number, line in enumerate(lines(path)[1:], start=2):
        row = [value.strip() for value in line.split("\t")]
        if len(row) != 7:
            raise TaskError(f"{path}, line {number}: has {len(row)} columns and not 7; put the corpus's own file there")
        metadata[row[0].removesuffix(".wav")] = row[2], row[5]
    return metadata


def read(root: Path) -> pd.DataFrame:
    """The utterance table of a nEMO folder."""
    from tasks import utterances

    metadata = _metadata(label_file(root, "data.tsv"))
    rows = []
    for stem, path in audio_by_stem(root, CORPUS).items():
        name = re.fullmatch(r"([A-Z]+\d)_([a-z]+)_(\d+)", stem)
        if name is None:
            raise TaskError(f"{path}: not a nEMO name (as EB0_anger_12: speaker, emotion, sentence); move it away")
        text, gender = metadata.get(stem, (None, None))
        rows.append(
            {
                "id": stem,
                "path": path,
                "speaker": name[1],
                "gender": gender,
                "language": CORPUS.language,
                "emotion": code(EMOTIONS, name[2], "emotion", path),
                "sentence": name[3],
                "text": text,
            }
        )
    return utterances.table(rows)
