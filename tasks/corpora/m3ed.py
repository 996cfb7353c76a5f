"""M3ED: `modality_speech/A_huanlesong_1_15.wav` = speaker A of dialogue huanlesong_1, utterance 15.

`annotation.json` holds series -> dialogue -> {"SpeakerInfo": {"A": {"Name": ...}}, "Dialog": {utterance: {"Speaker",
"Text", "EmoAnnotation": {"final_main_emo"}}}}; `splitInfo/movie_list_{train,val,test}*.txt` tell each series' part.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict

from tasks.corpora import Corpus, audio_by_stem, code, label_file, label_folder, lines
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

CORPUS = Corpus(
    name="m3ed",
    title="M3ED",
    language="zh",
    licence="not stated; on request",
    homepage="github.com/AIM3-RUC/RUCM3ED",
    obtain="Ask its makers; annotation.json, splitInfo/ and modality_speech/ lie in it.",
    folders=("m3ed", "rucm3ed"),
    globs=("modality_speech/*",),
    texts=("annotation.json", "splitInfo"),
    files=24437,  # of 24449 that are annotated; EmoBox found no usable audio of the other 12
    speakers=626,
    classes={},
    others=("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"),
    family="m3ed",
    lossless=True,
    rate=16000,
    source="EmoBox's metadata, counted",
)

EMOTIONS = {
    "Anger": "anger",
    "Disgust": "disgust",
    "Fear": "fear",
    "Happy": "happiness",
    "Neutral": "neutral",
    "Sad": "sadness",
    "Surprise": "surprise",
}
PARTITIONS = {"train": "train", "val": "dev", "test": "test"}


class _Utterance(TypedDict):
    Speaker: str
    Text: NotRequired[str]
    EmoAnnotation: dict[str, str]


class _Dialogue(TypedDict):
    SpeakerInfo: dict[str, dict[str, str]]
    Dialog: dict[str, _Utterance]


def _plain(series: str) -> str:
    """A series' name without what lists spell differently: one says `zhengyangmenxi(a)`."""
    return re.sub(r"[^a-z0-9]", "", series.lower())


def _partitions(root: Path) -> dict[str, str]:
    parts: dict[str, str] = {}
    for name, partition in PARTITIONS.items():
        lists = sorted(label_folder(root, "splitInfo").glob(f"movie_list_{name}*.txt"))
        if not lists:
            raise TaskError(f"{root / 'splitInfo'}: has no movie_list_{name}*.txt; put the corpus's own there")
        parts |= {_plain(line): partition for line in lines(lists[0]) if line.strip()}
    return parts


def _annotation(path: Path) -> dict[str, dict[str, _Dialogue]]:
    """The label file: dialogues by series and name."""
    try:
        return json.loads("\n".join(lines(path)))
    except ValueError as error:
        raise TaskError(f"{path}: is not whole JSON ({error}); put the corpus's own there") from error


def _number(utterance: str) -> int:
    return int(re.sub(r".*\D", "", utterance) or 0)


def read(root: Path) -> pd.DataFrame:
    """The utterance table of an M3ED folder: the annotated utterances whose audio is there; all where there is none."""
    from tasks import utterances

    audio, parts, labels = audio_by_stem(root, CORPUS), _partitions(root), label_file(root, "annotation.json")
    rows = []
    for series, dialogues in _annotation(labels).items():
        for dialogue, content in dialogues.items():
            try:
                who, said = content["SpeakerInfo"], content["Dialog"]
                for turn, utterance in enumerate(sorted(said, key=_number)):
                    facts = said[utterance]
                    speaker = facts["Speaker"]
                    stem = f"{speaker}_{utterance}"
                    if audio and stem not in audio:
                        continue
                    about = who.get(speaker, {})
                    rows.append(
                        {
                            "id": stem,
                            "path": audio.get(stem),
                            "labels": labels,
                            "speaker": f"{series} {about.get('Name') or f'{dialogue} {speaker}'}",
                            "gender": (about.get("Gender") or "").lower() or None,
                            "language": CORPUS.language,
                            "emotion": code(EMOTIONS, facts["EmoAnnotation"]["final_main_emo"], "emotion", labels),
                            "text": facts.get("Text"),
                            "dialogue": dialogue,
                            "turn": turn,
                            "turns": len(said),
                            "session": series,
                            "partition": code(parts, _plain(series), "series", root / "splitInfo"),
                        }
                    )
            except (KeyError, TypeError, AttributeError) as error:
                raise TaskError(f"{labels}: dialogue {dialogue} of {series} lacks {error}") from error
    return utterances.table(rows)
