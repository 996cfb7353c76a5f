"""Speech decoded once: skipped files are named, and stored shards are verified."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

from commons import fileindex
from commons.fileindex import FileIndex
from upstreams import UpstreamError
from upstreams.pretraining import pack as packs
from upstreams.pretraining.pack import Bounds, build, known_key

BOUNDS = Bounds(0.5, 2.0)
KEY = "f7d4f654e93726f9187be4890bbf9f7a69264c02b3381b51515392112af61e48"  # made by the code of November 2026
SHARD = "2184721725f8ef7619ec5bdfbd3603ec.pcm"


def write(path: Path, seconds: float, rate: int = 16000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.3 * np.sin(np.arange(round(seconds * rate)) * 2 * np.pi * 220 / rate)
    soundfile.write(path, wave, rate)
    return path


def test_bad_files_are_named_and_skipped_and_long_ones_cut(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write(data / "a.wav", 1.0)
    write(data / "short.flac", 0.3)
    write(data / "deep" / "long.ogg", 4.5, rate=44100)
    (data / "text.wav").write_text("no audio")
    (data / "empty.mp3").touch()
    (data / "notes.txt").touch()
    soundfile.write(data / "nan.wav", np.full(16000, np.nan, np.float32), 16000, subtype="FLOAT")
    pack = build([data], tmp_path, BOUNDS)
    assert pack.names == ("a.wav", *["deep/long.ogg"] * 3)
    assert pack.lengths.tolist() == [16000, 24000, 24000, 24000]
    why = {Path(name).name: reason for name, reason in pack.skipped.items()}
    assert sorted(why) == ["empty.mp3", "nan.wav", "short.flac", "text.wav"]
    assert "0.30 s, shorter than 0.5 s" in why["short.flac"] and "cannot be decoded" in why["text.wav"]
    assert "NaN" in why["nan.wav"]
    assert not any("BytesIO" in reason or str(data) in reason for reason in why.values())


def test_a_file_that_cannot_be_read_for_the_moment_is_not_left_out_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a network's disk that is away: its content is not to blame."""
    paths = [write(tmp_path / "data" / f"{name}.wav", 1.0) for name in "ab"]
    whole, failed = packs.decode, [OSError(5, "Input/output error")]

    def decode(segment, rate):
        if segment.path == str(paths[1]) and failed:
            raise UpstreamError(f"{segment.path}: cannot be decoded") from failed.pop()
        return whole(segment, rate)

    monkeypatch.setattr(packs, "decode", decode)
    with pytest.raises(UpstreamError, match=r"b\.wav cannot be read \(Input/output error\); run again"):
        build([tmp_path / "data"], tmp_path, BOUNDS)
    pack = build([tmp_path / "data"], tmp_path, BOUNDS)
    assert pack.names == ("a.wav", "b.wav") and not pack.skipped


def test_samples_are_those_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "data" / "a.wav", 1.5)
    samples = build([path.parent], tmp_path, BOUNDS).samples(0)
    assert samples.dtype == np.float32 and np.abs(samples - soundfile.read(path)[0]).max() < 1e-4


def test_the_key_is_that_of_earlier_versions(tmp_path: Path) -> None:
    """Runs begun by them go on: a run's folder holds the key of its speech."""
    (tmp_path / "data").mkdir()
    for number in range(3):
        samples = ((np.arange(20000 * (number + 1)) * (7 + number)) % 2000 - 1000).astype(np.int16)
        soundfile.write(tmp_path / "data" / f"{number}.wav", samples, 16000)
    (tmp_path / "data" / "bad.wav").write_text("no audio")
    pack = build([tmp_path / "data"], tmp_path, BOUNDS)
    assert (len(pack), pack.key, [path.name for path in pack.paths]) == (5, KEY, [SHARD])


def test_the_key_is_known_without_reading_audio_once_all_of_it_is_decoded(tmp_path: Path) -> None:
    path = write(tmp_path / "data" / "a.wav", 1.5)
    (path.parent / "bad.wav").write_text("no audio")
    assert known_key([path.parent], tmp_path, BOUNDS) is None
    pack = build([path.parent], tmp_path, BOUNDS)
    pack.paths[0].unlink()  # the samples say no more
    assert known_key([path.parent], tmp_path, BOUNDS) == pack.key
    assert known_key([path.parent], tmp_path, Bounds(0.5, 1.0)) is None
    write(path, 1.4)
    assert known_key([path.parent], tmp_path, BOUNDS) is None
    with pytest.raises(UpstreamError, match="no such folder"):
        known_key([tmp_path / "none"], tmp_path, BOUNDS)


def shards(cache: Path) -> dict[str, tuple[int, int]]:
    """Name of each shard -> what changes when it is written again."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (cache / "packs").glob("*.pcm")}


def test_nothing_is_decoded_twice_and_a_stopped_pack_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    for number in range(6):
        write(data / f"{number}.wav", 0.6 + 0.1 * number)
    monkeypatch.setattr(packs, "SHARD_FILES", 1)  # every file is a shard

    def stop(done: float, total: float, note: str = "") -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build([data], tmp_path, BOUNDS, progress=stop)
    stopped = shards(tmp_path)
    pack = build([data], tmp_path, BOUNDS)
    whole = shards(tmp_path)
    assert len(stopped) == 4 and len(whole) == len(pack) == 6 and stopped.items() <= whole.items()
    assert build([data], tmp_path, BOUNDS).key == pack.key and shards(tmp_path) == whole
    write(data / "0.wav", 1.05)
    changed = build([data], tmp_path, BOUNDS)
    assert len(shards(tmp_path)) == 7 and whole.items() <= shards(tmp_path).items()
    assert changed.key != pack.key and changed.lengths[0] == 16800


def test_a_new_file_touches_no_other_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "SHARD_FILES", 4)
    for number in range(40):
        write(tmp_path / "data" / f"{number:02}.wav", 0.6 + 0.01 * number)
    before = build([tmp_path / "data"], tmp_path, BOUNDS)
    there = shards(tmp_path)
    write(tmp_path / "data" / "00a.wav", 1.5)
    after = build([tmp_path / "data"], tmp_path, BOUNDS)
    assert len(after) == 41 and len(before.shards) > 4 and there.items() <= shards(tmp_path).items()
    assert len(set(before.paths) - set(after.paths)) <= 1


def test_a_pointer_of_git_lfs_is_named_as_such(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.wav", 1.0)
    pointer = tmp_path / "data" / "b.wav"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    (why,) = build([tmp_path / "data"], tmp_path, BOUNDS).skipped.values()
    assert why == "is a git-lfs pointer, not audio; run `git lfs pull` in the clone that it lies in"
    write(pointer, 1.0)
    assert len(build([tmp_path / "data"], tmp_path, BOUNDS)) == 2


def test_files_of_one_name_size_and_time_are_told_apart(tmp_path: Path) -> None:
    for folder, hertz in (("A", 220), ("B", 330)):
        (tmp_path / folder).mkdir()
        wave = 0.3 * np.sin(np.arange(16000) * 2 * np.pi * hertz / 16000)
        soundfile.write(tmp_path / folder / "x.wav", wave, 16000)
        os.utime(tmp_path / folder / "x.wav", ns=(10**18, 10**18))
    a, b = (build([tmp_path / folder], tmp_path, BOUNDS) for folder in "AB")
    assert a.key != b.key and np.abs(a.samples(0) - b.samples(0)).max() > 0.1
    # Nor does a file that is overwritten in place, its time put back, stay what it was.
    x = tmp_path / "A" / "x.wav"
    x.write_bytes((tmp_path / "B" / "x.wav").read_bytes())
    os.utime(x, ns=(10**18, 10**18))
    assert build([tmp_path / "A"], tmp_path, BOUNDS).key == b.key


class Pool(ThreadPoolExecutor):
    """Notes what it is given, and may be stopped at a file."""

    def __init__(self, stop_at: str = "") -> None:
        super().__init__(2)
        self.stop_at, self.given = stop_at, list[str]()

    def map(self, work, paths: Sequence[Path], **_: object) -> Iterator:  # type: ignore[override]
        for path in paths:
            if path.name == self.stop_at:
                raise KeyboardInterrupt
            self.given.append(path.name)
            yield work(path)


def test_hashing_that_is_stopped_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "AT_ONCE", 2)
    paths = [write(tmp_path / f"{number}.wav", 0.1) for number in range(5)]
    with pytest.raises(KeyboardInterrupt):
        packs.hashes(paths, tmp_path, Pool(stop_at="3.wav"))
    pool = Pool()
    known, unread = packs.hashes([*paths, tmp_path / "none.wav"], tmp_path, pool)
    assert pool.given == ["2.wav", "3.wav", "4.wav", "none.wav"]
    assert list(known) == paths and len(set(known.values())) == 1
    assert unread == {tmp_path / "none.wav": "cannot be read (No such file or directory)"}
    again = Pool()
    assert packs.hashes(paths, tmp_path, again)[0] == known and not again.given


def test_a_damaged_index_is_made_again(tmp_path: Path) -> None:
    path = write(tmp_path / "data" / "a.wav", 1.0)
    key = build([path.parent], tmp_path, BOUNDS).key
    for file in (tmp_path / "packs" / packs.HASHES).iterdir():
        file.write_text(100 * "no index ")
    (tmp_path / "packs" / f"{packs.HASHES}.sqlite").write_text(100 * "no index ")  # of an earlier version
    with pytest.warns(UserWarning, match="damaged index"):
        assert build([path.parent], tmp_path, BOUNDS).key == key


def test_an_index_that_cannot_be_used_is_warned_of_and_done_without(tmp_path: Path) -> None:
    path = write(tmp_path / "data" / "a.wav", 1.0)
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / packs.HASHES).write_text("a file in the place of the index's folder")
    with pytest.warns(UserWarning, match="cannot use the cache"):
        assert len(build([path.parent], tmp_path, BOUNDS)) == 1


def test_links_are_followed_and_no_file_is_taken_twice(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write(data / "deep" / "a.wav", 1.0)
    write(tmp_path / "elsewhere" / "b.wav", 1.0)
    (data / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (data / "deep" / "round").symlink_to(data, target_is_directory=True)
    assert build([data], tmp_path, BOUNDS).names == ("deep/a.wav", "link/b.wav")
    assert len(build([data, data / "deep", tmp_path / "elsewhere"], tmp_path, BOUNDS)) == 2


def test_a_damaged_shard_is_made_again(tmp_path: Path) -> None:
    path = write(tmp_path / "data" / "a.wav", 1.0)
    before = build([path.parent], tmp_path, BOUNDS)
    whole, (shard,) = before.samples(0), (tmp_path / "packs").glob("*.pcm")
    content = bytearray(shard.read_bytes())
    content[100] ^= 255
    shard.write_bytes(content)
    after = build([path.parent], tmp_path, BOUNDS)
    assert (after.samples(0) == whole).all() and after.key == before.key
    shard.with_suffix(".json").write_text("{")
    assert build([path.parent], tmp_path, BOUNDS).key == before.key


def test_folders_without_audio_and_full_disks_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UpstreamError, match="no such folder"):
        build([tmp_path / "none"], tmp_path, BOUNDS)
    with pytest.raises(UpstreamError, match="holds no audio"):
        build([tmp_path / "empty"], tmp_path, BOUNDS)
    write(tmp_path / "data" / "short.wav", 0.2)
    with pytest.raises(UpstreamError, match=r"no file under .* can be used .*shorter than"):
        build([tmp_path / "data"], tmp_path, BOUNDS)
    write(tmp_path / "data" / "a.wav", 1.0)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UpstreamError, match=r"No space left.*shards that are done are kept"):
        build([tmp_path / "data"], tmp_path, BOUNDS)
    assert not list((tmp_path / "packs").glob(".*"))


def test_a_flipped_bit_in_what_is_said_of_a_shard_changes_no_speech(tmp_path: Path) -> None:
    """Every bit of the JSON file: the pack is the same, made anew where need be."""
    write(tmp_path / "data" / "a.wav", 1.0)
    write(tmp_path / "data" / "b.wav", 2.5)
    write(tmp_path / "data" / "c.wav", 0.1)
    before = build([tmp_path / "data"], tmp_path, BOUNDS)
    (about,) = (tmp_path / "packs").glob("*.json")
    whole = about.read_bytes()
    for place in range(len(whole)):
        content = bytearray(whole)
        content[place] ^= 1 << place % 7
        about.write_bytes(content)
        after = build([tmp_path / "data"], tmp_path, BOUNDS)
        assert after.key == before.key and after.skipped == before.skipped, whole[place - 10 : place + 10]
        assert (after.start == before.start).all() and (after.lengths == before.lengths).all()


def test_a_shard_of_an_earlier_version_without_a_hash_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.wav", 1.0)
    build([tmp_path / "data"], tmp_path, BOUNDS)
    before = shards(tmp_path)
    (about,) = (tmp_path / "packs").glob("*.json")
    content = json.loads(about.read_text())
    del content["own"]
    about.write_text(json.dumps(content))
    build([tmp_path / "data"], tmp_path, BOUNDS)
    assert shards(tmp_path) == before


def test_a_wrong_hash_in_the_index_is_told_once_and_mended(tmp_path: Path) -> None:
    """As after a file was replaced within the clock's step of a file system."""
    path = write(tmp_path / "data" / "a.wav", 1.0)
    (tmp_path / "packs").mkdir()
    index = FileIndex(tmp_path / "packs" / packs.HASHES)
    index.write([((os.path.realpath(path), packs.WHOLE), fileindex.state(path.stat()), "", "0" * 64)])
    with pytest.raises(UpstreamError, match=r"a\.wav changed while it was read"):
        build([tmp_path / "data"], tmp_path, BOUNDS)
    assert len(build([tmp_path / "data"], tmp_path, BOUNDS)) == 1
