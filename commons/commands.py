"""Running and ending a command, in the same way for every command line.

- SIGINT, SIGTERM and SIGHUP (a closed terminal, Slurm) end it with one line and status 128 + signal. They raise the
  exception Stopped in the main thread, so that child processes are ended and half-written files are removed. A second
  signal, or PATIENCE seconds without an end, ends the process at once.
- Errors that a user may cause are one line and status 1; wrong requests are status 2.
- Where the reader of the output goes away (head, less), the command ends without a message.
- Characters that the terminal's encoding lacks are printed in a plain form.

It imports no large library, so that it works before a command has imported its own modules.
"""

from __future__ import annotations

import _thread
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
import time
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import IO, TYPE_CHECKING, NoReturn

from commons.early import NAMES, end_at_once
from commons.errors import LONGEST, EmorepError, Notice, Refused, cut

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

SIGNALS = tuple(signal.Signals(number) for number in NAMES)
PATIENCE = 20.0  # s from a signal until the process is ended by force
AGAIN = 0.02  # s until a signal that was lost in a callback is sent again
GRACE = 2.0  # s to wait for threads that still run at the end
MOST_JOBS, MOST_SEEDS = 1024, 1000  # limits of `--jobs` and `--seeds`; more is a typing error
LONGEST_PATH = 4095  # characters; Linux allows no longer paths
PIPE = 141  # the status of a program whose output is no longer read: 128 + SIGPIPE
HELD = re.compile(
    rf"<frozen importlib.*|.*{re.escape(os.sep)}soundfile\.py"
)  # files of code that cannot be interrupted
WORD = re.compile(rf"\S{{{2 * LONGEST},}}")  # longer than any path that people type
PLAIN = {"–": "-", "—": "-", "−": "-", "·": ".", "…": "...", "±": "+-", "×": "x", "→": "->", "≥": ">=", "≤": "<=",
         "„": '"', "“": '"', "”": '"', "’": "'", "≈": "~", "─": "-", "│": "|", "━": "=", "┃": "|"}  # fmt: skip
ENCODING_ERRORS = "emorep-plain"
Tell = Callable[[str], None]


class Stopped(KeyboardInterrupt):
    """A signal asked the process to end. It is no Exception, so that code which catches errors does not catch it."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)

    @property
    def status(self) -> int:
        """The exit status of a process that was ended by this signal."""
        return 128 + self.number


def called(otherwise: str) -> str:
    """The name by which the program was started, such as `emorep run`; `otherwise` where that is not known."""
    return sys.argv[0] if sys.argv and sys.argv[0].startswith("emorep ") else otherwise


def asked_to_stop(error: BaseException) -> bool:
    """Whether an exception comes from a signal to end the process, and not from code that raised it."""
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
    """The exit status of a command's work; an error is printed as one line.

    Args:
        tell: prints a message for the user.
        stopped: called where a signal ended the work, to save results; `words`: printed beside the signal's name.
        arguments: arguments of the command; None: those of the process, which then ends here.
    """
    survive_encodings()
    with _plain_notices(), stoppable() as watch:
        status = _status(work, tell, stopped, words, arguments, watch)
    if arguments is None:
        if watch.number:  # interrupted libraries may crash when Python shuts them down
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
    except OSError as error:  # not handled elsewhere: an invalid path, a folder without permission
        place = "" if error.filename is None else f"{cut(str(error.filename))}: "
        message = f"{place}cannot be used ({error.strerror or error}); name another, or correct it"
        return _told(tell, message, 2 if error.errno == errno.ENAMETOOLONG else 1)


@contextmanager
def _plain_notices() -> Iterator[None]:
    """In this context, a Notice is printed as one line, without the place in the program that Python adds."""
    usual = warnings.formatwarning

    def shown(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        if issubclass(category, Notice):
            return f"warning: {cut_words(str(message))}\n"
        return usual(message, category, filename, lineno, line)

    warnings.formatwarning = shown
    try:
        yield
    finally:
        warnings.formatwarning = usual


def _refuse_strange(arguments: Sequence[str]) -> None:
    """Raises Refused for arguments that can be neither a name nor a path."""
    for word in arguments:
        if "\0" in word:
            raise Refused(f"argument {cut(word)!r}: holds a NUL character, which no name and no path has; remove it")
        if len(word) > LONGEST_PATH:
            raise Refused(
                f"argument {cut(word)!r}: has {len(word)} characters; no name and no path has more than {LONGEST_PATH}"
            )


def _flushed(work: Callable[[], int]) -> int:
    """The status of the work, after its output is written, so that an error of writing is noticed here."""
    try:
        status = work()
    except SystemExit:  # of argparse: help, or a wrong option
        sys.stdout.flush()
        raise
    sys.stdout.flush()
    return status


def _told(tell: Tell, message: str, status: int) -> int:
    """Print the message, long words cut, and return the status, also where nobody reads the output any more."""
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
    """End the process with that status; threads that still run are named."""
    for thread in threading.enumerate():
        if thread is threading.current_thread() or thread.daemon:
            continue
        thread.join(GRACE)
        if thread.is_alive():
            with suppress(OSError):
                print(f"the thread {thread.name!r} did not end; the command ends without it", file=sys.stderr)
            finish(status)
    sys.exit(status)


def finish(status: int) -> NoReturn:
    """End now, without waiting for threads; exit functions are run and output is flushed."""
    with suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


class _Watch:
    """Handles signals, and ends a process that still runs PATIENCE seconds after a signal."""

    def __init__(self, second: Callable[[int], object]) -> None:
        self._second = second
        self._timer: threading.Timer | None = None
        self._waits = 0  # times that a signal waited for code that cannot be interrupted
        self.number = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The signal handler: the first signal raises Stopped.

        Code that cannot be interrupted is finished first: the signal is sent again a little later.
        """
        if self.number:
            self._second(number)
            return
        if self._waits * AGAIN > PATIENCE:
            end_at_once(number)
        if _holds(frame):
            self._waits += 1
            self._send_again(number)
            return
        self.number = number
        self.again()
        raise Stopped(number)

    def again(self) -> None:
        """Start the time limit again."""
        self.done()
        if self.number:
            self._timer = threading.Timer(PATIENCE, end_at_once, (self.number,))
            self._timer.daemon = True
            self._timer.start()

    def lost(self) -> None:
        """Send the signal again, after it came in a callback or a __del__, where Python cannot raise."""
        number, self.number = self.number, 0
        self._send_again(number)

    def _send_again(self, number: int) -> None:
        """Send the signal a little later, from a thread that is not counted among those of an upstream."""

        def send() -> None:
            time.sleep(AGAIN)
            os.kill(os.getpid(), number)

        _thread.start_new_thread(send, ())

    def done(self) -> None:
        if self._timer:
            self._timer.cancel()


def _holds(frame: FrameType | None) -> bool:
    """Whether code runs that cannot be interrupted by an exception: an import, or soundfile.

    In the middle of the import of a compiled module it can make the module's library abort the process. libsndfile
    calls back into Python, where the exception would be lost, and the rest of the file with it, without an error.
    """
    while frame:
        if HELD.fullmatch(frame.f_code.co_filename):
            return True
        frame = frame.f_back
    return False


@contextmanager
def stoppable(
    numbers: Sequence[signal.Signals] = SIGNALS, second: Callable[[int], object] = end_at_once
) -> Iterator[_Watch]:
    """In this context, the first signal raises Stopped in the main thread, and `second` is called with the next ones.

    Signals that were ignored (nohup, &) stay ignored.
    """
    watch = _Watch(second)
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, watch) for number in _heeded(numbers)}
    hook = sys.unraisablehook

    def unraisable(what: UnraisableHookArgs) -> None:
        if isinstance(what.exc_value, Stopped):
            watch.lost()
        else:
            hook(what)

    sys.unraisablehook = unraisable
    try:
        yield watch
    finally:
        sys.unraisablehook = hook
        watch.done()
        for number, handler in before.items():
            signal.signal(number, handler)


def _heeded(numbers: Sequence[signal.Signals]) -> list[signal.Signals]:
    return [number for number in numbers if signal.getsignal(number) not in (signal.SIG_IGN, None)]


def _closed(stream: IO[str]) -> bool:
    """Whether nobody reads the stream's output any more."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (OSError, ValueError, AttributeError):
        return True


def _silence() -> None:
    """Discard further output of closed streams; Python would print an error at its end otherwise."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            if _closed(stream):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def survive_encodings() -> None:
    """Make output streams write characters that their encoding lacks in a plain form, instead of raising."""
    codecs.register_error(ENCODING_ERRORS, _plain)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if callable(reconfigure):
            with suppress(OSError, ValueError):
                reconfigure(errors=ENCODING_ERRORS)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """The replacement of characters that an encoding lacks: a plain form, the letter without accents, or `?`."""
    assert isinstance(error, UnicodeEncodeError)
    lacked = error.object[error.start : error.end]
    return "".join(_ascii(character) for character in lacked), error.end


def _ascii(character: str) -> str:
    if character in PLAIN:
        return PLAIN[character]
    bare = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return bare or "?"


def cut_words(message: str) -> str:
    """The message with very long words cut."""
    return WORD.sub(lambda match: f"{match[0][:LONGEST]}...", message)


class Parser(argparse.ArgumentParser):
    """An argument parser whose error messages cut very long words."""

    def error(self, message: str) -> NoReturn:
        """Print usage and the message, and exit with status 2."""
        super().error(cut_words(message))


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """The `type=` of an option that is a whole number within limits."""

    def read(text: str) -> int:
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        digits = text.strip().lstrip("+-")
        number = int(text) if digits.isdecimal() and len(digits) <= len(str(most or sys.maxsize)) else None
        if number is None or number < least or (most is not None and number > most):
            raise argparse.ArgumentTypeError(f"expected a whole number {limits}, found {text!r}")
        return number

    return read
