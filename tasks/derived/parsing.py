"""What the names of derived tasks mean; no audio and no corpus is read for it.

A suite may stand in place of a task: `speaker:here` names the control of each of its tasks, `transfer:here` all ordered
pairs of its tasks. Tasks of a suite that the kind cannot be made of are left out, and the user is told which and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, pairwise, permutations
from pathlib import Path

from commons import perturbations
from commons.errors import LIST, EmorepError, Refused, UnknownName
from tasks import brought, catalogue, corpora, definition, label_algebra
from tasks.corpora import Corpus
from tasks.definition import Definition
from tasks.derived.kinds import ACROSS, KINDS, PERTURBED, TRANSFERS, UNIFIED, Derived, no_babble
from tasks.load_options import Options

Tell = Callable[[str], None]


def parse(name: str, options: Options) -> Derived:
    """The derived task of a name that stands for one task.

    Raises:
        UnknownName: there is no such kind, task or suite.
        Refused: the arguments do not fit the kind, or their tasks cannot be joined; says what was expected.
        TaskError: a user's table cannot be understood.
    """
    kind, arguments = _split(name)
    if kind in UNIFIED:
        return _united(name, kind, arguments, options)
    form = KINDS.find(kind).form
    if len(arguments) != len(form.split(",")) or not all(arguments):
        raise Refused(f"{name!r}: expected {kind}:{form}, as in {_example(kind)}")
    first, last = arguments[0], arguments[-1]
    if kind == ACROSS:
        members, _ = _members(first, kind, options.data)
        target, corpus = _asked(name, last, kind, options)
        _check_language(name, corpus)
        sources = tuple(member for member in members if _apart(member, corpus))
        if not sources:
            raise Refused(f"{name}: {first} has no corpus in another language than {last} to train on")
        definitions = (target, *(_asked(name, source, kind, options)[0] for source in sources))
        _check_joinable(name, definitions)
        called = f"{kind}:{first},{target.name}"
        return Derived(called, kind, last, sources, first, f"{kind}:{first},{last}", definitions)
    if kind in TRANSFERS:
        source, target = (_asked(name, task, kind, options)[0] for task in arguments)
        _check_joinable(name, [source, target])
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
    return Derived(called, kind, first, (), option, opened, (base,), options)


def _united(name: str, kind: str, arguments: Sequence[str], options: Options) -> Derived:
    """The task that joins the corpora of a suite, or of listed tasks, whose order does not matter."""
    one = arguments[0] if len(arguments) == 1 else ""
    suite = "" if one in catalogue.names() or brought.is_table(one) else one
    members = _members(suite, kind, options.data)[0] if suite else list(dict.fromkeys(arguments))
    if len(members) < 2 or not all(members):
        there = len([member for member in members if member])
        raise Refused(
            f"{name}: two corpora or more are expected, and there are {there}: {kind}:SUITE or {kind}:TASK,TASK, as in "
            f"{_example(kind)}"
        )
    opened = {_asked(name, member, kind, options)[0].name: member for member in members}
    definitions = tuple(_asked(name, opened[task], kind, options)[0] for task in sorted(opened))
    _check_corpora(name, definitions)
    option, opens = suite or ",".join(sorted(opened)), [opened[task] for task in sorted(opened)]
    asked = f"{kind}:{suite or ','.join(opens)}"
    return Derived(f"{kind}:{option}", kind, opens[0], tuple(opens[1:]), option, asked, definitions)


def _option(name: str, kind: str, written: str) -> str:
    """K of `shots`, the classes of `labels` or the changes of `perturbed`, in a normal form; empty for other kinds.

    Raises:
        UnknownName: there is no such perturbation.
        Refused: it has another form, or a package that it needs is absent.
    """
    if kind == PERTURBED:
        changes = perturbations.expand(written)
        for change in changes:
            perturbations.refuse_absent(change)
        return perturbations.joined(changes)
    if kind == "shots":
        if not (written.isascii() and written.isdigit() and int(written)):
            raise Refused(f"{name}: K is {written!r}; a positive whole number of utterances a class is expected")
        return str(int(written))
    return "+".join(sorted(set(written.split("+")))) if kind == "labels" else ""


def _asked(name: str, task: str, kind: str, options: Options) -> tuple[Definition, Corpus]:
    """The definition and the corpus of a task that a kind can be made of.

    Raises:
        UnknownName: there is no such task.
        Refused: the task is of a kind that this one cannot be made of.
        TaskError: a user's table cannot be understood.
    """
    base, corpus = _base(task, kind, options)
    if base.kind not in KINDS.find(kind).asks:
        what = {"regression": "values", "ordinal": "levels"}.get(base.kind, "turns of conversations")
        raise Refused(f"{name}: {base.name} asks for {what}; {kind} needs a task of classes, as in {_example(kind)}")
    return base, corpus


def expand(name: str, options: Options, tell: Tell) -> list[str]:
    """Names of the tasks that a derived name stands for: several where it holds a suite.

    A transfer comes with the task that scores its target on the target's own folds, `unified:` with `alone:`, changed
    audio with the task itself.

    Args:
        tell: called with a line on the tasks of a suite that are left out.

    Raises:
        UnknownName, Refused, TaskError: as `parse`; Refused also where no task of a suite is left.
    """
    kind, arguments = _split(name)
    suite, rest, data = arguments[0], arguments[1:], options.data
    if kind in UNIFIED:
        if not rest and catalogue.is_suite(suite) and (left := _members(suite, kind, data)[1]):
            tell("\n  ".join([f"{name} goes without", *left]))
        joined = parse(name, options).asked
        return [joined.replace(kind, one, 1) for one in (UNIFIED if kind == UNIFIED[0] else (kind,))]
    of_tasks = KINDS.find(kind).form.startswith("TASK")
    alone = not ((of_tasks or not rest) and catalogue.is_suite(suite))
    changes = perturbations.expand(rest[0]) if kind == PERTURBED and len(rest) == 1 and rest[0] else []
    if alone and len(changes) < 2:
        if kind == ACROSS and rest and (left := _members(suite, kind, data)[1]):
            tell("\n  ".join([f"{name} trains without", *left]))
        return _with_own(parse(name, options))
    members, left = ([suite], []) if alone else _members(suite, kind, data, alone=of_tasks)
    if kind in TRANSFERS:
        asked = [f"{kind}:{source},{target}" for source, target in permutations(members, 2)]
    elif kind == ACROSS:
        asked = [f"{kind}:{suite},{member}" for member in members]
    elif changes:
        asked = [f"{kind}:{member},{change.name}" for member in members for change in changes]
    else:
        asked = [f"{kind}:{','.join((member, *rest))}" for member in members]
    parsed = []
    for one in asked:
        try:
            parsed.append(_made(one, options))
        except EmorepError as error:
            if alone and one == asked[-1] and not parsed:
                raise
            left.append(str(error))
    if not parsed:
        raise Refused("\n  ".join([f"{name}: no task of {suite} can be used", *left]))
    if left:
        tell("\n  ".join([f"{name} leaves out", *left]))
    own = [derived.base for derived in parsed] if kind in TRANSFERS else []  # the diagonal of the matrix
    return list(dict.fromkeys([*(task for derived in parsed for task in _with_own(derived)), *own]))


def _made(name: str, options: Options) -> Derived:
    """As `parse`, of one of several names. Raises Refused also where there is no speech to make its babble of."""
    derived = parse(name, options)
    change = derived.derivation.perturbation
    if change and change.facts.noise and options.noise is None:
        family = _base(derived.base, derived.kind, options)[1].family
        if not catalogue.of_others(family, options.data):
            raise Refused(f"{name}: {no_babble(options.data)}")
    return derived


def _split(name: str) -> tuple[str, list[str]]:
    """The kind and its arguments; the path of a user's table may hold commas."""
    kind, _, arguments = name.partition(":")
    if kind in UNIFIED:
        return kind, [brought.full(piece.strip(), tuple(KINDS)) for piece in arguments.split(",")]
    wanted = len(KINDS.find(kind).form.split(","))
    pieces = [piece.strip() for piece in arguments.split(",")]
    if len(pieces) > wanted:
        pieces = next(_joinings(arguments.split(","), wanted), pieces)
    return kind, [brought.full(piece, tuple(KINDS)) for piece in pieces]


def _joinings(pieces: Sequence[str], wanted: int) -> Iterator[list[str]]:
    """Ways to join pieces into the wanted number of arguments, where each joined argument is a user's table."""
    for cuts in combinations(range(1, len(pieces)), wanted - 1):
        ends = [0, *cuts, len(pieces)]
        parts = [pieces[a:b] for a, b in pairwise(ends)]
        if all(len(part) == 1 or brought.is_table(part[0].strip()) for part in parts):
            joined = [",".join(part).strip() for part in parts]
            if all(len(part) == 1 or brought.is_there(one) for part, one in zip(parts, joined, strict=True)):
                yield joined


def _example(kind: str) -> str:
    examples = {"labels": "emodb,anger+neutral", "shots": "emodb,4", ACROSS: "ser10,emodb", PERTURBED: "emodb,white@10"}
    examples |= dict.fromkeys(UNIFIED, "emodb,emovo")
    return f"{kind}:{'emodb,urdu' if kind in TRANSFERS else examples.get(kind, 'emodb')}"


def _base(name: str, kind: str, options: Options) -> tuple[Definition, Corpus]:
    """A task's definition and corpus. Raises UnknownName, or TaskError where a user's table cannot be understood."""
    if brought.is_table(name):
        return brought.describe(name, options)
    if name not in catalogue.names():
        raise UnknownName(f"task for {kind}:", name, catalogue.names(), LIST)
    base = definition.read(definition.path(name))
    return base, corpora.module(base.corpus).CORPUS


def _check_language(name: str, corpus: Corpus) -> None:
    """Raise Refused where the language of a user's table is unknown: other languages cannot be chosen then."""
    if corpus.name not in corpora.names() and corpus.language == "und":
        raise Refused(f"{name}: the language of {corpus.title} is unknown; add a column language, such as en or de")


def _apart(source: str, target: Corpus) -> bool:
    """Whether the source's corpus shares no language and no speaker with the target's corpus."""
    own = corpora.module(definition.read(definition.path(source)).corpus).CORPUS
    return own.family != target.family and not set(own.language.split("/")) & set(target.language.split("/"))


def _check_joinable(name: str, tasks: Sequence[Definition]) -> None:
    """Raise Refused where tasks cannot be joined: two are on one corpus, or they share fewer than two classes."""
    _check_corpora(name, tasks)
    shared = label_algebra.shared([tuple(task.labels) for task in tasks])
    if len(shared) < label_algebra.FEWEST:
        has = "; ".join(f"{task.name} has {', '.join(task.labels)}" for task in tasks)
        common = f"only {', '.join(shared)}" if shared else "no class"
        raise Refused(f"{name}: they share {common}, and at least {label_algebra.FEWEST} classes are needed: {has}")


def _check_corpora(name: str, tasks: Sequence[Definition]) -> None:
    """Raise Refused where two tasks are on one corpus."""
    first: dict[str, str] = {}
    for task in tasks:
        if task.corpus in first:
            raise Refused(
                f"{name}: {first[task.corpus]} and {task.name} are both on {task.corpus}; two corpora are expected"
            )
        first[task.corpus] = task.name


def _with_own(derived: Derived) -> list[str]:
    """The task's name; of a transfer also the task that asks for the same classes on the target's own folds; of changed
    audio, before it, the task itself."""
    if derived.kind == PERTURBED:
        return [derived.base, derived.asked]
    if not derived.sources:
        return [derived.asked]
    own, wanted = derived.definitions[0].labels, derived.classes
    return [derived.asked, derived.base if set(own) == set(wanted) else f"labels:{derived.base},{'+'.join(wanted)}"]


def _members(suite: str, kind: str, data: Path, alone: bool = False) -> tuple[list[str], list[str]]:
    """Tasks of a suite that a kind can be made of, and lines on those that are left out.

    Tasks of absent, unreadable and broken corpora are left out. Unless `alone`, one task of each corpus is kept: the
    task that has the corpus's name, else the first.
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
        elif row.state == "unread":
            left.append(f"{name}: {row.problem}")
        else:
            kept.append(name)
    if alone:
        return kept, left
    stands = {state[name].corpus: name for name in [*reversed(kept), *(n for n in kept if n == state[n].corpus)]}
    left += [
        f"{name}: one task of each corpus is used, here {stands[state[name].corpus]}"
        for name in kept
        if name not in stands.values()
    ]
    return [name for name in kept if name in stands.values()], left
