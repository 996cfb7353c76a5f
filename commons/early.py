"""What a command does about signals while it still imports: one line, and the end. Imports next to nothing itself."""

import _signal  # Python's own `signal` takes milliseconds to import, in which Ctrl-C would be a traceback
import os

NAMES = {getattr(_signal, name): name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(_signal, name)}


def begin() -> None:
    """For the first line of a program. What was ignored before (nohup, &) stays so."""
    for number in NAMES:
        if _signal.getsignal(number) not in (_signal.SIG_IGN, None):
            _signal.signal(number, end_at_once)


def end_at_once(number: int, _: object = None) -> None:
    """One line, and the end; children see their pipe close, and end too."""
    try:
        os.write(2, f"stopped by {NAMES[number]}\n".encode())
    finally:
        os._exit(128 + number)
