"""Ends a command with one line where a signal comes while it still imports. It imports almost nothing itself."""

import _signal  # `signal` takes milliseconds to import; Ctrl-C in that time would print a traceback
import os

NAMES = {getattr(_signal, name): name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(_signal, name)}


def begin() -> None:
    """Handle signals from the first line of a program on; signals that were ignored (nohup, &) stay ignored."""
    for number in NAMES:
        if _signal.getsignal(number) not in (_signal.SIG_IGN, None):
            _signal.signal(number, end_at_once)


def end_at_once(number: int, _: object = None) -> None:
    """Print one line and end the process; child processes end when their pipe closes."""
    try:
        os.write(2, f"stopped by {NAMES[number]}\n".encode())
    finally:
        os._exit(128 + number)
