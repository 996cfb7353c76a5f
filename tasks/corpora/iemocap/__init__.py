"""IEMOCAP: five sessions of two actors each, in their official layout.

Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav
Session1/dialog/EmoEvaluation/Ses01F_impro01.txt      [6.29 - 8.23]  Ses01F_impro01_F000  neu  [2.5, 2.5, 2.5]
Session1/dialog/transcriptions/Ses01F_impro01.txt     Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.

The letter in `Ses01F` tells who wore the markers; the letter before the number tells who speaks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import textfile
from tasks.corpora import Corpus, audio_by_stem, code, label_folder, lines
from tasks.errors import TaskError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

CORPUS = Corpus(
    name="iemocap",
    title="IEMOCAP",
    language="en",
    licence="request form; no redistribution",
    homepage="sail.usc.edu/iemocap",
    obtain="Send the form of the home page; unpack IEMOCAP_full_release, so that Session1 to Session5 lie in it.",
    folders=("iemocap", "iemocap_full_release", "iemocapfullrelease"),
    globs=("Session[1-5]/sentences/wav/*/Ses0*",),
    parts=tuple(
        f"Session{session}{part}"
        for session in range(1, 6)
        for part in ("", "/sentences/wav", "/dialog/EmoEvaluation", "/dialog/transcriptions")
    ),
    texts=tuple(
        f"Session{session}/dialog/{part}" for session in range(1, 6) for part in ("EmoEvaluation", "transcriptions")
    ),
    files=10039,
    speakers=10,
    classes={"neutral": 1708, "anger": 1103, "sadness": 1084, "happiness": 595, "excitement": 1041},
    family="iemocap",
    lossless=True,
    rate=16000,
    others=("frustration", "fear", "surprise", "disgust", "other"),
    source="EmoBox's metadata, counted (five classes); the corpus's own paper (10039 turns)",
    cite=("busso2008",),
)

EMOTIONS = {
    "ang": "anger",
    "hap": "happiness",
    "exc": "excitement",
    "sad": "sadness",
    "neu": "neutral",
    "fru": "frustration",
    "fea": "fear",
    "sur": "surprise",
    "dis": "disgust",
    "oth": "other",
    "xxx": "",
}  # xxx: the annotators did not agree, hence no emotion
GENDERS = {"F": "female", "M": "male"}

LABEL = re.compile(r"\[([\d.]+) - ([\d.]+)\]\t(\S+)\t(\S+)\t\[([\d.]+), ([\d.]+), ([\d.]+)\]\s*")
VOTE = re.compile(r"C-E\d+:\s*([^(]*?)\s*(?:\(.*)?")
WORDS = {
    "anger": "anger",
    "happiness": "happiness",
    "excited": "excitement",
    "sadness": "sadness",
    "neutral": "neutral",
    "neutral state": "neutral",
    "frustration": "frustration",
    "fear": "fear",
    "surprise": "surprise",
    "surprised": "surprise",
    "disgust": "disgust",
    "other": "other",
}
TRANSCRIPT = re.compile(r"(\S+) \[[\d.]+-[\d.]+\]:\s*(.*?)\s*")


def _lines(path: Path) -> list[str]:
    return lines(path, (*textfile.WESTERN, "latin-1"))


def _transcripts(folder: Path) -> dict[str, str]:
    """Text by utterance id of one session."""
    matches = (TRANSCRIPT.fullmatch(line) for path in sorted(folder.glob("[!.]*.txt")) for line in _lines(path))
    return {match[1]: match[2] for match in matches if match}


def _turns(path: Path) -> list[re.Match[str]]:
    """A dialogue's label lines in order of time; the other lines are the heading's and single annotators'."""
    turns = []
    for number, line in enumerate(_lines(path), start=1):
        if not line.startswith("["):
            continue
        match = LABEL.fullmatch(line)
        if match is None:
            raise TaskError(f"{path}, line {number}: not a label line ([start - end], utterance, emotion, [V, A, D])")
        turns.append(match)
    return sorted(turns, key=lambda match: float(match[1]))


def _votes(path: Path) -> dict[str, dict[str, float]]:
    """The votes of a dialogue's single annotators, by turn: lines `C-E2: Anger; Frustration; ()` below its label.

    An annotator who names several emotions gives each an equal part of one vote. What actors said of themselves
    (`C-F1`, `C-M1`) is no vote.
    """
    made: dict[str, dict[str, float]] = {}
    own: dict[str, float] = {}
    for number, line in enumerate(_lines(path), start=1):
        if match := LABEL.fullmatch(line):
            own = made.setdefault(match[3], {})
        elif vote := VOTE.fullmatch(line):
            words = [word.strip().casefold() for word in vote[1].split(";") if word.strip()]
            for word in words:
                if word not in WORDS:
                    known = ", ".join(WORDS)
                    raise TaskError(f"{path}, line {number}: annotator's emotion {word!r} is not known ({known})")
                name = f"votes:{WORDS[word]}"
                own[name] = own.get(name, 0.0) + 1 / len(words)
    return made


def dev_rows(root: Path, tests: Mapping[str, np.ndarray], ids: np.ndarray) -> dict[str, np.ndarray] | None:
    """Dev rows by fold name as s3prl draws them; None where the copy holds no `meta_data`. Raises TaskError."""
    from tasks.corpora.iemocap import s3prl_split

    return s3prl_split.draws(root, tests, ids)


def read(root: Path) -> pd.DataFrame:
    """The utterance table of an IEMOCAP folder; turns without an agreed emotion stay, as context.

    Turns whose audio is missing are left out: the counts of the corpus's facts tell. A copy without any audio has all.
    """
    from tasks import utterances

    audio = audio_by_stem(root, CORPUS)
    rows = []
    for number in "12345":
        session = label_folder(root, f"Session{number}")
        if not session.is_dir():
            continue
        texts = _transcripts(label_folder(session, "dialog/transcriptions"))
        labels = sorted(label_folder(session, "dialog/EmoEvaluation").glob("[!.]*.txt"))
        if not labels:
            raise TaskError(f"{session}: no label files in dialog/EmoEvaluation; unpack the whole release")
        for path in labels:
            turns, votes = _turns(path), _votes(path)
            for turn, match in enumerate(turns):
                utterance = match[3]
                name = re.fullmatch(r"(Ses0\d)[FM]_\w+_([FM])\w*\d", utterance)
                if name is None:
                    raise TaskError(f"{path}: {utterance!r} is not an IEMOCAP utterance (as Ses01F_impro01_F000)")
                emotion = code(EMOTIONS, match[4], "emotion", path)
                if not audio or utterance in audio:
                    rows.append(
                        {
                            "id": utterance,
                            "path": audio.get(utterance),
                            "labels": path,
                            "speaker": name[1] + name[2],
                            "gender": GENDERS[name[2]],
                            "language": CORPUS.language,
                            "emotion": emotion or None,
                            "valence": float(match[5]),
                            "arousal": float(match[6]),
                            "dominance": float(match[7]),
                            "text": texts.get(utterance),
                            "dialogue": path.stem,
                            "turn": turn,
                            "turns": len(turns),
                            "style": "improvised" if "_impro" in path.stem else "scripted",
                            "session": number,
                            **votes.get(utterance, {}),
                        }
                    )
    return utterances.table(rows)
