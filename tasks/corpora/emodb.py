"""EmoDB, the Berlin database: `wav/03a01Wa.wav` = speaker 03, text a01, emotion W, version a."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.corpora import Archive, Corpus, audio_by_stem, code
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

CORPUS = Corpus(
    name="emodb",
    title="EmoDB (Berlin Database of Emotional Speech)",
    language="de",
    licence="free to download; no formal licence on the official page",
    homepage="emodb.bilderbar.info",
    obtain="Download and unpack the archive; audio lies in wav/.",
    folders=("emodb", "emo-db", "berlin database of emotional speech"),
    globs=("wav/*",),
    pattern=r"\d\d[ab]\d\d[A-Z][a-z]?",
    files=535,
    speakers=10,
    classes={
        "anger": 127,
        "boredom": 81,
        "disgust": 46,
        "fear": 69,
        "happiness": 71,
        "neutral": 79,
        "sadness": 62,
    },
    family="emodb",
    archives=(Archive("http://emodb.bilderbar.info/download/download.zip"),),
    lossless=True,
    rate=16000,
    source="file names of the whole corpus, counted; agrees with EmoBox's metadata",
    cite=("burkhardt2005",),
)

EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
MALE = frozenset({"03", "10", "11", "12", "15"})
FEMALE = frozenset({"08", "09", "13", "14", "16"})
# Sources: docs/emodb-example.rst of github.com/audeering/audformat, and the list of codes with English renderings at
# wpsshop.cn/w/article/detail/390524, which agrees code by code.
SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}


def read(root: Path) -> pd.DataFrame:
    """The utterance table of an EmoDB folder."""
    from tasks import utterances

    rows = []
    for stem, path in audio_by_stem(root, CORPUS).items():
        name = re.fullmatch(r"(\d\d)([ab]\d\d)([A-Z])([a-z]?)", stem)
        if name is None or name[1] not in MALE | FEMALE:
            raise TaskError(f"{path}: not an EmoDB name (as 03a01Wa: speaker, text, emotion, version); move it away")
        speaker, sentence = name[1], name[2]
        rows.append(
            {
                "id": stem,
                "path": path,
                "speaker": speaker,
                "gender": "male" if speaker in MALE else "female",
                "language": CORPUS.language,
                "emotion": code(EMOTIONS, name[3], "emotion", path),
                "sentence": sentence,
                "text": SENTENCES.get(sentence),
            }
        )
    return utterances.table(rows)
