"""Every command line: signals, closed pipes, poor encodings, arguments that no one means."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from commons import commands, files
from commons.errors import EmorepError, Notice, Refused

ROOT = Path(__file__).resolve().parents[2]
LINES = {
    "run": ["run_benchmark.py", "--list"],
    "tasks": ["-m", "tasks", "list"],
    "upstreams": ["-m", "upstreams", "check", "fbank"],
    "leaderboard": ["-m", "leaderboard", "schema"],
    "emorep": ["-m", "cells.console", "run", "--list"],
}
LATIN = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}


def start(line: str, *more: str, **environment: str) -> subprocess.Popen[str]:
    """A command as a terminal starts it: its signals are not ignored, as those of background jobs are."""
    code = (
        "import os, signal, sys; [signal.signal(s, signal.SIG_DFL) for s in (1, 2, 15)]\n"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, sys.executable, *LINES[line], *more],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def catches(process: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    status = Path(f"/proc/{process}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_any_early_moment_is_one_line(line: str, number: signal.Signals) -> None:
    """From the first line of ours on: before, Python itself still starts."""
    process = start(line)
    while not catches(process.pid, signal.SIGTERM):
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    time.sleep(random.choice([0.0, 0.02, 0.1, 0.3]))
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    if process.returncode != 0:  # it had not ended before
        assert process.returncode in (128 + number, -number), errors
        assert errors.count("\n") <= 1 and "Traceback" not in errors
        assert process.returncode < 0 or f"stopped by {number.name}" in errors


@pytest.mark.parametrize("line", LINES)
def test_a_closed_pipe_is_no_word(line: str) -> None:
    process = start(line)
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) in (0, commands.PIPE)


@pytest.mark.parametrize("line", LINES)
def test_output_survives_an_encoding_without_its_characters(line: str) -> None:
    process = start(line, **LATIN)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert out.isascii()


def test_a_message_survives_it_too() -> None:
    process = start("tasks", "--data", "Gefühle→日本", **LATIN)
    _, errors = process.communicate(timeout=60)
    assert "UnicodeEncodeError" not in errors


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (Refused("a wrong name"), 2, "a wrong name"),
        (EmorepError("a bad file"), 1, "a bad file"),
        (commands.Stopped(signal.SIGTERM), 143, "stopped by SIGTERM; kept"),
        (KeyboardInterrupt(), 130, "stopped by SIGINT; kept"),
        (Refused("x" * 5000), 2, f"{'x' * 200}..."),
        (
            OSError(36, "File name too long", "/x"),
            2,
            "/x: cannot be used (File name too long); name another, or correct it",
        ),
        (
            PermissionError(13, "Permission denied", "/x"),
            1,
            "/x: cannot be used (Permission denied); name another, or correct it",
        ),
    ],
)
def test_errors_are_a_line_and_a_status(raised: BaseException, status: int, said: str) -> None:
    def work() -> int:
        raise raised

    messages: list[str] = []
    assert commands.run(work, messages.append, words="kept", arguments=[]) == status
    assert messages == [said]


def test_a_notice_is_one_line_and_other_warnings_are_as_python_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    usual = warnings.formatwarning

    def work() -> int:
        for kind in (Notice, UserWarning):
            print(warnings.formatwarning("four are left over", kind, "place.py", 7), end="")
        return 0

    assert commands.run(work, print, arguments=[]) == 0
    plain = usual("four are left over", UserWarning, "place.py", 7)
    assert capsys.readouterr().out == f"warning: four are left over\n{plain}"
    assert warnings.formatwarning is usual


def test_a_stop_keeps_what_was_done_and_handlers_are_as_before() -> None:
    before = [signal.getsignal(number) for number in commands.SIGNALS]
    kept: list[str] = []

    def work() -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
        return 0

    assert commands.run(work, kept.append, lambda: kept.append("kept"), arguments=[]) == 143
    assert kept == ["stopped by SIGTERM", "kept"]
    assert [signal.getsignal(number) for number in commands.SIGNALS] == before


def test_a_stop_that_code_swallows_still_ends_the_command() -> None:
    code = (
        "import time; from commons import commands; commands.PATIENCE = 0.5\n"
        "def work():\n"
        "    print('on', flush=True)\n"
        "    while True:\n"
        "        try: time.sleep(30)\n"
        "        except BaseException: pass\n"
        "commands.run(work, print)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdout.readline() == "on\n"
    time.sleep(0.3)  # until it sleeps
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 143 and errors == "stopped by SIGTERM\n"


def test_a_thread_that_never_ends_does_not_hold_the_command() -> None:
    code = (
        "import threading, time; from commons import commands; commands.GRACE = 0.2\n"
        "def work():\n"
        "    threading.Thread(target=time.sleep, args=(60,), name='mine').start()\n"
        "    return 3\n"
        "commands.run(work, print)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.returncode == 3 and "the thread 'mine' did not end" in done.stderr


@pytest.mark.parametrize(("word", "said"), [("a\0b", "NUL"), ("x" * 5000, "has 5000 characters")])
def test_what_can_be_no_name_is_refused(word: str, said: str) -> None:
    messages: list[str] = []
    assert commands.run(lambda: 0, messages.append, arguments=["-u", word]) == 2
    assert said in messages[0] and len(messages[0]) < 400


@pytest.mark.parametrize("text", ["0", "-1", "1e9", "", "x", "1001", "9" * 5000, "٣x", "1.5"])
def test_whole_numbers_have_limits(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = commands.Parser()
    parser.add_argument("--seeds", type=commands.whole(1, 1000))
    with pytest.raises(SystemExit) as ended:
        parser.parse_args([f"--seeds={text}"])
    assert ended.value.code == 2
    assert "expected a whole number from 1 to 1000" in (said := capsys.readouterr().err) and len(said) < 600


def test_the_next_writer_sweeps_what_a_killed_one_left(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from commons import files\n"
        f"with files.whole(Path({str(tmp_path / 'a')!r})) as file:\n"
        "    file.write(b'half'); file.flush(); print('on', flush=True); time.sleep(60)"
    )
    writer = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert writer.stdout and writer.stdout.readline() == "on\n"
    (half,) = tmp_path.glob(".*.tmp")
    os.utime(half, (time.time() - 60,) * 2)
    files.write(tmp_path / "b", "whole")
    assert half.exists()  # its writer lives
    writer.kill()
    writer.wait()
    again = f"from pathlib import Path; from commons import files; files.write(Path({str(tmp_path / 'b')!r}), 'whole')"
    subprocess.run([sys.executable, "-c", again], cwd=ROOT, check=True)  # a process sweeps a folder once
    assert {path.name for path in tmp_path.iterdir()} == {"b"}


def test_a_signal_that_was_ignored_stays_so() -> None:
    """As under nohup, and in the background of a script."""
    code = (
        "import os, signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); from commons import commands, early\n"
        "early.begin()\n"
        "def work():\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    return 4\n"
        "commands.run(work, print)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 4


def test_a_backend_of_pictures_that_no_one_has_is_no_matter() -> None:
    code = "from leaderboard.__main__ import main; assert main(['schema']) == 0; import matplotlib.pyplot"
    environment = os.environ | {"MPLBACKEND": "junk"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_signal_that_comes_in_a_callback_is_not_lost() -> None:
    """Python swallows what is raised in a weak reference's callback, as numba has many."""
    code = (
        "import os, signal, time, weakref; from commons import commands\n"
        "class Thing: pass\n"
        "def work():\n"
        "    thing = Thing()\n"
        "    kept = weakref.ref(thing, lambda _: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(0.1)))\n"
        "    del thing\n"
        "    time.sleep(30)\n"
        "    return 0\n"
        "commands.run(work, lambda said: print(said))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=15)
    assert (done.returncode, done.stdout, done.stderr) == (143, "stopped by SIGTERM\n", "")


def test_a_signal_while_a_file_is_decoded_cuts_nothing_off() -> None:
    """libsndfile takes an exception in the file that it reads for the file's end, and says nothing."""
    code = (
        "import io, os, signal, time, numpy, soundfile; from commons import commands\n"
        "class File(io.BytesIO):\n"
        "    def readinto(self, buffer):\n"
        "        if self.tell() > 1000 and not sent:\n"
        "            sent.append(True)\n"
        "            os.kill(os.getpid(), signal.SIGTERM)\n"
        "        return super().readinto(buffer)\n"
        "sent, read = [], []\n"
        "def work():\n"
        "    file = File()\n"
        "    soundfile.write(file, numpy.ones(100_000), 16000, format='WAV')\n"
        "    file.seek(0)\n"
        "    read.append(len(soundfile.read(file)[0]))\n"
        "    time.sleep(30)\n"
        "    return 0\n"
        "commands.run(work, lambda said: print(said, *read))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=15)
    assert (done.returncode, done.stdout, done.stderr) == (143, "stopped by SIGTERM 100000\n", "")


@pytest.mark.parametrize("asked", [None, "ACTIVE"])
def test_idle_threads_sleep_unless_somebody_wants_otherwise(asked: str | None) -> None:
    """Also in processes that a command starts, which inherit its environment."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_WAIT_POLICY": asked} if asked else {}
    code = "import os; from commons import early; early.begin(); print(os.environ['OMP_WAIT_POLICY'])"
    command = [sys.executable, "-c", code]
    made = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=ROOT)
    assert made.stdout.strip() == (asked or "PASSIVE")
