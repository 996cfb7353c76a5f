"""The command `emorep`, in a folder whose files are called as our rooms are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cells import console

ROOT = Path(__file__).resolve().parents[2]


def emorep(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run it as its entry point does: without the working folder on the path."""
    code = "import sys; from cells.console import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_messages_name_the_command_that_was_given(tmp_path: Path) -> None:
    done = emorep(tmp_path, "run", "-u", "fbnk", "-t", "demo")
    assert done.returncode == 2 and done.stderr.startswith("emorep run: "), done.stderr
    assert emorep(tmp_path, "tasks", "--help").stdout.startswith("usage: emorep tasks")


@pytest.mark.parametrize("command", console.COMMANDS)
def test_every_command_has_help(command: str, tmp_path: Path) -> None:
    done = emorep(tmp_path, command, "--help")
    assert done.returncode == 0 and "usage" in done.stdout


def test_a_users_files_called_as_our_rooms_are_not_run(tmp_path: Path) -> None:
    for room in ("tasks", "upstreams", "downstreams", "leaderboard", "commons", "cells"):
        (tmp_path / f"{room}.py").write_text("raise SystemExit('the user\\'s own file was run')")
    done = emorep(tmp_path, "tasks", "list")
    assert done.returncode == 0 and "emodb" in done.stdout, done.stderr


def test_an_unknown_command_is_status_2(tmp_path: Path) -> None:
    done = emorep(tmp_path, "taks")
    assert done.returncode == 2 and "there is no command 'taks'" in done.stderr
