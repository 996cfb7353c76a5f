"""The command that keeps the store in bounds."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

import upstreams
from tests.upstreams.sounds import ENERGY, extract, noise, plugin, speak
from upstreams import UpstreamError
from upstreams.__main__ import main
from upstreams.extraction import cache, store

DAY = 24 * 3600


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """Two upstreams, three chunks each."""
    utterances = speak(tmp_path, [noise(0.1, i) for i in range(6)])
    for name in ("fbank", plugin(tmp_path, ENERGY)):
        extract(name, utterances, {"pooled"}, tmp_path / "cache", jobs=1, chunk=2)
    return tmp_path / "cache"


def chunks(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))


def age(path: Path, days: float) -> None:
    os.utime(path, (time.time() - days * DAY,) * 2)


def test_the_list_tells_what_is_there(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = {Path(folder.upstream).name: folder for folder in cache.folders(filled)}
    assert set(held) == {"fbank", "energy.py:Energy"}
    assert held["fbank"].utterances == 6
    assert held["fbank"].size == sum(path.stat().st_size for path in chunks(held["fbank"].path))
    for path in chunks(held["fbank"].path):
        path.unlink()
    assert main(["cache", "list", "--cache", str(filled)]) == 0
    heading, *rows, _ = capsys.readouterr().out.splitlines()
    assert all(row[heading.index("kept") :].startswith("pooled  ") for row in rows)  # however long a name is
    assert [row.split()[0] for row in rows if row.endswith("never")] == ["fbank"]
    assert main(["cache", "list", "--cache", str(filled / "none")]) == 0


def test_old_means_not_used_lately(filled: Path, tmp_path: Path) -> None:
    for path in chunks(filled):
        age(path, 40)
    utterances = speak(tmp_path, [noise(0.1, i) for i in range(6)])
    extract("fbank", utterances, {"pooled"}, filled, jobs=1)  # a use, though nothing is written
    assert cache.prune(filled, older_than=30, dry_run=True).files == 3
    assert len(chunks(filled)) == 6
    assert cache.prune(filled, older_than=30).files == 3
    assert [folder.upstream for folder in cache.folders(filled)] == ["fbank"]
    assert extract("fbank", utterances, {"pooled"}, filled, jobs=1).counts["computed"] == 0


def test_an_extraction_that_has_just_begun_keeps_its_folder(tmp_path: Path) -> None:
    several = [store.Store(tmp_path, store.Kept(name, 64 * "f", "fp32", "pooled", 1, 2)) for name in ("now", "before")]
    for one in several:
        one.prepare()
    for path in (several[1].folder / "about.json", several[1].folder):
        age(path, 2)
    cache.prune(tmp_path, older_than=30)
    assert [folder.upstream for folder in cache.folders(tmp_path)] == ["now"]


def test_a_folder_that_a_prune_removes_meanwhile_is_made_again(tmp_path: Path) -> None:
    own = store.Store(tmp_path, store.Kept("fbank", 64 * "f", "fp32", "pooled", 1, 2))
    own.prepare()
    about = (own.folder / "about.json").read_text()
    shutil.rmtree(own.folder)
    rows = [store.Row(32 * "a", False, False)]
    store.write_chunk(own.folder, own.kept, rows, {"pooled": np.ones((2, 1, 1, 2), np.float32)})
    assert (own.folder / "about.json").read_text() == about and set(own.find([32 * "a"])) == {32 * "a"}


def test_a_size_keeps_the_most_recently_used(filled: Path) -> None:
    files = chunks(filled)
    for days, path in enumerate(files):
        age(path, days)
    limit = sum(path.stat().st_size for path in files[:2])
    removal = cache.prune(filled, max_size=limit)
    assert chunks(filled) == files[:2] and (removal.files, removal.left) == (4, limit)


def test_one_upstream_can_go_alone(filled: Path) -> None:
    cache.prune(filled, upstream="fbank")
    assert [Path(folder.upstream).name for folder in cache.folders(filled)] == ["energy.py:Energy"]
    with pytest.raises(UpstreamError, match=r"holds no features of 'fbank'; it holds .*energy"):
        cache.prune(filled, upstream="fbank")


def test_a_name_in_records_names_an_upstream_too(filled: Path) -> None:
    name = next(folder.upstream for folder in cache.folders(filled) if folder.upstream != "fbank")
    record_name = upstreams.resolve(name).record_name
    assert record_name != name
    cache.prune(filled, upstream=record_name)
    assert [folder.upstream for folder in cache.folders(filled)] == ["fbank"]


@pytest.mark.parametrize("content", [None, b"{", b"[]", b"\xff", b"{}"])
def test_a_folder_without_a_readable_description_is_shown_and_can_go(filled: Path, content: bytes | None) -> None:
    folder = next(folder.path for folder in cache.folders(filled) if folder.upstream == "fbank")
    (folder / "about.json").unlink()
    if content is not None:
        (folder / "about.json").write_bytes(content)
    held = {Path(folder.upstream).name: folder for folder in cache.folders(filled)}
    assert set(held) == {"unknown", "energy.py:Energy"} and held["unknown"].utterances == 6
    cache.prune(filled, upstream="unknown")
    assert not folder.exists() and len(chunks(filled)) == 3


def test_a_damaged_description_is_written_again(filled: Path, tmp_path: Path) -> None:
    about = next(folder.path for folder in cache.folders(filled) if folder.upstream == "fbank") / "about.json"
    before = about.read_text()
    about.write_text(before[:20])
    extract("fbank", speak(tmp_path, [noise(0.1, 9)]), {"pooled"}, filled, jobs=1)
    assert about.read_text() == before


def test_what_is_not_ours_is_left_alone(filled: Path) -> None:
    for folder in ("features/mine", "other"):
        (filled / folder).mkdir()
        (filled / folder / "notes.safetensors").touch()
    cache.prune(filled, max_size=0)
    assert [path.name for path in chunks(filled)] == ["notes.safetensors"] * 2


def test_a_prune_without_a_bound_is_a_wrong_request(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["cache", "prune"], ["cache", "prune", "--max-size", "-1"], ["cache"], ["nothing"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
    assert "expected a number of at least 0, not '-1'" in capsys.readouterr().err
    assert main(["cache", "prune", "--upstream", "none", "--cache", str(filled)]) == 1
    assert "error: the cache" in capsys.readouterr().err
    assert main(["check", "opensmlie"]) == 2


def test_the_command_lists_every_upstream(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    assert all(entry.name in shown for entry in upstreams.describe())


@pytest.mark.parametrize("action", [["list"], ["prune", "--max-size", "1"]])
def test_a_file_is_no_cache(tmp_path: Path, action: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["cache", *action, "--cache", str(tmp_path / "file")]) == 2
    assert "a file, or a path in one; expected the folder" in capsys.readouterr().err
