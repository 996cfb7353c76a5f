"""Parts of the work side by side, one on each core."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Event, Lock
from typing import TypeVar

import torch

from commons import claims
from commons.progress import Progress
from downstreams.errors import DownstreamError

Part = TypeVar("Part")
Made = TypeVar("Made")


class Stopped(DownstreamError):
    """A part ended because another one failed, or because the program ends."""


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


def reported(progress: Progress | None, total: float, stop: Event | None = None) -> Callable[[float], None]:
    """A function that adds to how much of `total` is done, called from any thread, and passes the sum to `progress`.

    Once `stop` is set it raises Stopped.
    """
    done, lock = 0.0, Lock()

    def advance(more: float) -> None:
        nonlocal done
        if stop is not None and stop.is_set():
            raise Stopped("stopped, as another part failed")
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
    stop: Event | None = None,
) -> list[Made]:
    """What `do` gives for each part, done side by side in `pool`. The first error ends the work, and is raised.

    Args:
        file: of claims, by which several processes share the work: no two do a part at a time, and parts that another
            does at the moment come last. None: the work is of this process alone.
        name: of a part, the same in all processes.
        stop: is set at the first error, so that parts that are being done can end; no further ones are begun.
    """
    waiting, lock, made = list(range(len(parts))), Lock(), dict[int, Made]()
    ended, errors = stop or Event(), list[BaseException]()

    def take() -> None:
        with lock:
            if ended.is_set():
                return
            free = (at for at in waiting if file is None or claims.is_free(file, name(parts[at])))
            at = next(free, waiting[0])
            waiting.remove(at)
        with nullcontext() if file is None else claims.claimed(file, name(parts[at])):
            if not ended.is_set():
                made[at] = do(parts[at])

    def tried() -> None:
        try:
            take()
        except BaseException as error:
            errors.append(error)
            ended.set()

    try:
        wait([pool.submit(tried) for _ in parts])
    except BaseException:  # a signal: this thread must not wait for hours of other threads
        ended.set()
        raise
    if errors:
        raise errors[0]
    return [made[at] for at in range(len(parts))]
