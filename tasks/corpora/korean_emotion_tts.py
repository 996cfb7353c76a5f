"""KoreanEmotionTTS: `emotional-to-emotional/nea/wav/nea00105.wav` = speaker nea, number 105, which tells the emotion.

Numbers 1 to 100 are neutral, 101 to 200 happy, 201 to 300 angry, 301 to 400 sad. The public sample holds the first five
of each; `text/nea00105.txt` beside `wav` holds what is said, where a copy has it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.corpora import Corpus, audio_by_stem
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

CORPUS = Corpus(
    name="korean_emotion_tts",
    title="Korean Emotion TTS (public sample)",
    language="ko",
    licence="CC BY-NC-SA 4.0, research only",
    homepage="github.com/emotiontts/emotiontts_open_db",
    obtain="Clone the repository; audio lies below Dataset/SpeechCorpus/Emotional/.",
    folders=("koreanemotiontts", "emotiontts_open_db", "emotiontts_open_db-master"),
    globs=("Dataset/SpeechCorpus/Emotional/*/*/wav/*",),
    files=300,
    speakers=15,
    classes={"anger": 75, "happiness": 75, "neutral": 75, "sadness": 75},
    family="korean_emotion_tts",
    lossless=True,
    rate=22050,
    source="file names of the public sample, counted",
)

EMOTIONS = ("neutral", "happiness", "anger", "sadness")


def read(root: Path) -> pd.DataFrame:
    """The utterance table of the repository's emotional recordings."""
    from tasks import utterances

    rows = []
    for stem, path in audio_by_stem(root, CORPUS).items():
        name = re.fullmatch(r"([a-z]{3})(\d{5})", stem)
        number = int(name[2]) - 1 if name else -1
        if name is None or not 0 <= number < 400:
            raise TaskError(f"{path}: not a name of this corpus (as nea00105: speaker, number 1 to 400); move it away")
        rows.append(
            {
                "id": stem,
                "path": path,
                "speaker": name[1],
                "language": CORPUS.language,
                "emotion": EMOTIONS[number // 100],
            }
        )
    return utterances.table(rows)
