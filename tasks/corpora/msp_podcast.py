"""MSP-Podcast: `Audios/MSP-PODCAST_0153_0042.wav`, labelled in `Labels/labels_consensus.csv`.

Columns: FileName, EmoClass, EmoAct, EmoVal, EmoDom (1 to 7), SpkrID, Gender, Split_Set (Train, Development, Test1,
Test2, Test3). Releases differ in size, so a whole copy is one whose audio is all there. Speakers that nobody identified
count as one a podcast.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.corpora import Corpus, audio_by_stem, code, label_file, records
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

CORPUS = Corpus(
    name="msp_podcast",
    title="MSP-Podcast",
    language="en",
    licence="licence agreement; no redistribution",
    homepage="lab-msp.com/MSP/MSP-Podcast.html",
    obtain="Sign the agreement; unpack a release, so that Audios/ and Labels/ lie in it.",
    folders=("msp-podcast", "msp_podcast", "msppodcast"),
    globs=("Audios/*", "Audios/Audios/*", "Audio/*"),
    files=0,
    speakers=0,
    classes={},
    others=(
        "anger",
        "contempt",
        "disgust",
        "fear",
        "happiness",
        "neutral",
        "other",
        "sadness",
        "surprise",
    ),
    family="msp_podcast",
    lossless=True,
    rate=16000,
    source="the columns of its label file; releases differ in size",
)

EMOTIONS = {
    "A": "anger",
    "C": "contempt",
    "D": "disgust",
    "F": "fear",
    "H": "happiness",
    "N": "neutral",
    "O": "other",
    "S": "sadness",
    "U": "surprise",
    "X": "",
}  # X: the annotators did not agree, hence no emotion
# Words of single annotators in labels_detailed.csv; others ("Other-relaxed" ...) are `other`.
WORDS = {
    "angry": "anger",
    "contempt": "contempt",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
    "surprise": "surprise",
}
PARTITIONS = {
    "Train": "train",
    "Development": "dev",
    "Validation": "dev",
    "Test1": "test",
    "Test2": "test2",
    "Test3": "test3",
}
COLUMNS = ("FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set")


def _votes(table: Path) -> dict[str, Counter[str]]:
    """How many annotators named each class first, by utterance; empty where the copy lacks the file."""
    if not table.exists():
        return {}
    made: dict[str, Counter[str]] = {}
    for row in records(table, ("FileName", "EmoClass_Major")):
        word = row["EmoClass_Major"].strip().casefold()
        made.setdefault(row["FileName"].removesuffix(".wav"), Counter())[f"votes:{WORDS.get(word, 'other')}"] += 1
    return made


def read(root: Path) -> pd.DataFrame:
    """The utterance table of a release; rows whose audio is missing point to where it should be."""
    from tasks import utterances

    labels = label_file(root, "Labels/labels_consensus.csv")
    audio, votes = audio_by_stem(root, CORPUS), _votes(label_file(root, "Labels/labels_detailed.csv"))
    named = sorted({name for counts in votes.values() for name in counts})
    rows = []
    for row in records(labels, COLUMNS):
        stem = row["FileName"].removesuffix(".wav")
        try:
            arousal, valence, dominance = (float(row[name]) for name in ("EmoAct", "EmoVal", "EmoDom"))
        except (TypeError, ValueError) as error:
            raise TaskError(f"{labels}, {row['FileName']}: EmoAct, EmoVal and EmoDom must be numbers") from error
        known = row["SpkrID"].strip().isdigit()
        gender = row["Gender"].lower()
        rows.append(
            {
                "id": stem,
                "path": audio.get(stem) or root / "Audios" / f"{stem}.wav",
                "labels": labels,
                "speaker": row["SpkrID"].strip() if known else "unknown of " + "_".join(stem.split("_")[:2]),
                "gender": gender if gender in ("female", "male") else None,
                "language": CORPUS.language,
                "emotion": code(EMOTIONS, row["EmoClass"], "emotion", labels) or None,
                "valence": valence,
                "arousal": arousal,
                "dominance": dominance,
                "partition": code(PARTITIONS, row["Split_Set"], "split", labels),
                **({name: float(votes[stem][name]) for name in named} if stem in votes else {}),
            }
        )
    return utterances.table(rows)
