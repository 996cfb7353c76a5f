"""From a task's name to the task: from a user's files, from other tasks, or from a definition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

from commons import registry
from commons.errors import LIST, UnknownName
from commons.progress import Progress
from tasks import brought, catalogue, definition, further, intensity, reading
from tasks.derivation import Derivation
from tasks.derived import parsing
from tasks.derived.kinds import KINDS, Derived
from tasks.load_options import Options
from tasks.splits import fold_lists, problems
from tasks.task import Task, finish

Opened = Callable[[str], Task | None]


def load(name: str, options: Options, progress: Progress | None, opened: Opened = lambda name: None) -> Task:
    """The task of that name; `opened` gives tasks that are loaded already. Raises EmorepError."""
    return _load(name, options.absolute(), progress, opened)


def _load(name: str, options: Options, progress: Progress | None, opened: Opened) -> Task:
    if brought.is_one(name):
        return brought.load(name, options, progress)
    if ":" in name:
        derived = parsing.parse(name, options)
        loaded = [opened(each) or _load(each, options, progress, opened) for each in derived.tasks]
        return replace(_make(derived, loaded), derivation=_derivation(derived, loaded))
    if not definition.path(name).exists():
        raise UnknownName("task", name, catalogue.names(), LIST)
    wanted = definition.read(definition.path(name))
    usable = reading.read(wanted, options, progress)
    if options.by_arousal:
        rows = intensity.by_arousal(wanted.corpus, usable.utterances)
        wanted, usable = further.by_arousal(wanted), replace(usable, utterances=rows)
    problem, notes = problems.split(wanted, usable)
    made = finish(usable, wanted, problem, notes)
    whole = not usable.limited and "partial" not in made.marks and not usable.bad_files and made.has_audio
    differs = fold_lists.check(made.audit, options.cache) if whole else None
    return replace(made, notes=(*made.notes, differs)) if differs else made


def _derivation(derived: Derived, loaded: Sequence[Task]) -> Derivation:
    """How the task came from others; of a user's table as source, with the known corpus whose recordings it holds."""
    made = derived.derivation
    known = tuple(source.known_corpus for source in loaded[1:])
    return replace(made, source_corpora=known) if made.source_corpora else made


def _make(derived: Derived, loaded: Sequence[Task]) -> Task:
    """The derived task, made from its loaded base and sources. Raises TaskError where their data do not allow it."""
    maker = registry.load(f"tasks.derived.{KINDS.find(derived.kind).target}")
    return cast(Callable[[Derived, Sequence[Task]], Task], maker)(derived, loaded)
