"""Derived tasks: functions from task to task, named `kind:arguments`; what their names mean, without reading any data.

A suite may stand where a task does: `speaker:here` is the control of each of its tasks, `transfer:here` the matrix of
all its ordered pairs. What cannot be asked of a suite is left out and told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

from commons.errors import LIST, EmorepError, Refused, UnknownName
from commons.registry import Registry
from tasks import brought, catalogue, corpora, definition, labels
from tasks.definition import Definition

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Derivation:
    """How a task came from others: what a table must know of it.

    Attributes:
        kind: transfer, shots, gender ...
        aspect: what it asks, so that only figures alike are averaged: `gender`, `shots 4`, `labels anger+sadness`.
        base: the task that it is made of; of a transfer the tested one.
        sources: what it trains on in place of its base, as its name says it: a task, or the suite of across-languages.
        source_corpora: the corpora of these.
        shots: training utterances a class, of few labels.
    """

    kind: str
    aspect: str
    base: str
    sources: tuple[str, ...] = ()
    source_corpora: tuple[str, ...] = ()
    shots: int | None = None


@dataclass(frozen=True)
class Kind:
    """A kind of derived task.

    Attributes:
        form: how its name is written, after the colon: TASK or SUITE, and what else it takes.
        target: "module:function" that makes it of a `Derived` and its loaded tasks.
        version: goes into its results, beside the versions of its tasks.
        asks: the kinds of task that it can be made of.
    """

    form: str
    target: str
    version: str
    help: str
    asks: tuple[str, ...] = ("classification",)


@dataclass(frozen=True)
class Derived:
    """A derived task by its name.

    Attributes:
        base: the task that it is made of; of a transfer the tested one.
        sources: the tasks whose corpora it trains on, of those that join corpora.
        option: K of `shots`, the classes (joined by +) of `labels`, the suite of `across-languages`.
    """

    name: str
    kind: str
    base: str
    sources: tuple[str, ...] = ()
    option: str = ""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that must be loaded to make it: its base, then its sources."""
        return (self.base, *self.sources)

    @property
    def version(self) -> str:
        """The version of the task: its kind's and those of its tasks."""
        read = [definition.read(definition.path(name)) for name in self.tasks]
        versions = [f"{task.name} {task.version}" for task in read] if self.sources else [read[0].version]
        return f"{KINDS.find(self.kind).version} of {', '.join(versions)}"

    @property
    def derivation(self) -> Derivation:
        """What a table must know of it."""
        named = (self.option,) if self.kind == ACROSS else self.sources
        return Derivation(
            kind=self.kind,
            aspect=f"{self.kind} {self.option}" if self.kind in ("shots", "labels") else self.kind,
            base=self.base,
            sources=named,
            source_corpora=tuple(definition.read(definition.path(name)).corpus for name in self.sources),
            shots=int(self.option) if self.kind == "shots" else None,
        )


CONTROL = ("classification", "conversation")
ACROSS = "across-languages"
TRANSFERS = ("transfer", "transfer-standardised")
KINDS = Registry(
    "kind of derived task",
    {
        "gender": Kind(
            "TASK", "controls:column", "gender 1", "tell the speaker's gender, on the task's folds", CONTROL
        ),
        "sentence": Kind("TASK", "controls:column", "sentence 1", "tell the sentence, on the task's folds", CONTROL),
        "speaker": Kind("TASK", "controls:speaker", "speaker 1", "tell who speaks; speakers shared, sentences apart"),
        "labels": Kind("TASK,CLASS+CLASS", "classes:fewer", "labels 1", "the task on some of its classes"),
        "shots": Kind("TASK,K", "shots:few", "shots 1", "K utterances of each class to train on; a draw a seed"),
        "transfer": Kind("SOURCE,TARGET", "transfer:joined", "transfer 1", "train on one corpus, test on another"),
        "transfer-standardised": Kind(
            "SOURCE,TARGET",
            "transfer:joined",
            "transfer-standardised 1",
            "the same, test features standardised by themselves",
        ),
        ACROSS: Kind(
            "SUITE,TASK", "transfer:joined", "across-languages 1", "train on a suite's corpora of all other languages"
        ),
    },
    others=brought.KINDS,
)


def parse(name: str, data: Path) -> Derived:
    """The one derived task of a name.

    Raises:
        UnknownName: there is no such kind, no such base task or suite.
        Refused: the arguments are not the kind's, or their tasks cannot be joined; says what was expected.
    """
    kind, arguments = _split(name)
    form = KINDS.find(kind).form
    if len(arguments) != len(form.split(",")) or not all(arguments):
        raise Refused(f"{name!r}: after {kind}: comes {form}, as in {_example(kind)}")
    first, last = arguments[0], arguments[-1]
    if kind == ACROSS:
        members, _ = _members(first, kind, data)
        target = _asked(name, last, kind)
        sources = tuple(member for member in members if _apart(member, target))
        if not sources:
            raise Refused(f"{name}: {first} has no corpus of a language other than that of {last} to train on")
        _join(name, [target, *(_asked(name, source, kind) for source in sources)])
        return Derived(f"{kind}:{first},{last}", kind, last, sources, first)
    if kind in TRANSFERS:
        _join(name, [_asked(name, task, kind) for task in arguments])
        return Derived(f"{kind}:{first},{last}", kind, last, (first,))
    option = _option(name, kind, last)
    base = _asked(name, first, kind)
    if kind == "labels":
        try:
            labels.onto(tuple(base.labels), option.split("+"))
        except EmorepError as error:
            raise Refused(f"{name}: {first}: {error}") from error
    return Derived(f"{kind}:{','.join([first, option] if option else [first])}", kind, first, option=option)


def _option(name: str, kind: str, written: str) -> str:
    """K of `shots` and the classes of `labels` in their one form; empty for other kinds. Raises Refused."""
    if kind == "shots":
        if not (written.isascii() and written.isdigit() and int(written)):
            raise Refused(f"{name}: K is {written!r}; a positive whole number of utterances a class is expected")
        return str(int(written))
    return "+".join(sorted(set(written.split("+")))) if kind == "labels" else ""


def _asked(name: str, task: str, kind: str) -> Definition:
    """The definition of a task that a kind can be made of. Raises UnknownName, or Refused where it asks otherwise."""
    base = _base(task, kind)
    if base.kind not in KINDS.find(kind).asks:
        what = "values" if base.kind == "regression" else "turns of conversations"
        raise Refused(f"{name}: {base.name} asks for {what}; {kind} takes a task of classes, as {_example(kind)}")
    return base


def classes(derived: Derived) -> tuple[str, ...]:
    """The classes of a task that joins others: those that all of them share."""
    return labels.shared([tuple(definition.read(definition.path(base)).labels) for base in derived.tasks])


def expand(name: str, data: Path, tell: Tell) -> list[str]:
    """The tasks that a derived name stands for: with a suite in it, many; beside a transfer its target's own score.

    Args:
        tell: called with a line on what a suite has that cannot be asked.

    Raises:
        as `parse`; and Refused where nothing is left of a suite.
    """
    kind, arguments = _split(name)
    suite, rest = arguments[0], arguments[1:]
    of_tasks = KINDS.find(kind).form.startswith("TASK")
    if not ((of_tasks or not rest) and catalogue.is_suite(suite)):
        if kind == ACROSS and rest and (left := _members(suite, kind, data)[1]):
            tell("\n  ".join([f"{name} trains without", *left]))
        return _with_own(parse(name, data))
    members, left = _members(suite, kind, data, alone=of_tasks)
    if kind in TRANSFERS:
        asked = [f"{kind}:{source},{target}" for source, target in permutations(members, 2)]
    elif kind == ACROSS:
        asked = [f"{kind}:{suite},{member}" for member in members]
    else:
        asked = [f"{kind}:{','.join((member, *rest))}" for member in members]
    parsed = []
    for one in asked:
        try:
            parsed.append(parse(one, data))
        except EmorepError as error:
            left.append(str(error))
    if not parsed:
        raise Refused("\n  ".join([f"{name}: nothing of {suite} can be asked so", *left]))
    if left:
        tell("\n  ".join([f"{name} leaves out", *left]))
    own = [derived.base for derived in parsed] if kind in TRANSFERS else []  # the diagonal of the matrix
    return list(dict.fromkeys([*(task for derived in parsed for task in _with_own(derived)), *own]))


def _split(name: str) -> tuple[str, list[str]]:
    kind, _, arguments = name.partition(":")
    KINDS.find(kind)
    return kind, [argument.strip() for argument in arguments.split(",")]


def _example(kind: str) -> str:
    examples = {"labels": "emodb,anger+neutral", "shots": "emodb,4", ACROSS: "ser10,emodb"}
    return f"{kind}:{'emodb,urdu' if kind in TRANSFERS else examples.get(kind, 'emodb')}"


def _base(name: str, kind: str) -> Definition:
    if name not in catalogue.names():
        raise UnknownName(f"task for {kind}:", name, catalogue.names(), LIST)
    return definition.read(definition.path(name))


def _apart(source: str, target: Definition) -> bool:
    """Whether no language and no speaker of the target's corpus is in the source's."""
    a, b = (corpora.module(place).CORPUS for place in (definition.read(definition.path(source)).corpus, target.corpus))
    return a.family != b.family and not set(a.language.split("/")) & set(b.language.split("/"))


def _join(name: str, tasks: Sequence[Definition]) -> None:
    """Raise Refused where tasks cannot be joined: one corpus twice, other things asked, too few classes shared."""
    places = [task.corpus for task in tasks]
    if len(set(places)) < len(places):
        twice = next(place for place in places if places.count(place) > 1)
        raise Refused(f"{name}: {tasks[0].name} and {tasks[-1].name} are both on {twice}; two corpora are expected")
    shared = labels.shared([tuple(task.labels) for task in tasks])
    if len(shared) < labels.FEWEST:
        has = "; ".join(f"{task.name} has {', '.join(task.labels)}" for task in tasks)
        said = f"{', '.join(shared)} alone" if shared else "no class"
        raise Refused(f"{name}: they share {said}, and at least {labels.FEWEST} are needed: {has}")


def _with_own(derived: Derived) -> list[str]:
    """The task's name; of a transfer also that of its target's own folds on the same classes, to stand beside it."""
    if not derived.sources:
        return [derived.name]
    own, wanted = definition.read(definition.path(derived.base)).labels, classes(derived)
    return [derived.name, derived.base if set(own) == set(wanted) else f"labels:{derived.base},{'+'.join(wanted)}"]


def _members(suite: str, kind: str, data: Path, alone: bool = False) -> tuple[list[str], list[str]]:
    """Tasks of a suite that a kind can be made of, one a corpus unless `alone`; and lines on the others.

    The task named as its corpus stands for it, else the first; corpora that are absent are left out.
    """
    if not catalogue.is_suite(suite):
        raise UnknownName(f"suite for {kind}:", suite, [*catalogue.suites(), *catalogue.COMPUTED], LIST)
    state = {row.task: row for row in catalogue.describe(data)}
    kept: list[str] = []
    left = []
    for name in catalogue.members(suite, data):
        row = state[name]
        asks = "" if row.state == "broken" else definition.read(definition.path(name)).kind
        if asks not in KINDS.find(kind).asks:
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
