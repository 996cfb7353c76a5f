"""What can be asked for: tasks, suites, and the state of their corpora, told without reading any table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tasks import brought, corpora, definition, derive
from tasks.corpora import Corpus
from tasks.errors import LIST, TaskError, UnknownName

SUITES = Path(__file__).with_name("suites.yaml")
COMPUTED = ("here", "all")


@dataclass(frozen=True)
class Listing:
    """A task as `--list` shows it; `found` and `expected` count the corpus's audio files (0 expected: not known).

    One whose definition or corpus module cannot be read has the state `broken`, and `problem` says why.
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


def resolve(wanted: Sequence[str], data: Path, tell: Callable[[str], None] = lambda line: None) -> list[str]:
    """See `tasks.resolve`."""
    known, lists = names(), suites()
    resolved: list[str] = []
    for name in wanted:
        if ":" in name:
            made = brought.module(name)
            if made:
                made.check(name, data)
            resolved += [name] if made else derive.expand(name, data, tell)
        elif name in known:
            resolved.append(name)
        elif name in lists:
            resolved += lists[name]
        elif name in COMPUTED:
            real = [row for row in describe(data) if not row.synthetic]
            found = [row.task for row in real if name == "all" or row.state == "complete"]
            if not found:
                raise TaskError(f"no corpus is complete under {data}; the task demo needs none")
            resolved += found
        elif name in corpora.names():
            raise TaskError(
                f"{name} is a corpus without a task of that name; write {definition.path(name)} (see another file of "
                "that folder), or name a task that uses it: --list shows them"
            )
        else:
            raise UnknownName("task or suite", name, [*known, *lists, *COMPUTED], LIST)
    return list(dict.fromkeys(resolved))


def describe(data: Path) -> list[Listing]:
    """See `tasks.describe`."""
    counted: dict[str, tuple[str, int]] = {}
    rows = []
    for name in names():
        try:
            task = definition.read(definition.path(name))
            corpus: Corpus = corpora.module(task.corpus).CORPUS
        except TaskError as error:
            rows.append(Listing(name, "", "", "", "broken", 0, 0, "", problem=str(error)))
            continue
        if corpus.name not in counted:
            counted[corpus.name] = _count(corpus, data)
        state, found = counted[corpus.name]
        rows.append(
            Listing(
                name,
                task.title,
                corpus.name,
                corpus.language,
                state,
                found,
                corpus.counted,
                " ".join(task.heads),
                corpus.synthetic,
            )
        )
    return rows


def _count(corpus: Corpus, data: Path) -> tuple[str, int]:
    """State and files found of a corpus; the synthetic one is made when it is wanted. More than a whole copy is one."""
    if corpus.synthetic:
        return "complete", corpus.files
    root = corpus.root(data)
    found = corpora.count(corpus, root) if root else 0
    return ("absent" if not found else "complete" if found >= corpus.counted else "partial"), found
