"""Tasks that have a definition, suites, and the state of corpora; files are counted, none is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from commons import yamlfile
from commons.errors import EmorepError
from tasks import corpora, definition
from tasks.copies import search, wording
from tasks.corpora import Corpus
from tasks.errors import TaskError

SUITES = Path(__file__).with_name("suites.yaml")
COMPUTED = ("here", "all")


@dataclass(frozen=True)
class Listing:
    """A task as `--list` shows it.

    Attributes:
        state: complete, partial, text only or absent; `broken` where the definition or the corpus module cannot be
            read; `unread` where folders cannot be read. `problem` says why.
        present, expected: audio files of this copy, and of a complete one (0: not known).
    """

    task: str
    title: str
    corpus: str
    language: str
    state: str
    present: int
    expected: int
    downstream: str
    synthetic: bool = False
    problem: str = ""

    @property
    def files(self) -> str:
        """`12/535 files`; without a total where the number of a complete copy is not known."""
        return f"{self.present}/{self.expected} files" if self.expected else f"{self.present} files"


def names() -> list[str]:
    """Names of the tasks that have a definition, sorted."""
    return sorted(path.stem for path in definition.FOLDER.glob("*.yaml"))


def suites() -> dict[str, list[str]]:
    """Task names by suite, of the suites that do not depend on the data folder."""
    several = yamlfile.mapping(SUITES, "suites, each a list of tasks")
    return {name: [str(task) for task in own] for name, own in several.items() if isinstance(own, list)}


def is_suite(name: str) -> bool:
    """Whether a name stands for several tasks."""
    return name in COMPUTED or name in suites()


def members(suite: str, data: Path) -> list[str]:
    """Names of a suite's tasks.

    Raises:
        TaskError: `here` is asked for, and no corpus under `data` is complete.
    """
    if suite not in COMPUTED:
        return suites()[suite]
    real = [row for row in describe(data) if not row.synthetic]
    wanted = [row.task for row in real if suite == "all" or row.state == "complete"]
    if not wanted:
        hint = "".join(f" ({line})" for line in unread(data)[:1])
        raise TaskError(f"no corpus under {data} is complete{hint}; the task demo needs no corpus")
    return wanted


def describe(data: Path) -> list[Listing]:
    """The state of every task's corpus under `data`."""
    counted: dict[str, tuple[str, int, str]] = {}
    below = search.tree(data)
    rows = []
    for name in names():
        try:
            task = definition.read(definition.path(name))
            corpus: Corpus = corpora.module(task.corpus).CORPUS
        except EmorepError as error:
            rows.append(Listing(name, "", "", "", "broken", 0, 0, "", problem=str(error)))
            continue
        if corpus.name not in counted:
            counted[corpus.name] = _count(corpus, below)
        state, there, problem = counted[corpus.name]
        rows.append(
            Listing(
                task=name,
                title=task.title,
                corpus=corpus.name,
                language=corpus.language,
                state=state,
                present=there,
                expected=corpus.counted,
                downstream=" ".join(task.heads),
                synthetic=corpus.synthetic,
                problem=problem,
            )
        )
    return rows


def of_others(family: str, data: Path) -> list[str]:
    """Corpora under `data` that are complete, of real speech, and of another family."""
    there = dict.fromkeys(row.corpus for row in describe(data) if row.state == "complete" and not row.synthetic)
    return [name for name in there if corpora.module(name).CORPUS.family != family]


def unread(data: Path) -> list[str]:
    """Folders under `data` that cannot be read, each with the reason."""
    denied = search.tree(data).denied
    return [f"{wording.plain(str(folder))} cannot be read ({why})" for folder, why in denied.items()]


def _count(corpus: Corpus, below: search.Tree) -> tuple[str, int, str]:
    """State, audio files and problem of a corpus. A synthetic one is complete: it is made when it is first used."""
    if corpus.synthetic:
        return "complete", corpus.files, ""
    place = search.locate(corpus, below)
    denied, there = dict(place.denied), 0
    if place.root is not None:
        audio = search.look(corpus, place.root, compare=False)
        denied, there = denied | dict(audio.denied), corpora.recordings(corpus, audio)
    if denied and there < max(1, corpus.counted):
        folder, why = next(iter(denied.items()))
        return "unread", there, f"{wording.plain(str(folder))} cannot be read ({why})"
    if not there:
        return ("text only" if place.root and corpora.has_texts(corpus, place.root) else "absent"), there, ""
    return ("complete" if there >= corpus.counted else "partial"), there, ""
