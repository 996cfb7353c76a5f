"""Parts of the work side by side, one on each core."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock

import torch

from commons.progress import Progress


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
