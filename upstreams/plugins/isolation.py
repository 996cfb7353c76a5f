"""How far the code of an upstream reaches: what it changes of the whole process is put back after each piece of it.

torch's defaults are one for the process: what one upstream's file sets would change the features of the next, under
the next one's key. They are restored when its code returns, and set again before its code runs again.
"""

from __future__ import annotations

import atexit
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path

import numpy as np

from commons.commands import SIGNALS

Getter = Callable[[], object]
Setter = Callable[[object], object]
PRECISIONS = [(backend, what) for backend in ("cuda", "mkldnn") for what in ("all", "matmul", "conv", "rnn")]
UNREADABLE = "unreadable"  # torch will not tell where its old and new ways to set a precision were mixed


def _settings() -> dict[str, tuple[Getter, Setter]]:
    """The process's settings that decide what others compute: name -> what reads and what sets it, in this order."""
    import torch

    core, cudnn = torch._C, torch.backends.cudnn
    found: dict[str, tuple[Getter, Setter]] = {
        "dtype": (torch.get_default_dtype, torch.set_default_dtype),
        "device": (torch.get_default_device, _set_device),
        "threads": (torch.get_num_threads, torch.set_num_threads),
        "deterministic": (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
        "mkldnn": (core._get_mkldnn_enabled, core._set_mkldnn_enabled),
        "cudnn": (core._get_cudnn_enabled, core._set_cudnn_enabled),
        "cudnn benchmark": (core._get_cudnn_benchmark, core._set_cudnn_benchmark),
        "cudnn tf32": (lambda: cudnn.allow_tf32, core._set_cudnn_allow_tf32),
        "matmul": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        "numpy": (np.geterr, _set_numpy_errors),
        "folder": (_folder, _set_folder),
    }
    if hasattr(core, "_get_fp32_precision_getter"):  # torch's newer way, which the older ones set too
        found["precisions"] = (_precisions, _set_precisions)
    return found


def _set_device(value: object) -> None:
    import torch

    torch.set_default_device(None if value == torch.device("cpu") else value)


def _precisions() -> object:
    import torch

    read = torch._C._get_fp32_precision_getter
    return (torch.backends.fp32_precision, *(read(*place) for place in PRECISIONS))


def _set_precisions(value: object) -> None:
    import torch

    assert isinstance(value, tuple)
    torch.backends.fp32_precision = value[0]
    for place, precision in zip(PRECISIONS, value[1:], strict=True):
        torch._C._set_fp32_precision_setter(*place, precision)


def _set_numpy_errors(value: object) -> None:
    assert isinstance(value, dict)
    np.seterr(**value)


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return UNREADABLE


def _set_folder(value: object) -> None:
    with suppress(OSError):
        os.chdir(str(value))


def _read(getter: Getter) -> object:
    try:
        return getter()
    except RuntimeError:
        return UNREADABLE


def _now() -> dict[str, object]:
    return {name: _read(getter) for name, (getter, _) in _settings().items()}


def _set(wanted: dict[str, object]) -> None:
    """Bring settings to what is wanted, those that differ."""
    for name, (getter, setter) in _settings().items():
        value = wanted.get(name, UNREADABLE)
        if value != UNREADABLE and _read(getter) != value:
            setter(value)


class Reach:
    """The settings, threads and processes of one upstream's code."""

    def __init__(self, name: str, foreign: bool = True) -> None:
        """`foreign`: a user's code. Ours and the libraries' is not kept from what it may do before torch is loaded."""
        self.name, self._foreign = name, foreign
        self._theirs: dict[str, object] = {}  # settings that its code changed
        self._told: set[str] = set()

    @contextmanager
    def within(self) -> Iterator[None]:
        """In which its code runs: with its own settings, no standard input, and nothing left of it afterwards.

        A copy of the process that its code forked ends here. Threads and processes that it leaves are named.
        """
        if "torch" not in sys.modules and not self._foreign:
            yield
            return
        import torch

        ours = _now()
        _set(self._theirs)
        gradients, stdin, streams = torch.is_grad_enabled(), sys.stdin, (sys.stdout, sys.stderr)
        inference = torch.is_inference_mode_enabled()
        handlers: dict[int, object] = {number: signal.getsignal(number) for number in SIGNALS}
        process, threads, children = os.getpid(), set(threading.enumerate()), _children()
        sys.stdin = io.StringIO()
        try:
            yield
        finally:
            if os.getpid() != process:
                os._exit(0)
            sys.stdin, (sys.stdout, sys.stderr) = stdin, streams
            self._theirs = {name: value for name, value in _now().items() if value != ours[name]}
            _set(ours)
            if torch.is_inference_mode_enabled() == inference:
                torch.set_grad_enabled(gradients)
            _put_back(handlers)
            self._name_left(threads, children)

    def _name_left(self, threads: set[threading.Thread], children: set[int]) -> None:
        left = [t for t in threading.enumerate() if t not in threads and t.is_alive() and not _harmless(t)]
        started = _children() - children
        _strays.update(started)
        said = [f"the thread {thread.name!r}" for thread in left]
        said += ["another process"] if started else []
        for one in said:
            if one not in self._told:
                self._told.add(one)
                warnings.warn(
                    f"{self.name} leaves {one} running after its call; end it there: this program does not wait for it",
                    stacklevel=4,
                )


_strays: set[int] = set()  # processes that upstreams' code left


@atexit.register
def _end_strays() -> None:
    """Kill the processes that upstreams' code started and left, those that still are children of this one."""
    for number in _strays & _children():
        with suppress(OSError):
            os.kill(number, signal.SIGKILL)


def _harmless(thread: threading.Thread) -> bool:
    """Whether a thread ends with the process by itself: a daemon, or one of a pool that waits for work."""
    return thread.daemon or thread.name.startswith("ThreadPoolExecutor")


def _children() -> set[int]:
    """Living child processes of this one; none where the system does not tell (no /proc)."""
    found: set[int] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError, ValueError):
            found |= {int(word) for word in path.read_text().split()}
    tracker = getattr(getattr(resource_tracker, "_resource_tracker", None), "_pid", None)  # Python's own
    return {number for number in found if number != tracker and _runs(number)}


def _runs(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"


def _put_back(handlers: Mapping[int, object]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number, handler in handlers.items():
        if signal.getsignal(number) is not handler and (callable(handler) or isinstance(handler, int)):
            signal.signal(number, handler)
