"""AESDD: `anger/a03 (3).wav` = emotion a, sentence 3, speaker 3; speaker 1 is `(01)` in a few names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.corpora import Corpus, audio_by_stem, code
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

CORPUS = Corpus(
    name="aesdd",
    title="AESDD (Acted Emotional Speech Dynamic Database)",
    language="el",
    licence="CC BY 4.0, as a mirror says",
    homepage="m3c.web.auth.gr/research/aesdd-speech-emotion-recognition",
    obtain="Download and unpack the archive; audio lies in anger/, disgust/, fear/, happiness/ and sadness/.",
    folders=("aesdd", "acted emotional speech dynamic database"),
    globs=tuple(f"{emotion}/*" for emotion in ("anger", "disgust", "fear", "happiness", "sadness")),
    pattern=r"[adfhs]\d+ ?\(\d+\)\w*",
    files=604,
    speakers=6,
    classes={"anger": 121, "disgust": 122, "fear": 120, "happiness": 119, "sadness": 122},
    family="aesdd",
    lossless=True,
    rate=44100,
    source="EmoBox's metadata, counted; six speaker numbers in the file names, five in its README",
    flawed={"s05 (3)": "cannot be decoded in the corpus's own archive"},
)

EMOTIONS = {"a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "s": "sadness"}


def read(root: Path) -> pd.DataFrame:
    """The utterance table of an AESDD folder."""
    from tasks import utterances

    rows = []
    for stem, path in audio_by_stem(root, CORPUS).items():
        name = re.fullmatch(r"([a-z])(\d+) ?\((\d+)\)\w*", stem)
        if name is None:
            raise TaskError(f"{path}: not an AESDD name (as a03 (3): emotion, sentence, speaker); move it away")
        rows.append(
            {
                "id": stem,
                "path": path,
                "speaker": str(int(name[3])),
                "language": CORPUS.language,
                "emotion": code(EMOTIONS, name[1], "emotion", path),
                "sentence": name[2],
            }
        )
    return utterances.table(rows)
