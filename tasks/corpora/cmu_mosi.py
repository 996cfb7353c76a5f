"""CMU-MOSI: `Raw/Audio/WAV_16000/Segmented/<video>_<clip>.wav` and `label.csv`.

`label.csv` is MMSA's table, one row a clip: video_id, clip_id, text, label (sentiment from -3 to 3), mode (train,
valid, test). Clips of a video follow one another; who speaks is not told, and the parts share no video.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import textfile
from tasks.corpora import Corpus, audio_by_stem, code, label_file, records
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

CORPUS = Corpus(
    name="cmu_mosi",
    title="CMU-MOSI",
    language="en",
    licence="research only",
    homepage="github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK",
    obtain="Unpack the raw archive, so that Raw/ lies in it, and put MMSA's label.csv beside it.",
    folders=("cmu_mosi", "cmu-mosi", "mosi"),
    globs=("Raw/Audio/WAV_16000/Segmented/*",),
    texts=("label.csv",),
    files=2199,
    speakers=0,
    classes={},
    family="cmu_mosi",
    lossless=True,
    rate=16000,
    source="MERBench's labels, counted (1284, 229 and 686 clips of 52, 10 and 31 videos)",
)

PARTITIONS = {"train": "train", "valid": "dev", "test": "test"}
COLUMNS = ("video_id", "clip_id", "text", "label", "mode")


def labelled(labels: Path, language: str) -> Iterator[tuple[str, int, dict[str, object]]]:
    """Video, clip and the label's columns of each line of MMSA's table."""
    for row in records(labels, COLUMNS, textfile.WESTERN):
        try:
            clip, sentiment = int(row["clip_id"]), float(row["label"])
        except ValueError as error:
            raise TaskError(f"{labels}, {row['video_id']}: clip_id and label must be numbers ({error})") from error
        if not -3 <= sentiment <= 3:
            raise TaskError(f"{labels}, {row['video_id']} {clip}: sentiment {sentiment} is not within -3 and 3")
        yield (
            row["video_id"],
            clip,
            {
                "labels": labels,
                "language": language,
                "sentiment": sentiment,
                "polarity": "negative" if sentiment < 0 else "positive" if sentiment > 0 else "neutral",
                "text": row["text"],
                "dialogue": row["video_id"],
                "turn": clip,
                "partition": code(PARTITIONS, row["mode"], "mode", labels),
            },
        )


def read(root: Path) -> pd.DataFrame:
    """The utterance table of a CMU-MOSI folder: the labelled clips whose audio is there; all where there is none."""
    from tasks import utterances

    audio = audio_by_stem(root, CORPUS)
    rows = []
    for video, clip, facts in labelled(label_file(root, "label.csv"), CORPUS.language):
        utterance = f"{video}_{clip}"
        if not audio or utterance in audio:
            rows.append({"id": utterance, "path": audio.get(utterance), **facts})
    return utterances.table(rows)
