"""What is asked: corpora, label sets, splits, audits. This room knows no models.

    task = tasks.load("emodb", tasks.Options(data=Path("data"), cache=Path("cache")))
    task.utterances, task.problem, task.audit.hash

Importing the package is cheap; pandas and the audio libraries load with the first `load`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from commons.corridors.utterances import Modality
from commons.errors import UnknownName
from commons.progress import Progress
from tasks.errors import TaskError
from tasks.load_options import Options

if TYPE_CHECKING:
    from tasks.catalogue import Listing
    from tasks.task import Task

__all__ = [
    "Options",
    "TaskError",
    "UnknownName",
    "add_to",
    "derived_kinds",
    "describe",
    "family",
    "is_card",
    "kind",
    "load",
    "names",
    "readable",
    "refuse_unchanged",
    "resolve",
    "suites",
    "texts",
    "together",
    "unread",
]


def add_to(parser: argparse.ArgumentParser) -> None:
    """Give a command line the options of users' tables, and the folder of speech for babble."""
    add = parser.add_argument
    add("--audio", metavar="DIR", type=Path, help="where paths of a csv: table begin (default: the table's folder)")
    add("--labels", metavar="FILE", type=Path, help="classes of a csv: table's labels, a line Angry=anger each")
    add("--noise", metavar="DIR", type=Path,
        help="speech that babble of perturbed: is made of (default: another corpus at hand)")  # fmt: skip


def names() -> list[str]:
    """Names of the tasks that have a definition, sorted."""
    from tasks import catalogue

    return catalogue.names()


def family(corpus: str) -> list[str]:
    """Names of the corpora that share recordings or speakers with this one, itself among them."""
    from tasks import corpora

    if corpus not in corpora.names():  # a user's own
        return [corpus]
    blocks = [corpora.module(name).CORPUS for name in corpora.names()]
    own = corpora.module(corpus).CORPUS.family
    return [block.name for block in blocks if block.family == own]


def suites() -> dict[str, str]:
    """Suites by name, each with its tasks, or with a description where they depend on the data folder."""
    from tasks import catalogue

    lists = {name: " ".join(members) for name, members in catalogue.suites().items()}
    return lists | {
        "here": "every task whose corpus is complete under --data",
        "all": "every task",
        "card:TASK": "all that a card of a representation needs (python -m leaderboard card)",
    }


def derived_kinds() -> dict[str, str]:
    """How derived tasks are named, each with what it asks; and which classes are merged where corpora are joined."""
    from tasks import label_algebra
    from tasks.derived.kinds import KINDS

    kinds = {f"{name}:{kind.form}": kind.help for name, kind in zip(KINDS, KINDS.values(), strict=True)}
    merged = ", ".join(f"{narrow} = {broad}" for narrow, broad in label_algebra.merges().items())
    return kinds | {"shared classes": f"unless all corpora tell them apart: {merged}"}


def resolve(
    names: Sequence[str],
    data: Path,
    tell: Callable[[str], None] = lambda line: None,
    emobox: Path | None = None,
    audio: Path | None = None,
    labels: Path | None = None,
    noise: Path | None = None,
) -> list[str]:
    """Names of the tasks asked for, in the order given; suites are expanded and repetitions removed.

    Args:
        data: folder that holds one folder a corpus.
        tell: called with a line on the tasks of a suite that a derived task leaves out, and why.
        emobox: folder of EmoBox's fold files; None: the folder EmoBox under `data`.
        audio, labels, noise: as in `Options`.

    Raises:
        UnknownName: a name is no task, suite or derived task.
        Refused: the arguments of a derived task are wrong.
        TaskError: a suite is empty (no corpus under `data` is complete), or a user's file is absent.
    """
    from tasks import resolving

    return resolving.resolve(names, Options(data, Path(), emobox, audio=audio, labels=labels, noise=noise), tell)


def is_card(name: str) -> bool:
    """Whether a name asks for all tasks that a card needs: `card:emodb`."""
    from tasks import card_suite

    return card_suite.is_one(name)


def kind(name: str) -> str | None:
    """The kind of a task that has a definition; None for other tasks, whose files decide it. Raises TaskError."""
    from tasks import definition

    return definition.read(definition.path(name)).kind if name in names() else None


def describe(data: Path) -> list[Listing]:
    """The state of every task's corpus under `data`: files are counted, none is opened."""
    from tasks import catalogue

    return catalogue.describe(data)


def unread(data: Path) -> list[str]:
    """Folders under `data` that cannot be read, each with the reason: which corpora they hold is not known."""
    from tasks import catalogue

    return catalogue.unread(data)


def texts(words: Sequence[str], asked: Sequence[str], options: Options) -> tuple[tuple[str, Path], ...]:
    """Corpus and file of each `CORPUS=FILE` of `--text`; every file is read once, to check it.

    Args:
        asked: names of the tasks asked for; the tables of the user among them are corpora, too.

    Raises:
        Refused: a word has another form, or names a corpus twice.
        UnknownName: there is no such corpus.
        TaskError: a file cannot be read, or its columns or ids are wrong.
    """
    if not words:
        return ()
    from tasks import brought, corpora, transcripts

    tables = [brought.describe(name, options)[1].name for name in asked if brought.is_table(name)]
    return transcripts.options(words, [*corpora.names(), *tables])


def together(several: Sequence[Task]) -> str:
    """The name of the task that has the test sets of several tasks of changed audio, all of one base."""
    from commons import perturbations
    from tasks.derived.kinds import PERTURBED

    changes = [task.derivation.perturbation for task in several if task.derivation and task.derivation.perturbation]
    opens = {task.derivation.opens for task in several if task.derivation}
    if len(changes) < len(several) or len(opens) != 1:
        raise TaskError(f"{', '.join(task.name for task in several)}: not one task, changed in different ways")
    return f"{PERTURBED}:{opens.pop()},{perturbations.joined(changes)}"


def readable(task: Task, modality: Modality, reader: str, options: Options) -> bool:
    """Whether upstreams of a modality can read all utterances; False where some without text are to be left out.

    A load `with_text` leaves them out.

    Args:
        reader: the upstream or reference row that reads, for messages.

    Raises:
        TaskError: the audio or texts are missing; names the first utterances.
    """
    from tasks import modality as of_upstreams

    return of_upstreams.readable(task, modality, reader, options)


def refuse_unchanged(task: Task, modality: Modality, reader: str) -> None:
    """Raise TaskError where only audio is changed and an upstream, `reader`, reads none."""
    from tasks import modality as of_upstreams

    of_upstreams.refuse_unchanged(task, modality, reader)


def load(
    name: str,
    options: Options,
    progress: Progress | None = None,
    opened: Callable[[str], Task | None] = lambda name: None,
) -> Task:
    """A task with its utterances, targets, folds and audit: its corpus is read, its audio checked, its splits proved.

    Args:
        name: a definition's name, `csv:FILE` (`csv:FILE=NAME#COLUMN`), `emobox:CORPUS`, or a derived `kind:arguments`.
        progress: called with (files done, files to do) while audio is read for the first time.
        opened: gives a task by its name where it is loaded already, as the base of a derived task may be.

    Raises:
        UnknownName: there is no such task.
        Refused: the arguments of a derived task are wrong.
        TaskError: the corpus is absent, a label is unknown, audio is unusable, a split is impossible or leaks.
    """
    from tasks import loading

    return loading.load(name, options, progress, opened)
