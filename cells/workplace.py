"""What a process that runs jobs keeps open from one job to the next: tasks, the last features, the last model."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

import tasks
import upstreams
from commons.progress import bar
from upstreams.models import Models

if TYPE_CHECKING:
    from cells.jobs import Setting
    from commons.corridors.features import Features
    from tasks import Task
    from upstreams import Identity

ROWS = 300_000  # utterances of all tasks that are kept: some 300 MB of tables


class Workplace:
    """Opens tasks and features by reference, and keeps what the next job is likely to need."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.models = setting, Models()
        self._tasks: OrderedDict[str, tuple[Task, float]] = OrderedDict()
        self._features: tuple[tuple[str, str, frozenset[str]], Features] | None = None

    def task(self, name: str) -> Task:
        """The task of that name. Raises EmorepError."""
        return self._opened(name)[0]

    def seconds(self, name: str) -> float:
        """Wall time that loading the task took, s."""
        return self._opened(name)[1]

    def _opened(self, name: str) -> tuple[Task, float]:
        if name not in self._tasks:
            started = time.perf_counter()
            with bar(f"{name}: checking audio", "files") as progress:
                task = tasks.load(name, self.setting.reading, progress)
            self._tasks[name] = task, time.perf_counter() - started
            while len(self._tasks) > 1 and sum(len(kept.utterances) for kept, _ in self._tasks.values()) > ROWS:
                self._tasks.popitem(last=False)
        self._tasks.move_to_end(name)
        return self._tasks[name]

    def features(self, name: str, upstream: Identity, needs: frozenset[str]) -> Features:
        """Features of a task's utterances, from the store or made now. Raises EmorepError."""
        key = name, upstream.fingerprint + upstream.precision, needs
        if self._features is None or self._features[0] != key:
            self._features = None  # two tasks' features need not be open at once
            with bar(f"{name}: {upstream.named.label}", "s of audio") as progress:
                made = upstreams.extract(
                    upstream, self.task(name).utterances, needs, self.setting.extraction, progress, self.models
                )
            self._features = key, made
        return self._features[1]
