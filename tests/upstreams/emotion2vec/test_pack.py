"""Speech decoded once: what is skipped and said, and that what is there is whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from upstreams import UpstreamError
from upstreams.emotion2vec import pack as packs
from upstreams.emotion2vec.pack import Bounds, build

BOUNDS = Bounds(0.5, 2.0)


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


def test_samples_are_those_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "data" / "a.wav", 1.5)
    found = build([path.parent], tmp_path, BOUNDS).samples(0)
    assert found.dtype == np.float32 and np.abs(found - soundfile.read(path)[0]).max() < 1e-4


def test_nothing_is_decoded_twice_and_a_stopped_pack_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    for number in range(6):
        write(data / f"{number}.wav", 0.6 + 0.1 * number)
    monkeypatch.setattr(packs, "SHARD_FILES", 2)
    heard, hear = [], packs._hear

    def count(path: Path, bounds: Bounds):
        heard.append(path.name)
        if path.name == "4.wav" and len(heard) < 6:
            raise KeyboardInterrupt
        return hear(path, bounds)

    monkeypatch.setattr(packs, "_hear", count)
    with pytest.raises(KeyboardInterrupt):
        build([data], tmp_path, BOUNDS)
    heard[:] = ["before"] * 6
    pack = build([data], tmp_path, BOUNDS)
    assert sorted(heard[6:]) == ["4.wav", "5.wav"] and len(pack) == 6
    heard.clear()
    assert build([data], tmp_path, BOUNDS).key == pack.key and heard == []
    write(data / "0.wav", 1.0)
    changed = build([data], tmp_path, BOUNDS)
    assert sorted(heard) == ["0.wav", "1.wav"] and changed.key != pack.key and changed.lengths[0] == 16000


def test_a_damaged_shard_is_made_again(tmp_path: Path) -> None:
    path = write(tmp_path / "data" / "a.wav", 1.0)
    before = build([path.parent], tmp_path, BOUNDS)
    whole, (shard,) = before.samples(0), (tmp_path / "packs").glob("*.pcm")
    content = bytearray(shard.read_bytes())
    content[100] ^= 255
    shard.write_bytes(content)
    after = build([path.parent], tmp_path, BOUNDS)
    assert (after.samples(0) == whole).all() and after.key == before.key
    next((tmp_path / "packs").glob("*.json")).write_text("{")
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
    assert not list((tmp_path / "packs").glob(".tmp*"))
