"""From the names that a user gives to names of tasks: suites and derived tasks are expanded."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from commons.errors import LIST, Refused, UnknownName
from tasks import brought, card_suite, catalogue, corpora, definition
from tasks.derived import parsing
from tasks.derived.kinds import KINDS
from tasks.errors import TaskError
from tasks.load_options import Options


def resolve(wanted: Sequence[str], options: Options, tell: Callable[[str], None]) -> list[str]:
    """Names of the tasks asked for, in the order given; suites are expanded and repetitions removed."""
    resolved, tables = list[str](), dict[str, str]()
    for asked in wanted:
        for name in _meant(brought.full(asked, (*KINDS, card_suite.CARD)), options, tell):
            if f"{brought.TABLE}:" in name:
                called = brought.check(name, options) if brought.is_one(name) else parsing.parse(name, options).name
                if (other := tables.setdefault(called, name)) != name:
                    raise Refused(f"{other} and {name} are both called {called} in results; name one by csv:FILE=NAME")
            resolved.append(name)
    return list(dict.fromkeys(resolved))


def _meant(name: str, options: Options, tell: Callable[[str], None]) -> list[str]:
    """The names, for `load`, of the tasks that one name stands for."""
    known = catalogue.names()
    if brought.is_table(name):
        return [name]
    if brought.is_one(name):
        brought.check(name, options)
        return [name]
    if card_suite.is_one(name):
        return card_suite.expand(name, options, tell)
    if ":" in name:
        return parsing.expand(name, options, tell)
    if name in known:
        return [name]
    if catalogue.is_suite(name):
        return catalogue.members(name, options.data)
    if name in corpora.names():
        raise TaskError(
            f"{name} is a corpus without a task of that name; write {definition.path(name)} (see another file of "
            "that folder), or name a task that uses it: --list shows them"
        )
    raise UnknownName("task or suite", name, [*known, *catalogue.suites(), *catalogue.COMPUTED], LIST)
