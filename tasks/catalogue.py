"""Tasks that have a definition, suites of them, and the state of their corpora; no table is read for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from commons.errors import EmorepError
from tasks import corpora, definition
from tasks.corpora import Corpus
from tasks.errors import TaskError

SUITES = Path(__file__).with_name("suites.yaml")
COMPUTED = ("here", "all")


@dataclass(frozen=True)
class Listing:
    """A task as `--list` shows it.

    Attributes:
        state: complete, partial or absent; `broken` where the definition or the corpus module cannot be read, and
            `problem` then says why.
        found, expected: the corpus's audio files that are there, and those of a whole copy (0: not known).
    """

    task: str
    title: str
    corpus: str
    language: str
    state: str
    found: int
    expected: int
    downstream: str
    synthetic: bool = False
    problem: str = ""

    @property
    def files(self) -> str:
        """`12/535 files`; without a total where the whole count is not known."""
        return f"{self.found}/{self.expected} files" if self.expected else f"{self.found} files"


def names() -> list[str]:
    """Names of the tasks that have a definition, sorted."""
    return sorted(path.stem for path in definition.FOLDER.glob("*.yaml"))


def suites() -> dict[str, list[str]]:
    """Task names by suite, of the suites that are lists."""
    return yaml.safe_load(SUITES.read_text(encoding="utf-8"))


def is_suite(name: str) -> bool:
    """Whether a name stands for several tasks."""
    return name in COMPUTED or name in suites()


def members(suite: str, data: Path) -> list[str]:
    """Names of a suite's tasks.

    Raises:
        TaskError: no corpus under `data` is complete, and `here` is asked for.
    """
    if suite not in COMPUTED:
        return suites()[suite]
    real = [row for row in describe(data) if not row.synthetic]
    wanted = [row.task for row in real if suite == "all" or row.state == "complete"]
    if not wanted:
        raise TaskError(f"no corpus is complete under {data}; the task demo needs none")
    return wanted


def describe(data: Path) -> list[Listing]:
    """See `tasks.describe`."""
    counted: dict[str, tuple[str, int]] = {}
    rows = []
    for name in names():
        try:
            task = definition.read(definition.path(name))
            corpus: Corpus = corpora.module(task.corpus).CORPUS
        except EmorepError as error:
            rows.append(Listing(name, "", "", "", "broken", 0, 0, "", problem=str(error)))
            continue
        if corpus.name not in counted:
            counted[corpus.name] = _count(corpus, data)
        state, there = counted[corpus.name]
        rows.append(
            Listing(
                task=name,
                title=task.title,
                corpus=corpus.name,
                language=corpus.language,
                state=state,
                found=there,
                expected=corpus.counted,
                downstream=" ".join(task.heads),
                synthetic=corpus.synthetic,
            )
        )
    return rows


def _count(corpus: Corpus, data: Path) -> tuple[str, int]:
    """State and files of a corpus; the synthetic one is made when it is wanted, so it is complete."""
    if corpus.synthetic:
        return "complete", corpus.files
    root = corpus.root(data)
    there = corpora.count(corpus, root) if root else 0
    return ("absent" if not there else "complete" if there >= corpus.counted else "partial"), there
