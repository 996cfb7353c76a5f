"""Derived tasks: functions from task to task, named `kind:arguments`; what their names mean, without reading any data.

A suite may stand where a task does: `speaker:here` is the control of each of its tasks, `transfer:here` the matrix of
all its ordered pairs. Of a suite, what cannot be asked is left out and told.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import brought, corpora, definition, labels
from tasks.errors import LIST, Refused, TaskError, UnknownName

if TYPE_CHECKING:
    from tasks.definition import Definition
    from tasks.loading import Task

Told = Callable[[str], None]


@dataclass(frozen=True)
class Kind:
    """A kind of derived task.

    Attributes:
        form: how its name is written, after the colon: TASK or SUITE, and what else it takes.
        target: "module:function" that makes it of a `Derived` and its loaded bases.
        version: goes into its results, beside the versions of its bases.
        asks: the kinds of task that it can be made of.
    """

    form: str
    target: str
    version: str
    help: str
    asks: tuple[str, ...] = ("classification",)


@dataclass(frozen=True)
class Derived:
    """A derived task by its name: the tasks that it is made of, and what else the name says.

    Attributes:
        bases: of `transfer` source and target; of `across-languages` the target, then its sources.
        option: K of `shots`, the classes (joined by +) of `labels`, the suite of `across-languages`.
    """

    name: str
    kind: str
    bases: tuple[str, ...]
    option: str = ""

    def make(self, loaded: Sequence[Task]) -> Task:
        """The task, of its loaded bases. Raises TaskError where their data do not allow it."""
        module, function = KINDS[self.kind].target.split(":")
        return getattr(importlib.import_module(f"tasks.{module}"), function)(self, loaded)

    def version(self, loaded: Sequence[Task]) -> str:
        """The version of the task: its kind's and its bases'."""
        versions = [f"{task.name} {task.definition.version}" for task in loaded]
        return f"{KINDS[self.kind].version} of {', '.join(versions) if versions[1:] else loaded[0].definition.version}"


CONTROL = ("classification", "conversation")
KINDS = {
    "gender": Kind("TASK", "controls:column", "gender 1", "tell the speaker's gender, on the task's folds", CONTROL),
    "sentence": Kind("TASK", "controls:column", "sentence 1", "tell the sentence, on the task's folds", CONTROL),
    "speaker": Kind("TASK", "controls:speaker", "speaker 1", "tell who speaks; speakers shared, sentences apart"),
    "labels": Kind("TASK,CLASS+CLASS", "classes:fewer", "labels 1", "the task on some of its classes"),
    "shots": Kind("TASK,K", "shots:few", "shots 1", "K utterances of each class to train on; a draw a seed"),
    "transfer": Kind("SOURCE,TARGET", "transfer:transfer", "transfer 1", "train on one corpus, test on another"),
    "transfer-standardised": Kind(
        "SOURCE,TARGET",
        "transfer:transfer",
        "transfer-standardised 1",
        "the same, test features standardised by themselves",
    ),
    "across-languages": Kind(
        "SUITE,TASK", "transfer:across", "across-languages 1", "train on a suite's corpora of all other languages"
    ),
}
TRANSFERS = ("transfer", "transfer-standardised")


def parse(name: str, data: Path) -> Derived:
    """The one derived task of a name.

    Raises:
        UnknownName: there is no such kind, no such base task or suite.
        Refused: the arguments are not the kind's, or their tasks cannot be joined; says what was expected.
    """
    kind, arguments = _split(name)
    form = KINDS[kind].form
    if len(arguments) != len(form.split(",")) or not all(arguments):
        raise Refused(f"{name!r}: after {kind}: comes {form}, as in {_example(kind)}")
    first, last = arguments[0], arguments[-1]
    bases, option = tuple(arguments), ""
    if kind == "across-languages":
        bases, option = (last, *(m for m in _members(first, kind, data)[0] if _apart(m, _base(last, kind)))), first
    elif kind == "shots":
        if not (last.isascii() and last.isdigit() and int(last)):
            raise Refused(f"{name}: K is {last!r}; a positive whole number of utterances a class is expected")
        bases, option = (first,), str(int(last))
    elif kind == "labels":
        bases, option = (first,), "+".join(sorted(set(last.split("+"))))
    found = [_base(base, kind) for base in bases]
    for base in found:
        if base.kind not in KINDS[kind].asks:
            what = "values" if base.kind == "regression" else "turns of conversations"
            raise Refused(f"{name}: {base.name} asks for {what}; {kind} takes a task of classes, as {_example(kind)}")
    if kind == "labels":
        try:
            labels.onto(tuple(found[0].labels), option.split("+"))
        except TaskError as error:
            raise Refused(f"{name}: {first}: {error}") from error
    if kind == "across-languages" and len(found) < 2:
        raise Refused(f"{name}: {first} has no corpus of a language other than that of {last} to train on")
    if len(found) > 1:
        _joined(name, found)
    written = {"shots": [first, option], "labels": [first, option]}.get(kind, arguments)
    return Derived(f"{kind}:{','.join(written)}", kind, bases, option)


def classes(derived: Derived) -> tuple[str, ...]:
    """The classes of a task that joins others: those that all of them share."""
    return labels.shared([tuple(definition.read(definition.path(base)).labels) for base in derived.bases])


def expand(name: str, data: Path, tell: Told) -> list[str]:
    """The tasks that a derived name stands for: with a suite in it, many; beside a transfer its target's own score.

    Args:
        tell: called with a line on what a suite has that cannot be asked.

    Raises:
        as `parse`; and Refused where nothing is left of a suite.
    """
    from tasks import catalogue

    kind, arguments = _split(name)
    suite, rest = arguments[0], arguments[1:]
    whole = (not rest and kind in (*TRANSFERS, "across-languages")) or KINDS[kind].form.startswith("TASK")
    if not (whole and (suite in catalogue.suites() or suite in catalogue.COMPUTED)):
        if kind == "across-languages" and rest and (left := _members(suite, kind, data)[1]):
            tell("\n  ".join([f"{name} trains without", *left]))
        return _with_own(parse(name, data))
    members, left = _members(suite, kind, data, alone=KINDS[kind].form.startswith("TASK"))
    if kind in TRANSFERS:
        asked = [f"{kind}:{source},{target}" for source, target in permutations(members, 2)]
    elif kind == "across-languages":
        asked = [f"{kind}:{suite},{member}" for member in members]
    else:
        asked = [f"{kind}:{','.join((member, *rest))}" for member in members]
    found = []
    for one in asked:
        try:
            found.append(parse(one, data))
        except TaskError as error:
            left.append(str(error))
    if not found:
        raise Refused("\n  ".join([f"{name}: nothing of {suite} can be asked so", *left]))
    if left:
        tell("\n  ".join([f"{name} leaves out", *left]))
    own = [derived.bases[-1] for derived in found] if kind in TRANSFERS else []  # the diagonal of the matrix
    return list(dict.fromkeys([*(task for derived in found for task in _with_own(derived)), *own]))


def _split(name: str) -> tuple[str, list[str]]:
    kind, _, arguments = name.partition(":")
    if kind not in KINDS:
        raise UnknownName("kind of derived task", kind, [*KINDS, *brought.KINDS])
    return kind, [argument.strip() for argument in arguments.split(",")]


def _example(kind: str) -> str:
    examples = {"labels": "emodb,anger+neutral", "shots": "emodb,4", "across-languages": "ser10,emodb"}
    return f"{kind}:{'emodb,urdu' if kind in TRANSFERS else examples.get(kind, 'emodb')}"


def _base(name: str, kind: str) -> Definition:
    from tasks import catalogue

    if name not in catalogue.names():
        raise UnknownName(f"task for {kind}:", name, catalogue.names(), LIST)
    return definition.read(definition.path(name))


def _apart(source: str, target: Definition) -> bool:
    """Whether no language and no speaker of the target's corpus is in the source's."""
    a, b = (corpora.module(place).CORPUS for place in (definition.read(definition.path(source)).corpus, target.corpus))
    return a.family != b.family and not set(a.language.split("/")) & set(b.language.split("/"))


def _joined(name: str, tasks: Sequence[Definition]) -> None:
    """Raise Refused where tasks cannot be joined: one corpus twice, other things asked, too few classes shared."""
    places = [task.corpus for task in tasks]
    if len(set(places)) < len(places):
        twice = next(place for place in places if places.count(place) > 1)
        raise Refused(f"{name}: {tasks[0].name} and {tasks[-1].name} are both on {twice}; two corpora are expected")
    found = labels.shared([tuple(task.labels) for task in tasks])
    if len(found) < labels.FEWEST:
        has = "; ".join(f"{task.name} has {', '.join(task.labels)}" for task in tasks)
        shared = f"{', '.join(found)} alone" if found else "no class"
        raise Refused(f"{name}: they share {shared}, and at least {labels.FEWEST} are needed: {has}")


def _with_own(derived: Derived) -> list[str]:
    """The task's name; of a transfer also that of its target's own folds on the same classes, to stand beside it."""
    if len(derived.bases) < 2:
        return [derived.name]
    target = derived.bases[0 if derived.kind == "across-languages" else -1]
    own, wanted = definition.read(definition.path(target)).labels, classes(derived)
    return [derived.name, target if set(own) == set(wanted) else f"labels:{target},{'+'.join(wanted)}"]


def _members(suite: str, kind: str, data: Path, alone: bool = False) -> tuple[list[str], list[str]]:
    """Tasks of a suite that a kind can be made of, one a corpus unless `alone`; and lines on the others.

    The task named as its corpus stands for it, else the first; corpora that are absent are left out.
    """
    from tasks import catalogue

    if suite not in catalogue.suites() and suite not in catalogue.COMPUTED:
        raise UnknownName(f"suite for {kind}:", suite, [*catalogue.suites(), *catalogue.COMPUTED], LIST)
    state = {row.task: row for row in catalogue.describe(data)}
    kept: list[str] = []
    left = []
    for name in catalogue.resolve([suite], data):
        row = state[name]
        asks = "" if row.state == "broken" else definition.read(definition.path(name)).kind
        if asks not in KINDS[kind].asks:
            left.append(f"{name}: {row.problem or f'it asks for {asks}, not for classes of single utterances'}")
        elif row.state == "absent":
            left.append(f"{name}: {row.corpus} is absent under {data}")
        else:
            kept.append(name)
    if alone:
        return kept, left
    stands = {state[name].corpus: name for name in [*reversed(kept), *(n for n in kept if n == state[n].corpus)]}
    left += [
        f"{name}: {stands[state[name].corpus]} stands for its corpus" for name in kept if name not in stands.values()
    ]
    return [name for name in kept if name in stands.values()], left
