"""MELD: `train_sent_emo.csv`, `dev_sent_emo.csv`, `test_sent_emo.csv` and a folder of clips for each, `dia125_utt3`.

The official clips are mp4 files, mostly with 5.1 sound: `python -m tasks fetch meld --extract` writes the centre
channel, where the voices are, beside each as WAV. `final_videos_test*` and `._*` in the test folder are no part of it.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from commons.progress import Progress
from tasks import textfile
from tasks.corpora import Archive, Corpus, audio_by_stem, code, label_file, records
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

# Folders of the clips; the archives lie one in the other, so each is found nested or not.
CLIPS = {"train_splits": "train", "dev_splits_complete": "dev", "output_repeated_splits_test": "test"}
LABELS = {part: f"{part}_sent_emo.csv" for part in CLIPS.values()}

CORPUS = Corpus(
    name="meld",
    title="MELD",
    language="en",
    licence="GPL-3.0 (annotations); the sound is the television series'",
    homepage="affective-meld.github.io",
    obtain="python -m tasks fetch meld --extract downloads it and takes the sound out of the clips (with ffmpeg); or "
    "unpack MELD.Raw.tar.gz and the archives in it yourself, and run that command on what is there.",
    folders=("meld", "meld.raw"),
    globs=tuple(f"{nested}{clips}/*" for clips in CLIPS for nested in ("", "*/")),
    pattern=rf"(?:{'|'.join(CLIPS)})/dia\d+_utt\d+",
    parts=(*CLIPS, *LABELS.values()),
    texts=tuple(LABELS.values()),
    files=13706,
    speakers=304,
    classes={
        "anger": 1607,
        "disgust": 361,
        "fear": 358,
        "happiness": 2308,
        "neutral": 6434,
        "sadness": 1002,
        "surprise": 1636,
    },
    family="meld",
    archives=(Archive("https://web.eecs.umich.edu/~mihalcea/downloads/MELD.Raw.tar.gz", strip=1),),
    lossless=True,
    rate=48000,
    source="the official label files, counted",
    cite=("poria2019",),
    beside={"final_videos_test[^/]*": ""},
    flawed={
        "train_dia125_utt3": "its clip cannot be read",
        "dev_dia110_utt7": "its clip cannot be read",
    },
)

EMOTIONS = {
    "anger": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "joy": "happiness",
    "neutral": "neutral",
    "sadness": "sadness",
    "surprise": "surprise",
}
COLUMNS = ("Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID")


def extract(root: Path, progress: Progress | None = None) -> list[str]:
    """Write the sound of every clip that has none yet; returns what failed and why, without the known-bad clips.

    Raises:
        TaskError: ffmpeg is not installed, or there are no clips.
    """
    from tasks.corpora.meld import clips

    there = {path for pattern in CORPUS.globs for path in root.glob(f"{pattern}.mp4") if path.name[:2] != "._"}
    if not there:
        raise TaskError(f"{root}: holds no clips ({' or '.join(f'{glob}.mp4' for glob in CORPUS.globs[:3])})")
    failed = clips.extract(sorted(there), progress)
    return [f"{clip}: {reason}" for clip, reason in failed.items() if name(clip) not in CORPUS.flawed]


def name(clip: Path) -> str:
    """The utterance that a clip holds: `train_dia125_utt3`."""
    return f"{CLIPS[clip.parent.name]}_{clip.stem}"


def read(root: Path) -> pd.DataFrame:
    """The utterance table of a MELD folder, turns numbered within a dialogue.

    It has the label lines whose sound is there; where there is no sound at all, all lines, for upstreams of text.
    """
    from tasks import utterances

    clips: dict[str, Path] = {}
    for place, path in audio_by_stem(root, CORPUS).items():
        folder, _, stem = place.rpartition("/")
        if folder not in CLIPS:
            raise TaskError(f"{path}: not a MELD clip (as dia125_utt3: dialogue, utterance); move it away")
        clips[f"{CLIPS[folder]}_{stem}"] = path
    rows = []
    for partition, file in LABELS.items():
        labels = label_file(root, file)
        turns: Counter[str] = Counter()
        lines = records(labels, COLUMNS, textfile.WESTERN)
        lengths = Counter(line["Dialogue_ID"] for line in lines)
        for line in sorted(lines, key=lambda line: (int(line["Dialogue_ID"]), int(line["Utterance_ID"]))):
            dialogue = f"{partition}_dia{line['Dialogue_ID']}"
            utterance, turn = f"{dialogue}_utt{line['Utterance_ID']}", turns[dialogue]
            turns[dialogue] += 1
            if not clips or utterance in clips:
                rows.append(
                    {
                        "id": utterance,
                        "path": clips.get(utterance),
                        "labels": labels,
                        "speaker": line["Speaker"],
                        "language": CORPUS.language,
                        "emotion": code(EMOTIONS, line["Emotion"], "emotion", labels),
                        "polarity": line["Sentiment"],
                        "text": line["Utterance"],
                        "dialogue": dialogue,
                        "turn": turn,
                        "turns": lengths[line["Dialogue_ID"]],
                        "partition": partition,
                    }
                )
    return utterances.table(rows)
