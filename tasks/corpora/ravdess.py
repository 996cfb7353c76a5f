"""RAVDESS, speech: `Audio_Speech_Actors_01-24/Actor_18/03-01-05-01-02-01-18.wav`.

A name is modality (03 audio) - channel (01 speech, 02 song) - emotion - intensity - statement - repetition - actor.
The archives unpack to `Actor_*` folders, so these are found directly in the corpus folder too.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.corpora import Archive, Corpus, audio_by_stem, code
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd


def beside(other: str) -> dict[str, str]:
    """Audio that looks like RAVDESS's and is not the half that is read; `other`: names of the other half."""
    return {
        other: "",
        r"0[12]-0[12](?:-\d\d){5}": "sound of the video files (01- and 02-); the audio files are 03-",
        r"0\d-0\d(?:-\d\d){4}-(?!0[1-9]|1\d|2[0-4])\d\d": "of an actor above 24, whom RAVDESS does not have "
        "(TESS is passed on as actors 25 and 26)",
    }


CORPUS = Corpus(
    name="ravdess",
    title="RAVDESS, speech",
    language="en",
    licence="CC BY-NC-SA 4.0",
    homepage="zenodo.org/records/1188976",
    obtain="Download Audio_Speech_Actors_01-24.zip and unpack it into a folder of that name.",
    folders=("ravdess", "ryerson audio-visual database"),
    globs=("Audio_Speech_Actors_01-24/Actor_*/03-01-*", "Actor_*/03-01-*"),
    pattern=r"03-01(?:-\d\d){5}",
    beside=beside("03-02-[^/]*"),
    files=1440,
    speakers=24,
    classes={
        "neutral": 96,
        "calm": 192,
        "happiness": 192,
        "sadness": 192,
        "anger": 192,
        "fear": 192,
        "disgust": 192,
        "surprise": 192,
    },
    family="ravdess",
    archives=(
        Archive(
            "https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip",
            checksum="md5:bc696df654c87fed845eb13823edef8a",
            folder="Audio_Speech_Actors_01-24",
        ),
    ),
    lossless=True,
    rate=48000,
    source="file names of the whole corpus, counted; agrees with EmoBox's metadata",
    cite=("livingstone2018",),
)

EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
INTENSITIES = {"01": "normal", "02": "strong"}
# Sources: the description at zenodo.org/records/1188976, and the list of codes at wpsshop.cn/w/article/detail/390524.
STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}


def read_names(root: Path, corpus: Corpus) -> pd.DataFrame:
    """The utterance table of RAVDESS files, speech or song."""
    from tasks import utterances

    rows = []
    for stem, path in audio_by_stem(root, corpus).items():
        name = re.fullmatch(r"03-0[12]-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)", stem)
        if name is None:
            raise TaskError(f"{path}: not a RAVDESS name (as 03-01-05-01-02-01-18, seven numbers); move it away")
        actor = name[5]
        rows.append(
            {
                "id": stem,
                "path": path,
                "speaker": actor,
                "gender": "male" if int(actor) % 2 else "female",
                "language": corpus.language,
                "emotion": code(EMOTIONS, name[1], "emotion", path),
                "intensity": code(INTENSITIES, name[2], "intensity", path),
                "sentence": name[3],
                "repetition": name[4],
                "text": code(STATEMENTS, name[3], "statement", path),
            }
        )
    return utterances.table(rows)


def read(root: Path) -> pd.DataFrame:
    """The utterance table of RAVDESS's speech files."""
    return read_names(root, CORPUS)
