"""The embedded corpus: synthetic speech that this program makes itself, so that it runs where no data are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tasks.corpora import Corpus, check_name

if TYPE_CHECKING:
    import pandas as pd

CORPUS = Corpus(
    name="demo",
    title="demo (synthetic)",
    language="und",
    licence="MIT, as the program",
    homepage="part of the program",
    obtain="It is made when first asked for, and anew if a file of it is damaged.",
    folders=("demo",),
    globs=("wav/*",),
    files=320,
    speakers=8,
    classes={"anger": 80, "happiness": 80, "neutral": 80, "sadness": 80},
    family="demo",
    lossless=True,
    rate=16000,
    source="made by tasks/corpora/demo/synthesis.py",
    synthetic=True,
)


def write(cache: Path) -> Path:
    """The folder of the embedded corpus below `cache`, made if it is absent or damaged. Raises TaskError."""
    from tasks.corpora.demo import synthesis

    return synthesis.write(cache)


def read(root: Path) -> pd.DataFrame:
    """The utterance table of the embedded corpus, from its metadata.csv."""
    import pandas as pd

    from tasks import utterances

    check_name(root)
    text = ["id", "path", "speaker", "session", "sentence", "dialogue"]
    metadata = pd.read_csv(root / "metadata.csv", dtype={column: str for column in text})
    metadata["path"] = [root / path for path in metadata["path"]]
    return utterances.table([{str(key): value for key, value in row.items()} for row in metadata.to_dict("records")])
