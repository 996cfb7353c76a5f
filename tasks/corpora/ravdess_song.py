"""RAVDESS, song: the singing half of the same folder, `Audio_Song_Actors_01-24/Actor_01/03-02-...wav`; no actor 18."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.corpora import Archive, ravdess

if TYPE_CHECKING:
    import pandas as pd

CORPUS = replace(
    ravdess.CORPUS,
    name="ravdess_song",
    title="RAVDESS, song",
    obtain="Download Audio_Song_Actors_01-24.zip and unpack it into a folder of that name.",
    archives=(
        Archive(
            "https://zenodo.org/records/1188976/files/Audio_Song_Actors_01-24.zip", folder="Audio_Song_Actors_01-24"
        ),
    ),
    globs=("Audio_Song_Actors_01-24/Actor_*/03-02-*", "Actor_*/03-02-*"),
    pattern=r"03-02(?:-\d\d){5}",
    beside=ravdess.beside("03-01-[^/]*"),
    files=1012,
    speakers=23,
    classes={"neutral": 92, "calm": 184, "happiness": 184, "sadness": 184, "anger": 184, "fear": 184},
    source="file names of the whole corpus, counted",
)


def read(root: Path) -> pd.DataFrame:
    """The utterance table of RAVDESS's sung files."""
    return ravdess.read_names(root, CORPUS)
