"""Indian EmoSpeech Command: `webservice/bacho-safe-angry-1563213173113-<56 hex digits>.wav`.

A name is keyword - environment - emotion - time - hash of the speaker. The hash of the empty string stands for an
unknown user: speakers cannot be kept apart with those files, so they are no part of this corpus here, nor are
recordings without a keyword (`background`) or an emotion (`None`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.corpora import Corpus, audio_by_stem, code
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

NOBODY = "d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f"  # SHA-224 of nothing
CONFLICT = "the same recording is there twice, as angry and as fearful"
_BACHO = "1563210779752-b85700a6727e6b39588b8464a22d16bd5eb9b2ec39be9b9690f2ac0e"
_GO = "1563121805803-d1294a562db083cb5021b75878b86da1b6b05ef28bfe218d691d095e"

CORPUS = Corpus(
    name="indian_emospeech",
    title="Indian EmoSpeech Command (known speakers)",
    language="hi/en",
    licence="CC BY-NC-SA 4.0",
    homepage="github.com/RakshakTeam/emospeech-dataset-v1",
    obtain="Clone the repository; audio lies in webservice/.",
    folders=("indianemospeech", "emospeech-dataset-v1", "emospeech-dataset-v1-master"),
    globs=("webservice/*",),
    files=2018,
    speakers=105,
    classes={"anger": 457, "calm": 749, "fear": 423, "happiness": 389},
    family="indian_emospeech",
    lossless=True,
    rate=16000,
    source="file names of known speakers, counted; without the five flawed ones",
    beside={rf"background-[^/]*|[^/]*-[Nn]one-[^/]*|[^/]*-{NOBODY}": ""},
    flawed={
        f"bacho-safe-angry-{_BACHO}": CONFLICT,
        f"bacho-safe-fearful-{_BACHO}": CONFLICT,
        f"go-safe-angry-{_GO}": CONFLICT,
        f"go-safe-fearful-{_GO}": CONFLICT,
        "bacho-safe-calm-1563176322441-048e2eebe24932855ce305fb0b4a0dea01195599936ceb02499c24f8": "silence",
    },
)

EMOTIONS = {"angry": "anger", "calm": "calm", "fearful": "fear", "happy": "happiness"}


def read(root: Path) -> pd.DataFrame:
    """The utterance table of the files whose speaker is known."""
    from tasks import utterances

    rows = []
    for stem, path in audio_by_stem(root, CORPUS).items():
        name = re.fullmatch(r"([a-z]+)-[a-z ]+-([A-Za-z]+)-[^-]+-([0-9a-f]{56})", stem)
        if name is None:
            raise TaskError(f"{path}: not a name of this corpus (keyword-environment-emotion-time-hash); move it away")
        rows.append(
            {
                "id": stem,
                "path": path,
                "speaker": name[3],
                "language": CORPUS.language,
                "emotion": code(EMOTIONS, name[2].lower(), "emotion", path),
                "sentence": name[1],
            }
        )
    return utterances.table(rows)
