"""ESD: `0015/Angry/0015_000355.wav` = speaker 0015, its utterance 355; older copies add `evaluation`, `test`, `train`.

`0015/0015.txt` holds the texts of speaker 0015, a line `utterance, text, emotion` each, separated by tabs; the files
have four encodings (UTF-8, UTF-16, GB2312, Latin-1). A copy of the audio alone is read without them.

Speakers 1 to 10 speak Mandarin, 11 to 20 English; the 350 sentences of a language come once an emotion, in one order,
so that a sentence's number follows from the utterance's.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import textfile
from tasks.corpora import Corpus, audio_by_stem, code, label_file, lines
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

SENTENCES = 350
MANDARIN = 10  # the last speaker of Mandarin

CORPUS = Corpus(
    name="esd",
    title="ESD (Emotional Speech Database)",
    language="zh/en",
    licence="research only, on request",
    homepage="github.com/HLTSingapore/Emotional-Speech-Data",
    obtain="Send the form of the home page; unpack it, so that the folders 0001 to 0020 lie in it.",
    folders=("esd", "emotional speech dataset (esd)", "emotion speech dataset", "emotional-speech-data"),
    globs=tuple(f"{nested}00[012][0-9]/*/{part}00*" for nested in ("", "*/") for part in ("", "*/")),
    pattern=r"00\d\d_\d{6}",
    files=35000,
    speakers=20,
    classes={"anger": 7000, "happiness": 7000, "neutral": 7000, "sadness": 7000, "surprise": 7000},
    family="esd",
    lossless=True,
    rate=16000,
    source="EmoBox's README (35,000 utterances, 20 speakers, five emotions); names as copies of it are listed",
)

EMOTIONS = {
    "Angry": "anger",
    "Happy": "happiness",
    "Neutral": "neutral",
    "Sad": "sadness",
    "Surprise": "surprise",
}


def _texts(root: Path, speaker: str) -> dict[str, str]:
    """Text by utterance of one speaker; empty where the copy has no file of hers."""
    path = label_file(root, f"{speaker}.txt")
    if not path.exists():
        return {}
    encodings = textfile.CHINESE if int(speaker) <= MANDARIN else (*textfile.WESTERN, "latin-1")
    rows = (re.fullmatch(r"\s*(00\d\d_\d{6})[\t ]+(.+?)\s*(?:\t[^\t]*)?", line) for line in lines(path, encodings))
    return {row[1]: row[2] for row in rows if row}


def read(root: Path) -> pd.DataFrame:
    """The utterance table of an ESD folder."""
    from tasks import utterances

    texts: dict[str, dict[str, str]] = {}
    rows = []
    for stem, path in audio_by_stem(root, CORPUS).items():
        name = re.fullmatch(r"(00\d\d)_(\d{6})", stem)
        if name is None:
            raise TaskError(f"{path}: not an ESD name (as 0015/Angry/0015_000355: speaker, utterance); move it away")
        above = [folder.title() for folder in reversed(path.relative_to(root).parts[:-1])]
        folder = next((folder for folder in above if folder in EMOTIONS), above[0] if above else "")
        language = "zh" if int(name[1]) <= MANDARIN else "en"
        if name[1] not in texts:
            texts[name[1]] = _texts(root, name[1])
        rows.append(
            {
                "id": stem,
                "path": path,
                "speaker": name[1],
                "language": language,
                "emotion": code(EMOTIONS, folder, "emotion folder", path),
                "sentence": f"{language}{(int(name[2]) - 1) % SENTENCES + 1}",
                "text": texts[name[1]].get(stem),
            }
        )
    return utterances.table(rows)
