"""Published figures whose protocol is that of a task here, from the definitions of the tasks."""

from __future__ import annotations

from commons.corridors.record import Published
from commons.errors import UnknownName
from leaderboard.tables.anchors import Anchored
from tasks import definition, names


def anchored(asked: list[str] | None) -> list[Anchored]:
    """Every task with such figures, or those asked for. Raises UnknownName for a name without such figures."""
    made = {}
    for name in names():
        task = definition.read(definition.path(name))
        figures = [Published(**figure.model_dump()) for figure in task.published if figure.matches]
        if figures:
            made[name] = Anchored(name, task.title, str(task.version), task.headline, tuple(figures))
    for name in asked or ():
        if name not in made:
            raise UnknownName("task with published figures under its protocol", name, made)
    return [made[name] for name in asked or made]
