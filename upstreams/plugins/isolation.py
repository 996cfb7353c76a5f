"""Keeps apart what the code of each upstream changes of the process.

torch's defaults hold for the whole process. If the file of one upstream sets them, the next upstream would give other
features under an unchanged key. So the settings are restored when the code returns, and set again before it runs again.
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
from commons.errors import Notice

Getter = Callable[[], object]
Setter = Callable[[object], object]
PRECISIONS = [(backend, what) for backend in ("cuda", "mkldnn") for what in ("all", "matmul", "conv", "rnn")]
UNREADABLE = "unreadable"  # torch raises where its old and its new functions for a precision were mixed


def _settings() -> dict[str, tuple[Getter, Setter]]:
    """The settings of the process that decide what is computed: name -> how to get and set it, in this order."""
    import torch

    core, cudnn = torch._C, torch.backends.cudnn
    settings: dict[str, tuple[Getter, Setter]] = {
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
    if hasattr(core, "_get_fp32_precision_getter"):  # torch's newer way, which the older functions set too
        settings["precisions"] = (_precisions, _set_precisions)
    return settings


def _set_device(value: object) -> None:
    import torch

    torch.set_default_device(None if value == torch.device("cpu") else value)


def _precisions() -> object:
    import torch

    getter = torch._C._get_fp32_precision_getter
    return (torch.backends.fp32_precision, *(getter(*operation) for operation in PRECISIONS))


def _set_precisions(value: object) -> None:
    import torch

    assert isinstance(value, tuple)
    torch.backends.fp32_precision = value[0]
    for operation, precision in zip(PRECISIONS, value[1:], strict=True):
        torch._C._set_fp32_precision_setter(*operation, precision)


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


def _get(getter: Getter) -> object:
    try:
        return getter()
    except RuntimeError:
        return UNREADABLE


def _now() -> dict[str, object]:
    return {name: _get(getter) for name, (getter, _) in _settings().items()}


def _set(wanted: dict[str, object]) -> None:
    """Set the settings that differ from what is wanted."""
    for name, (getter, setter) in _settings().items():
        value = wanted.get(name, UNREADABLE)
        if value != UNREADABLE and _get(getter) != value:
            setter(value)


class Isolation:
    """The settings, threads and processes of the code of one upstream."""

    def __init__(self, name: str, foreign: bool = True) -> None:
        """`foreign`: the code is a user's. Other code is isolated only once torch is loaded."""
        self.name, self._foreign = name, foreign
        self._theirs: dict[str, object] = {}  # settings that its code changed
        self._reported: set[str] = set()

    @contextmanager
    def within(self) -> Iterator[None]:
        """A context for running the code: with its own settings and no standard input. Afterwards ours are restored.

        A copy of the process that the code forked ends with the context. Threads and processes that the code leaves
        running are named in a warning.
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
            _restore(handlers)
            self._name_left(threads, children)

    def _name_left(self, threads: set[threading.Thread], children: set[int]) -> None:
        left = [t for t in threading.enumerate() if t not in threads and t.is_alive() and not _harmless(t)]
        started = _children() - children
        _strays.update(started)
        names = [f"the thread {thread.name!r}" for thread in left]
        names += ["another process"] if started else []
        for name in names:
            if name not in self._reported:
                self._reported.add(name)
                warnings.warn(
                    f"{self.name} leaves {name} running after its call; end it in the call: this program does not wait "
                    "for it",
                    Notice,
                    stacklevel=4,
                )


_strays: set[int] = set()  # processes that the code of upstreams left running


@atexit.register
def _end_strays() -> None:
    """Kill the processes that the code of upstreams left running, if they are still children of this one."""
    for number in _strays & _children():
        with suppress(OSError):
            os.kill(number, signal.SIGKILL)


def _harmless(thread: threading.Thread) -> bool:
    """Whether a thread ends with the process: a daemon, or one of a pool that waits for work."""
    return thread.daemon or thread.name.startswith("ThreadPoolExecutor")


def _children() -> set[int]:
    """The running child processes of this one; none on a system without /proc."""
    children: set[int] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError, ValueError):
            children |= {int(word) for word in path.read_text().split()}
    tracker = getattr(getattr(resource_tracker, "_resource_tracker", None), "_pid", None)  # Python's own
    return {number for number in children if number != tracker and _runs(number)}


def _runs(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"


def _restore(handlers: Mapping[int, object]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number, handler in handlers.items():
        if signal.getsignal(number) is not handler and (callable(handler) or isinstance(handler, int)):
            signal.signal(number, handler)
