"""`card:TASK`: all tasks that a card of a representation needs (`leaderboard card`), as far as a corpus allows.

The task, what else its recordings tell (speaker, gender, sentence), few labels, votes of annotators, changed
recordings, and training on corpora in other languages that are at hand.
"""

from __future__ import annotations

from collections.abc import Callable

from commons.errors import EmorepError, Refused, UnknownName
from tasks import brought, catalogue, corpora, definition
from tasks.corpora import Corpus
from tasks.derived import parsing
from tasks.derived.kinds import ACROSS, KINDS
from tasks.load_options import Options

CARD = "card"
SHOTS = (1, 4, 16)
CONTROLS = ("speaker", "gender", "sentence")  # kinds of derived tasks, and the columns that they need
CHANGES = ("small", "hard")  # suites of changes, where recordings can be changed


def is_one(name: str) -> bool:
    """Whether a name asks for the tasks of a card."""
    return name.partition(":")[0] == CARD and ":" in name


def expand(name: str, options: Options, tell: Callable[[str], None]) -> list[str]:
    """Names of the tasks of a card.

    Args:
        tell: called with a line on each task that the corpus does not allow.

    Raises:
        UnknownName: there is no such task.
        Refused: the task is not one of classes.
        TaskError: its corpus is absent, or a user's table cannot be understood.
    """
    task = brought.full(name.partition(":")[2].strip(), tuple(KINDS))
    columns = _columns(task, options)
    wanted = [f"{kind}:{task}" for kind in CONTROLS if columns is None or columns.get(kind, 0) > 1]
    lacking = [kind for kind in CONTROLS if f"{kind}:{task}" not in wanted]
    if lacking:
        tell(f"{name} leaves out {', '.join(f'{kind}:{task}' for kind in lacking)}: the corpus has one value, or none")
    wanted += [f"shots:{task},{k}" for k in SHOTS]
    if "votes" in KINDS and columns is not None and "votes" in columns:
        wanted.append(f"votes:{task}")
    if columns is not None and "path" not in columns:
        tell(f"{name} leaves out perturbed:{task}: the copy has labels and texts only, and there is no audio to change")
    elif "perturbed" in KINDS:
        wanted += [f"perturbed:{task},{changes}" for changes in CHANGES]
    if not brought.is_table(task):
        wanted.append(f"{ACROSS}:here,{task}")
    names = [task]
    for one in wanted:
        try:
            names += parsing.expand(one, options, lambda line: None)
        except EmorepError as error:
            tell(f"{name} leaves out {one}: {error}")
    return list(dict.fromkeys(names))


def _columns(task: str, options: Options) -> dict[str, int] | None:
    """How many values every column of the task's corpus has; None where that is not known before it is loaded."""
    if brought.is_table(task):
        brought.describe(task, options)
        return None
    if task not in catalogue.names():
        raise UnknownName(f"task for {CARD}:", task, catalogue.names())
    base = definition.read(definition.path(task))
    if base.kind != "classification":
        raise Refused(f"{CARD}:{task}: it asks for {base.kind}; a card is of a task of classes, as in {CARD}:emodb")
    corpus: Corpus = corpora.module(base.corpus).CORPUS
    if corpus.synthetic:
        return None
    from tasks import reading  # pandas, which a list of names does not need

    _, rows = reading.table(corpus, options.absolute().data, options.cache)
    return {str(name).partition(":")[0]: rows[name].nunique() for name in rows}
