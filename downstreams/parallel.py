"""Parts of the work side by side, one on each core."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import TypeVar

import torch

from commons import claims
from commons.progress import Progress

Part = TypeVar("Part")
Made = TypeVar("Made")


@contextmanager
def one_core_each(device: str) -> Iterator[ThreadPoolExecutor]:
    """Threads for parts of the work, each with one core of its own; a single one for a GPU.

    Small products gain little from several cores and lose much where these are shared; a part on one core also gives
    the same bits on any machine of a kind, however many cores it has.
    """
    cores = torch.get_num_threads()
    workers = cores if torch.device(device).type == "cpu" else 1
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(cores)


def reported(progress: Progress | None, total: float) -> Callable[[float], None]:
    """A function that adds to how much of `total` is done, called from any thread, and passes the sum to `progress`."""
    done, lock = 0.0, Lock()

    def advance(more: float) -> None:
        nonlocal done
        with lock:
            done += more
            if progress:
                progress(done, total)

    return advance


def shared(
    pool: ThreadPoolExecutor,
    parts: Sequence[Part],
    do: Callable[[Part], Made],
    file: Path | None,
    name: Callable[[Part], str],
) -> list[Made]:
    """What `do` gives for each part, done side by side in `pool`.

    Args:
        file: of claims, by which several processes share the work: no two do a part at a time, and parts that another
            does at the moment come last. None: the work is of this process alone.
        name: of a part, the same in all processes.
    """
    waiting, lock, made = list(range(len(parts))), Lock(), dict[int, Made]()

    def take() -> None:
        with lock:
            free = (at for at in waiting if file is None or claims.is_free(file, name(parts[at])))
            at = next(free, waiting[0])
            waiting.remove(at)
        with nullcontext() if file is None else claims.claimed(file, name(parts[at])):
            made[at] = do(parts[at])

    for _ in pool.map(lambda _: take(), parts):
        pass
    return [made[at] for at in range(len(parts))]
