"""What a command sets up before anything else is imported. It imports almost nothing itself."""

import _signal  # `signal` takes milliseconds to import; Ctrl-C in that time would print a traceback
import os

NAMES = {getattr(_signal, name): name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(_signal, name)}


def begin() -> None:
    """End with one line where a signal comes, from the first line of a program on, and let idle threads sleep.

    Signals that were ignored (nohup, &) stay ignored.
    """
    # Threads of OpenMP wait for each other by computing nothing at full speed. Where another program wants the cores, a
    # pass through emotion2vec on two of them took five times as long so; on idle cores there is no difference.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for number in NAMES:
        if _signal.getsignal(number) not in (_signal.SIG_IGN, None):
            _signal.signal(number, end_at_once)


def end_at_once(number: int, _: object = None) -> None:
    """Print one line and end the process; child processes end when their pipe closes."""
    try:
        os.write(2, f"stopped by {NAMES[number]}\n".encode())
    finally:
        os._exit(128 + number)
