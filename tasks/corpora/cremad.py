"""CREMA-D: `AudioWAV/1001_DFA_ANG_XX.wav` = actor 1001, sentence DFA, emotion ANG, intensity XX (not asked for).

`processedResults/summaryTable.csv` holds what listeners voted (`vote`, from the voice alone), `tabulatedVotes.csv`
beside it how many named what (`votes:<class>`), `VideoDemographics.csv` who the actors are; a copy of the audio alone
is read without them.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.corpora import Corpus, audio_by_stem, code, label_file, lines
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

CORPUS = Corpus(
    name="cremad",
    title="CREMA-D",
    language="en",
    licence="Open Database License 1.0",
    homepage="github.com/CheyneyComputerScience/CREMA-D",
    obtain="Clone the repository with Git LFS; audio lies in AudioWAV/.",
    folders=("cremad", "crema-d", "crema_d", "crema"),
    globs=("AudioWAV/*",),
    pattern=r"\d{4}_[A-Z]{3}_[A-Z]{3}_[A-Z]+",
    parts=("processedResults/summaryTable.csv", "VideoDemographics.csv"),
    beside={"AudioMP3/[^/]*": ""},
    files=7438,
    speakers=91,
    classes={},
    others=("anger", "disgust", "fear", "happiness", "neutral", "sadness"),
    family="cremad",
    lossless=True,
    rate=16000,
    source="the corpus's README (7442 clips, 91 actors; the flawed ones as programs that cite it leave them out)",
    flawed={
        "1064_IEO_DIS_MD": "a minute with all emotions of the sentence",
        "1064_TIE_SAD_XX": "nearly empty",
        "1076_MTI_NEU_XX": "nearly empty",
        "1076_MTI_SAD_XX": "silent",
    },
)

DEMOGRAPHICS = ("Age", "Race", "Ethnicity")
EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}
INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high", "XX": "", "X": ""}
# Sources: the corpus's own description, as copies quote it ("The sentences were presented using different emotion"),
# and the lists of public loaders; a few of these say "slippery" for TSI and "in a bit" for WSI.
SENTENCES = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
VOICE = 1  # the modality that begins a row number of tabulatedVotes.csv: 1 voice, 2 face, 3 both
VOTES = {emotion[0].upper(): emotion for emotion in EMOTIONS.values()}


def _rows(path: Path, columns: tuple[str, ...], more: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The named columns of a table, its heading in any case, and `more`, empty where the table lacks them; nothing
    where the copy lacks the file."""
    if not path.exists():
        return
    heading, *rows = csv.reader(lines(path))
    places = {name.casefold(): i for i, name in enumerate(heading)}
    lacking = [column for column in columns if column.casefold() not in places]
    if lacking:
        raise TaskError(f"{path}: has no column {', '.join(lacking)}; put the corpus's own file in its place")
    for row in rows:
        known = {column: row[places[column.casefold()]] for column in (*columns, *more) if column.casefold() in places}
        yield tuple(known.get(column, "") for column in (*columns, *more))


def _votes(table: Path) -> dict[str, dict[str, float]]:
    """How many listeners named each class, by utterance, of the voice alone: rows 1xxxxx of `tabulatedVotes.csv`."""
    if not table.exists():
        return {}
    heading, *rows = csv.reader(lines(table))
    places = {name: place for place, name in enumerate(heading)}
    lacking = [name for name in (*VOTES, "fileName") if name not in places]
    if lacking:
        raise TaskError(f"{table}: has no column {', '.join(lacking)}; put the corpus's own file in its place")
    made: dict[str, dict[str, float]] = {}
    for number, row in enumerate(rows, start=2):
        try:
            if int(row[0]) // 100_000 == VOICE:
                counts = {f"votes:{emotion}": float(row[places[letter]]) for letter, emotion in VOTES.items()}
                made[row[places["fileName"]]] = counts
        except (ValueError, IndexError) as error:
            raise TaskError(f"{table}, line {number}: a row number and counts of votes are expected") from error
    return made


def read(root: Path) -> pd.DataFrame:
    """The utterance table of a CREMA-D folder; `votes` is what most listeners named, `vote` that where none tie."""
    from tasks import utterances

    table = label_file(root, "processedResults/summaryTable.csv")
    votes = {
        name: ":".join(code(VOTES, letter, "vote", table) for letter in vote.split(":"))
        for name, vote in _rows(table, ("FileName", "VoiceVote"))
    }
    single = _votes(label_file(root, "processedResults/tabulatedVotes.csv"))
    actors = _rows(label_file(root, "VideoDemographics.csv"), ("ActorID", "Sex"), DEMOGRAPHICS)
    people = {actor: (sex.lower(), *more) for actor, sex, *more in actors}
    rows = []
    for stem, path in audio_by_stem(root, CORPUS).items():
        name = re.fullmatch(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_([A-Z]+)", stem)
        if name is None:
            raise TaskError(
                f"{path}: not a CREMA-D name (as 1001_DFA_ANG_XX: actor, sentence, emotion, level); move it"
            )
        sex, *more = people.get(name[1], [None])
        rows.append(
            {
                "id": stem,
                "path": path,
                "speaker": name[1],
                "gender": sex,
                **{column.lower(): value or None for column, value in zip(DEMOGRAPHICS, more, strict=False)},
                "language": CORPUS.language,
                "emotion": code(EMOTIONS, name[3], "emotion", path),
                "votes": votes.get(stem),
                "vote": votes.get(stem) if stem in votes and ":" not in votes[stem] else None,
                "intensity": code(INTENSITIES, name[4], "intensity", path) or None,
                "sentence": name[2],
                "text": SENTENCES.get(name[2]),
                **single.get(stem, {}),
            }
        )
    return utterances.table(rows)
