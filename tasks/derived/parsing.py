"""Derived tasks: functions from task to task, named `kind:arguments`; what their names mean, without reading any data.

A suite may stand where a task does: `speaker:here` is the control of each of its tasks, `transfer:here` the matrix of
all its ordered pairs. What cannot be asked of a suite is left out and told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise, permutations
from pathlib import Path

from commons.errors import LIST, EmorepError, Refused, UnknownName
from commons.registry import Registry
from tasks import brought, catalogue, corpora, definition, label_algebra
from tasks.corpora import Corpus
from tasks.definition import Definition
from tasks.derivation import Derivation
from tasks.options import Options

Tell = Callable[[str], None]


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
        name: of results; it differs from `asked`, by which it is opened, where a user's table takes part.
        base: the task that it is made of, by the name it is opened by; of a transfer the tested one.
        sources: the tasks whose corpora it trains on, of those that join corpora; likewise.
        definitions: of the base and of the sources.
        option: K of `shots`, the classes (joined by +) of `labels`, the suite of `across-languages`.
    """

    name: str
    kind: str
    base: str
    sources: tuple[str, ...] = ()
    option: str = ""
    asked: str = ""
    definitions: tuple[Definition, ...] = field(default=(), compare=False, repr=False)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that must be loaded to make it: its base, then its sources."""
        return (self.base, *self.sources)

    @property
    def version(self) -> str:
        """The version of the task: its kind's and those of its tasks."""
        read = self.definitions
        versions = [f"{task.name} {task.version}" for task in read] if self.sources else [read[0].version]
        return f"{KINDS.find(self.kind).version} of {', '.join(versions)}"

    @property
    def derivation(self) -> Derivation:
        """What a table must know of it."""
        base, *sources = self.definitions
        named = (self.option,) if self.kind == ACROSS else tuple(source.name for source in sources)
        return Derivation(
            kind=self.kind,
            aspect=f"{self.kind} {self.option}" if self.kind in ("shots", "labels") else self.kind,
            base=base.name,
            sources=named,
            source_corpora=tuple(source.corpus for source in sources),
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


def parse(name: str, options: Options) -> Derived:
    """The one derived task of a name.

    Raises:
        UnknownName: there is no such kind, no such base task or suite.
        Refused: the arguments are not the kind's, or their tasks cannot be joined; says what was expected.
        TaskError: a user's table cannot be understood.
    """
    kind, arguments = _split(name)
    form = KINDS.find(kind).form
    if len(arguments) != len(form.split(",")) or not all(arguments):
        raise Refused(f"{name!r}: after {kind}: comes {form}, as in {_example(kind)}")
    first, last = arguments[0], arguments[-1]
    if kind == ACROSS:
        members, _ = _members(first, kind, options.data)
        target, corpus = _asked(name, last, kind, options)
        _tells_language(name, corpus)
        sources = tuple(member for member in members if _apart(member, corpus))
        if not sources:
            raise Refused(f"{name}: {first} has no corpus of a language other than that of {last} to train on")
        read = (target, *(_asked(name, source, kind, options)[0] for source in sources))
        _join(name, read)
        return Derived(f"{kind}:{first},{target.name}", kind, last, sources, first, f"{kind}:{first},{last}", read)
    if kind in TRANSFERS:
        source, target = (_asked(name, task, kind, options)[0] for task in arguments)
        _join(name, [source, target])
        called = f"{kind}:{source.name},{target.name}"
        return Derived(called, kind, last, (first,), "", f"{kind}:{first},{last}", (target, source))
    option = _option(name, kind, last)
    base, _ = _asked(name, first, kind, options)
    if kind == "labels":
        try:
            label_algebra.onto(tuple(base.labels), option.split("+"))
        except EmorepError as error:
            raise Refused(f"{name}: {base.name}: {error}") from error
    called, opened = (f"{kind}:{','.join([task, option] if option else [task])}" for task in (base.name, first))
    return Derived(called, kind, first, (), option, opened, (base,))


def _option(name: str, kind: str, written: str) -> str:
    """K of `shots` and the classes of `labels` in their one form; empty for other kinds. Raises Refused."""
    if kind == "shots":
        if not (written.isascii() and written.isdigit() and int(written)):
            raise Refused(f"{name}: K is {written!r}; a positive whole number of utterances a class is expected")
        return str(int(written))
    return "+".join(sorted(set(written.split("+")))) if kind == "labels" else ""


def _asked(name: str, task: str, kind: str, options: Options) -> tuple[Definition, Corpus]:
    """The definition and the corpus of a task that a kind can be made of.

    Raises:
        UnknownName: there is no such task; Refused: it asks otherwise; TaskError: a table cannot be understood.
    """
    base, corpus = _base(task, kind, options)
    if base.kind not in KINDS.find(kind).asks:
        what = "values" if base.kind == "regression" else "turns of conversations"
        raise Refused(f"{name}: {base.name} asks for {what}; {kind} takes a task of classes, as {_example(kind)}")
    return base, corpus


def classes(derived: Derived) -> tuple[str, ...]:
    """The classes of a task that joins others: those that all of them share."""
    return label_algebra.shared([tuple(task.labels) for task in derived.definitions])


def expand(name: str, options: Options, tell: Tell) -> list[str]:
    """The tasks that a derived name stands for: with a suite in it, many; beside a transfer its target's own score.

    Args:
        tell: called with a line on what a suite has that cannot be asked.

    Raises:
        as `parse`; and Refused where nothing is left of a suite.
    """
    kind, arguments = _split(name)
    suite, rest, data = arguments[0], arguments[1:], options.data
    of_tasks = KINDS.find(kind).form.startswith("TASK")
    if not ((of_tasks or not rest) and catalogue.is_suite(suite)):
        if kind == ACROSS and rest and (left := _members(suite, kind, data)[1]):
            tell("\n  ".join([f"{name} trains without", *left]))
        return _with_own(parse(name, options))
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
            parsed.append(parse(one, options))
        except EmorepError as error:
            left.append(str(error))
    if not parsed:
        raise Refused("\n  ".join([f"{name}: nothing of {suite} can be asked so", *left]))
    if left:
        tell("\n  ".join([f"{name} leaves out", *left]))
    own = [derived.base for derived in parsed] if kind in TRANSFERS else []  # the diagonal of the matrix
    return list(dict.fromkeys([*(task for derived in parsed for task in _with_own(derived)), *own]))


def _split(name: str) -> tuple[str, list[str]]:
    """The kind and its arguments; a comma in the path of a user's table parts nothing."""
    kind, _, arguments = name.partition(":")
    wanted = len(KINDS.find(kind).form.split(","))
    pieces = [piece.strip() for piece in arguments.split(",")]
    if len(pieces) > wanted:
        pieces = next(_joinings(arguments.split(","), wanted), pieces)
    return kind, [brought.full(piece, tuple(KINDS)) for piece in pieces]


def _joinings(pieces: Sequence[str], wanted: int) -> Iterator[list[str]]:
    """The ways of joining pieces into as many arguments as are wanted, where each that is joined is a user's table."""
    for cuts in combinations(range(1, len(pieces)), wanted - 1):
        ends = [0, *cuts, len(pieces)]
        parts = [pieces[a:b] for a, b in pairwise(ends)]
        if all(len(part) == 1 or brought.is_table(part[0].strip()) for part in parts):
            joined = [",".join(part).strip() for part in parts]
            if all(len(part) == 1 or brought.is_there(one) for part, one in zip(parts, joined, strict=True)):
                yield joined


def _example(kind: str) -> str:
    examples = {"labels": "emodb,anger+neutral", "shots": "emodb,4", ACROSS: "ser10,emodb"}
    return f"{kind}:{'emodb,urdu' if kind in TRANSFERS else examples.get(kind, 'emodb')}"


def _base(name: str, kind: str, options: Options) -> tuple[Definition, Corpus]:
    """A task's definition and corpus. Raises UnknownName, or TaskError where a user's table cannot be understood."""
    if brought.is_table(name):
        return brought.describe(name, options)
    if name not in catalogue.names():
        raise UnknownName(f"task for {kind}:", name, catalogue.names(), LIST)
    read = definition.read(definition.path(name))
    return read, corpora.module(read.corpus).CORPUS


def _tells_language(name: str, corpus: Corpus) -> None:
    """Raise Refused where a user's table tells no language: then no other language can be told either."""
    if corpus.name not in corpora.names() and corpus.language == "und":
        raise Refused(f"{name}: {corpus.title} tells no language; give it a column language, such as en or de")


def _apart(source: str, target: Corpus) -> bool:
    """Whether no language and no speaker of the target's corpus is in the source's."""
    own = corpora.module(definition.read(definition.path(source)).corpus).CORPUS
    return own.family != target.family and not set(own.language.split("/")) & set(target.language.split("/"))


def _join(name: str, tasks: Sequence[Definition]) -> None:
    """Raise Refused where tasks cannot be joined: one corpus twice, other things asked, too few classes shared."""
    places = [task.corpus for task in tasks]
    if len(set(places)) < len(places):
        twice = next(place for place in places if places.count(place) > 1)
        raise Refused(f"{name}: {tasks[0].name} and {tasks[-1].name} are both on {twice}; two corpora are expected")
    shared = label_algebra.shared([tuple(task.labels) for task in tasks])
    if len(shared) < label_algebra.FEWEST:
        has = "; ".join(f"{task.name} has {', '.join(task.labels)}" for task in tasks)
        said = f"{', '.join(shared)} alone" if shared else "no class"
        raise Refused(f"{name}: they share {said}, and at least {label_algebra.FEWEST} are needed: {has}")


def _with_own(derived: Derived) -> list[str]:
    """The task's name; of a transfer also that of its target's own folds on the same classes, to stand beside it."""
    if not derived.sources:
        return [derived.asked]
    own, wanted = derived.definitions[0].labels, classes(derived)
    return [derived.asked, derived.base if set(own) == set(wanted) else f"labels:{derived.base},{'+'.join(wanted)}"]


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
