"""The index of files: it does not grow for ever, machines share it, and no process loses what another one wrote."""

import json
import os
import time
from pathlib import Path

import pytest

from commons import fileindex, journals
from commons.fileindex import FileIndex
from tests.commons.test_shared_disks import children


def row(path: Path, content: str, value: str) -> fileindex.Row:
    return (str(path), "all"), fileindex.state(path.stat()), content, value


def settle(folder: Path, name: str) -> None:
    """As if this process's file were that of another one, who left it long ago."""
    journals.own(folder, fileindex.SUFFIX).rename(folder / name)
    os.utime(folder / name, (0, 0))
    fileindex._folders.clear()


@pytest.fixture
def index(tmp_path, monkeypatch):
    """The index of a folder in which files of any length are joined."""
    monkeypatch.setattr(fileindex, "SMALLEST", 0)
    monkeypatch.setattr(fileindex, "_folders", {})
    return FileIndex(tmp_path / "index")


def test_the_device_is_no_part_of_a_state_and_rows_that_have_it_count(tmp_path, index):
    """On a network disk it differs by machine, mount and boot."""
    path = tmp_path / "a.wav"
    path.write_text("a")
    facts = path.stat()
    assert fileindex.state(facts) == f"{facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns} {facts.st_ino}"
    index.write([((str(path), "all"), f"{fileindex.state(facts)} {facts.st_dev + 1}", "c", "earlier")])
    assert index.known([(str(path), "all")]) == {(str(path), "all"): "earlier"}
    path.write_text("changed")
    assert index.known([(str(path), "all")]) == {}


def test_files_that_nobody_appends_to_are_joined_without_rows_that_no_longer_count(tmp_path, index):
    here, gone, staged, late = (tmp_path / name for name in ("here", "gone", "staged", "late"))
    for path in (here, gone, staged, late):
        path.write_text(path.name)
    index.write([row(here, "", "no content"), row(gone, "", "no content"), row(here, "c1", "of before")])
    here.write_text("changed")
    index.write([row(gone, "c2", "gone"), row(staged, "c3", "staged"), row(here, "c3", "now")])
    settle(index.folder, "a.jsonl")
    (index.folder / "b.jsonl").write_text("no line\n")
    os.utime(index.folder / "b.jsonl", (0, 0))
    index.write([row(late, "c4", "late")])
    gone.unlink()
    staged.unlink()
    paths = [here, gone, staged, late]
    assert list(index.known([(str(path), "all") for path in paths]).values()) == ["now", "late"]
    (kept,) = index.folder.glob("kept-*.jsonl")
    assert sorted(index.folder.glob("*.jsonl")) == sorted([kept, journals.own(index.folder, ".jsonl")])
    values = [json.loads(line)[4] for line in kept.read_text().splitlines()]
    assert sorted(values) == ["gone", "now", "of before"], "what nothing newer tells of a content stays"
    assert set(index.same([(f"c{n}", "all") for n in (1, 2, 3, 4)]).values()) == {"of before", "gone", "now", "late"}
    fileindex._folders.clear()
    index.known([])
    assert list(index.folder.glob("kept-*.jsonl")) == [kept], "it is joined again when it has grown twofold"


def test_a_process_that_had_read_the_files_finds_its_rows_after_they_were_joined(tmp_path, index):
    path = tmp_path / "a"
    path.write_text("a")
    key = (str(path), "all")
    index.write([row(path, "c", "value")])
    settle(index.folder, "a.jsonl")
    FileIndex(tmp_path / "other", [index.folder]).known([key])  # reads it, and joins nothing
    assert [file.name for file in index.folder.glob("*.jsonl")] == ["a.jsonl"]
    children(1, lambda _: (fileindex._folders.clear(), index.known([key])))
    assert [file.name[:5] for file in index.folder.glob("*.jsonl")] == ["kept-"]
    assert index.known([key]) == index.known([key]) == {key: "value"}


def test_processes_that_join_and_append_at_once_lose_no_row(tmp_path, index):
    paths = [tmp_path / f"{n}" for n in range(60)]
    for path in paths:
        path.write_text(path.name)
    keys = [(str(path), "all") for path in paths]
    for n, path in enumerate(paths[:40]):
        index.write([row(path, "", path.name)])
        settle(index.folder, f"{n}.jsonl")

    def work(number: int) -> None:
        fileindex._folders.clear()
        assert len(index.known(keys[:40])) == 40
        index.write([row(path, "", path.name) for path in paths[40 + 5 * number : 45 + 5 * number]])

    began = time.time()
    children(4, work)
    fileindex._folders.clear()
    assert index.known(keys) == {key: Path(key[0]).name for key in keys}
    assert len(list(index.folder.glob("kept-*.jsonl"))) == 1 and time.time() - began < 30
