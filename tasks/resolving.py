"""From what a user names to the names of tasks: suites and derived tasks are expanded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from commons.errors import LIST, UnknownName
from tasks import brought, catalogue, corpora, definition, derive
from tasks.errors import TaskError


def resolve(wanted: Sequence[str], data: Path, tell: Callable[[str], None], emobox: Path | None) -> list[str]:
    """See `tasks.resolve`."""
    known, resolved = catalogue.names(), list[str]()
    for name in wanted:
        if brought.is_one(name):
            brought.check(name, data, emobox)
            resolved.append(name)
        elif ":" in name:
            resolved += derive.expand(name, data, tell)
        elif name in known:
            resolved.append(name)
        elif catalogue.is_suite(name):
            resolved += catalogue.members(name, data)
        elif name in corpora.names():
            raise TaskError(
                f"{name} is a corpus without a task of that name; write {definition.path(name)} (see another file of "
                "that folder), or name a task that uses it: --list shows them"
            )
        else:
            raise UnknownName("task or suite", name, [*known, *catalogue.suites(), *catalogue.COMPUTED], LIST)
    return list(dict.fromkeys(resolved))
