"""Journals and claims: processes on one disk neither lose a line nor do the same work at once."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from commons import claims, files, journals


def children(count: int, work) -> None:
    """Run `work(number)` in forked processes at once; fails where one of them does."""
    own = []
    for number in range(count):
        if not (child := os.fork()):
            status = 1
            try:
                work(number)
                status = 0
            finally:
                os._exit(status)
        own.append(child)
    assert [os.waitpid(child, 0)[1] for child in own] == [0] * count


def test_every_line_of_every_process_is_there(tmp_path: Path) -> None:
    def work(number: int) -> None:
        for line in range(50):
            journals.append(tmp_path / "log", f"{number} {line}\n", ".txt")

    children(8, work)
    (tmp_path / "older").write_text("first\nhalf")
    lines = journals.lines(tmp_path / "log", ".txt", tmp_path / "older")
    assert lines[:2] == ["first", "half"]
    assert sorted(lines[2:]) == sorted(f"{number} {line}" for number in range(8) for line in range(50))
    assert len(journals.files(tmp_path / "log", ".txt")) == 8


def test_a_tail_gives_each_line_once_and_whole(tmp_path: Path) -> None:
    tail, other = journals.Tail(tmp_path, ".txt"), tmp_path / "other.txt"
    assert tail.fresh() == []
    journals.append(tmp_path, "a\n", ".txt")
    other.write_bytes("é\nha".encode())
    assert sorted(tail.fresh()) == ["a", "é"] and tail.fresh() == []
    with other.open("a") as file:
        file.write("lf\nc")
    journals.append(tmp_path, "b\n", ".txt")
    assert sorted(tail.fresh()) == ["b", "half"] and tail.fresh() == []


def test_work_that_is_claimed_is_done_by_one_at_a_time_and_other_work_meanwhile(tmp_path: Path) -> None:
    def work(number: int) -> None:
        with claims.claimed(tmp_path / "claims", "one cell"):
            os.mkdir(tmp_path / "busy")  # raises where another process is in here
            for _ in range(200):
                journals.append(tmp_path / "log", "x\n", ".txt")
            os.rmdir(tmp_path / "busy")

    children(6, work)
    with claims.claimed(tmp_path / "claims", "one cell"), claims.claimed(tmp_path / "claims", "one cell"):

        def look(number: int) -> None:
            assert not claims.is_free(tmp_path / "claims", "one cell")
            assert claims.is_free(tmp_path / "claims", "another")

        children(1, look)
        assert claims.is_free(tmp_path / "claims", "one cell"), "its own claim excludes nobody"


def test_a_claim_ends_with_its_process(tmp_path: Path) -> None:
    def die(number: int) -> None:
        with claims.claimed(tmp_path / "claims", "one cell"):
            os._exit(0)  # as a killed process: nothing is cleaned up

    children(1, die)
    assert claims.is_free(tmp_path / "claims", "one cell")


def as_on_nfs(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exclusive lock needs a file that is open for writing, a shared one needs reading."""
    lock = fcntl.flock
    lacks = {fcntl.LOCK_EX: os.O_RDONLY, fcntl.LOCK_SH: os.O_WRONLY}

    def picky(file, operation: int) -> None:
        if fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == lacks[operation & ~fcntl.LOCK_NB]:
            raise OSError(errno.EBADF, "Bad file descriptor")
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", picky)


@pytest.mark.parametrize("disk", [lambda monkeypatch: None, as_on_nfs])
def test_an_announcement_shows_who_is_alive(disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk(monkeypatch)

    def die(number: int) -> None:
        with files.announced(tmp_path / "dead", "gone"):
            os._exit(0)

    children(1, die)
    with files.announced(tmp_path / "alive", "here"):
        assert files.abandoned(tmp_path / "dead") and not files.abandoned(tmp_path / "alive")
    assert not (tmp_path / "alive").exists()


def test_a_locked_folder_is_that_of_one_process_where_folders_themselves_have_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As between two machines on NFS."""
    monkeypatch.setattr(fcntl, "flock", lambda file, operation: None)

    def work(number: int) -> None:
        for _ in range(5):
            with files.locked(tmp_path / "results"):
                os.mkdir(tmp_path / "busy")  # raises where another process is in here
                os.rmdir(tmp_path / "busy")

    children(4, work)


def test_a_locked_folder_is_that_of_one_thread(tmp_path: Path) -> None:
    inside = threading.Event()

    def enter() -> None:
        with files.locked(tmp_path):
            inside.set()

    with ThreadPoolExecutor(1) as pool:
        with files.locked(tmp_path):
            pool.submit(enter)
            assert not inside.wait(0.3)
            with files.locked(tmp_path / "another"):
                pass
        assert inside.wait(10)
