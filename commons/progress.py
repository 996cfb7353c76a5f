"""Progress of long work: a bar on a terminal, else a line every minute."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from commons.errors import cut

LONGEST_TASK = 60  # characters of a task's name
LINE_EVERY = 60  # s between lines where there is no terminal


class Progress(Protocol):
    """Called with the work done, the total, and a short note."""

    def __call__(self, done: float, total: float, note: str = "") -> None: ...


def log(what: Sequence[str], became: str) -> None:
    """Print a line on work that is done, where there is no progress bar."""
    if not sys.stderr.isatty():
        print(f"{time.strftime('%H:%M:%S')} {' · '.join(what)}: {became}", file=sys.stderr, flush=True)


def of_task(task: str, what: str) -> str:
    """The label of a bar for work on a task; names of tasks may be far longer than a line."""
    return f"{cut(task, LONGEST_TASK)}: {what}"


@contextmanager
def bar(label: str, unit: str) -> Iterator[Progress]:
    """A progress bar with rate and time left; without a terminal, a line every minute."""
    if not sys.stderr.isatty():
        yield _lines(label, unit)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"),
               TextColumn("{task.fields[rate]}"), TimeElapsedColumn(), TimeRemainingColumn(),
               TextColumn("{task.fields[note]}"))  # fmt: skip
    with Bar(*columns, console=Console(stderr=True), transient=True) as shown:
        task, started = shown.add_task(label, total=None, rate="", note=""), time.perf_counter()
        first: float | None = None  # work that was done before this call, which does not count for the rate
        last = ""

        def advance(done: float, total: float, note: str = "") -> None:
            nonlocal first, last
            first, last = done if first is None else first, note or last
            rate = (done - first) / max(time.perf_counter() - started, 1e-9)
            shown.update(task, completed=done, total=total, rate=f"{rate:.3g} {unit}/s", note=last)

        yield advance


def _lines(label: str, unit: str) -> Progress:
    last = time.perf_counter()

    def tell(done: float, total: float, note: str = "") -> None:
        nonlocal last
        if time.perf_counter() - last >= LINE_EVERY:
            last = time.perf_counter()
            log((label,), f"{done:.0f} of {total:.0f} {unit}{f', {note}' if note else ''}")

    return tell
