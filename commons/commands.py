"""How a command runs, and how it ends: one way for every command line.

- SIGINT, SIGTERM and SIGHUP (a closed terminal, Slurm) end it with one line and status 128 + signal; what is at work
  is told by the exception Stopped, so that it ends its children and removes what it has half written. A second signal,
  or PATIENCE seconds without an end, end it at once.
- Errors that a user may cause are one line and status 1, wrong requests status 2.
- A reader of its output that has seen enough (head, less) ends it without a word.
- What the terminal's encoding lacks is printed in a plain form.

Imports nothing heavy: it is there before a command imports what it needs.
"""

from __future__ import annotations

import argparse
import atexit
import codecs
import errno
import os
import re
import select
import signal
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import IO, TYPE_CHECKING, NoReturn

from commons.early import NAMES, end_at_once
from commons.errors import LONGEST, EmorepError, Refused, cut

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

SIGNALS = tuple(signal.Signals(number) for number in NAMES)
PATIENCE = 20.0  # s from a signal until the process ends whatever it does
AGAIN = 0.02  # s until a signal that was lost in a callback is given again
GRACE = 2.0  # s for threads that are left at the end
MOST_JOBS, MOST_SEEDS = 1024, 1000  # what `--jobs` and `--seeds` take: beyond it is a slip of the hand
LONGEST_PATH = 4095  # characters; Linux takes no longer paths
PIPE = 141  # the status of a program whose reader has gone: 128 + SIGPIPE
WORD = re.compile(rf"\S{{{2 * LONGEST},}}")  # longer than any path that people type
PLAIN = {"–": "-", "—": "-", "−": "-", "·": ".", "…": "...", "±": "+-", "×": "x", "→": "->", "≥": ">=", "≤": "<=",
         "„": '"', "“": '"', "”": '"', "’": "'", "≈": "~", "─": "-", "│": "|", "━": "=", "┃": "|"}  # fmt: skip
ENCODING_ERRORS = "emorep-plain"
Tell = Callable[[str], None]


class Stopped(KeyboardInterrupt):
    """A signal asked the process to end. No Exception: what upstreams and heads raise must not be taken for it."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)

    @property
    def status(self) -> int:
        """The exit status of a process that this signal ended."""
        return 128 + self.number


def called(otherwise: str) -> str:
    """The name that the program was called by: `emorep run` and the like, else its `python` form."""
    return sys.argv[0] if sys.argv and sys.argv[0].startswith("emorep ") else otherwise


def asked_to_stop(error: BaseException) -> bool:
    """Whether an exception means that the user or the system ends the process, and not that some code raised it."""
    if isinstance(error, Stopped):
        return True
    return isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def run(
    work: Callable[[], int],
    tell: Tell,
    stopped: Callable[[], None] | None = None,
    words: str = "",
    arguments: Sequence[str] | None = None,
) -> int:
    """The exit status of a command's work, with what went wrong told in one line.

    Args:
        tell: prints a message to the user's error output.
        stopped: called where a signal ended the work, to keep what was done; `words`: then said beside the signal.
        arguments: those that the command was called with; None: those of the process, which then ends here.
    """
    survive_encodings()
    with _signals() as watch:
        status = _status(work, tell, stopped, words, arguments, watch)
    if arguments is None:
        if watch.number:  # what was interrupted may be half done: libraries crash where Python takes them apart
            finish(status)
        leave(status)
    return status


def _status(
    work: Callable[[], int],
    tell: Tell,
    stopped: Callable[[], None] | None,
    words: str,
    arguments: Sequence[str] | None,
    watch: _Watch,
) -> int:
    try:
        _refuse_strange(sys.argv[1:] if arguments is None else arguments)
        return _flushed(work)
    except Refused as error:
        return _told(tell, str(error), 2)
    except EmorepError as error:
        return _told(tell, str(error), 1)
    except KeyboardInterrupt as error:
        number = error.number if isinstance(error, Stopped) else signal.SIGINT
        watch.again()
        say = f"stopped by {signal.Signals(number).name}"
        _told(tell, f"{say}; {words}" if words else say, 0)
        if stopped:
            _keep(stopped, tell)
        return 128 + number
    except BrokenPipeError:
        if not any(_closed(stream) for stream in (sys.stdout, sys.stderr)):
            raise
        _silence()
        return PIPE
    except OSError as error:  # where no room foresaw it: a path that no system takes, a folder without permission
        place = "" if error.filename is None else f"{cut(str(error.filename))}: "
        said = f"{place}cannot be used ({error.strerror or error}); name another, or mend it"
        return _told(tell, said, 2 if error.errno == errno.ENAMETOOLONG else 1)


def _refuse_strange(arguments: Sequence[str]) -> None:
    """Raises Refused for what can be no name and no path."""
    for word in arguments:
        if "\0" in word:
            raise Refused(f"argument {cut(word)!r}: holds a NUL character, which no name and no path has; leave it out")
        if len(word) > LONGEST_PATH:
            raise Refused(
                f"argument {cut(word)!r}: has {len(word)} characters; no name and no path has more than {LONGEST_PATH}"
            )


def _flushed(work: Callable[[], int]) -> int:
    """The status of the work, once its output is written: what fails there is known here, and not at Python's end."""
    try:
        status = work()
    except SystemExit:  # of argparse: help, or a wrong option
        sys.stdout.flush()
        raise
    sys.stdout.flush()
    return status


def _told(tell: Tell, message: str, status: int) -> int:
    """Say it, cut to size; a reader that went is no reason to fail otherwise."""
    try:
        tell(cut_words(message))
        sys.stderr.flush()
    except BrokenPipeError:
        _silence()
    return status


def _keep(stopped: Callable[[], None], tell: Tell) -> None:
    try:
        stopped()
    except (EmorepError, KeyboardInterrupt) as error:
        _told(tell, str(error), 0)


def leave(status: int) -> NoReturn:
    """End the process with that status, whatever threads are left; they are named."""
    for thread in threading.enumerate():
        if thread is threading.current_thread() or thread.daemon:
            continue
        thread.join(GRACE)
        if thread.is_alive():
            with suppress(OSError):
                print(f"the thread {thread.name!r} never ended; the command ends without it", file=sys.stderr)
            finish(status)
    sys.exit(status)


def finish(status: int) -> NoReturn:
    """End now, without waiting for threads: what was registered for the end is done, and output is flushed."""
    with suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


class _Watch:
    """Ends the process where a signal was given and PATIENCE seconds later it still runs."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None
        self.number = 0

    def __call__(self, number: int, _: FrameType | None) -> None:
        """The handler of the signals: the first raises Stopped, the second ends the process."""
        if self.number:
            end_at_once(number)
        self.number = number
        self.again()
        raise Stopped(number)

    def again(self) -> None:
        """Wait anew for the end."""
        self.done()
        if self.number:
            self._timer = threading.Timer(PATIENCE, end_at_once, (self.number,))
            self._timer.daemon = True
            self._timer.start()

    def lost(self) -> None:
        """Python cannot raise in a callback or a __del__, where the signal happened to come: give it again."""
        number, self.number = self.number, 0
        threading.Timer(AGAIN, os.kill, (os.getpid(), number)).start()

    def done(self) -> None:
        if self._timer:
            self._timer.cancel()


@contextmanager
def _signals() -> Iterator[_Watch]:
    """While it lasts, signals raise Stopped in the main thread; what was ignored before (nohup, &) stays so."""
    watch = _Watch()
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, watch) for number in _heeded()}
    told = sys.unraisablehook

    def unraisable(what: UnraisableHookArgs) -> None:
        if isinstance(what.exc_value, Stopped):
            watch.lost()
        else:
            told(what)

    sys.unraisablehook = unraisable
    try:
        yield watch
    finally:
        sys.unraisablehook = told
        watch.done()
        for number, handler in before.items():
            signal.signal(number, handler)


def _heeded() -> list[signal.Signals]:
    return [number for number in SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]


def _closed(stream: IO[str]) -> bool:
    """Whether nobody reads any more what a stream writes to."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (OSError, ValueError, AttributeError):
        return True


def _silence() -> None:
    """Send what else would go to closed streams nowhere: Python complains at its end otherwise."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            if _closed(stream):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def survive_encodings() -> None:
    """Let no character end the program: what an output's encoding lacks is written in a plain form."""
    codecs.register_error(ENCODING_ERRORS, _plain)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if callable(reconfigure):
            with suppress(OSError, ValueError):
                reconfigure(errors=ENCODING_ERRORS)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that an encoding lacks: their plain form, their letter without accents, or `?`."""
    assert isinstance(error, UnicodeEncodeError)
    lacked = error.object[error.start : error.end]
    return "".join(_ascii(character) for character in lacked), error.end


def _ascii(character: str) -> str:
    if character in PLAIN:
        return PLAIN[character]
    bare = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return bare or "?"


def cut_words(message: str) -> str:
    """A message with what a user gave cut to a size that can be read."""
    return WORD.sub(lambda match: f"{match[0][:LONGEST]}...", message)


class Parser(argparse.ArgumentParser):
    """A command line whose messages repeat no more of what was typed than can be read."""

    def error(self, message: str) -> NoReturn:
        """Print usage and the message, and exit with status 2."""
        super().error(cut_words(message))


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """For `type=` of an option: a whole number within limits."""

    def read(text: str) -> int:
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        digits = text.strip().lstrip("+-")
        number = int(text) if digits.isdecimal() and len(digits) <= len(str(most or sys.maxsize)) else None
        if number is None or number < least or (most is not None and number > most):
            raise argparse.ArgumentTypeError(f"expected a whole number {limits}, found {text!r}")
        return number

    return read
