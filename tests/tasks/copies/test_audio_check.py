"""Audio is read once, in flat memory, and what cannot be used is named."""

import errno
import json
import os
import shutil
import sqlite3
import struct
import tracemalloc
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from commons import fileindex, journals
from commons.errors import EmorepError
from tasks.copies import audio_check
from tests.tasks.layouts import write_audio
from upstreams.inputs import audio


def table(*paths: Path, **columns) -> pd.DataFrame:
    ids = pd.Index([path.stem for path in paths], name="id")
    return pd.DataFrame({"path": [str(path) for path in paths], **columns}, index=ids)


def write_bad(folder: Path) -> dict[str, Path]:
    """One file of each way to be unusable."""
    files = {name: folder / f"{name}.wav" for name in ("empty", "text", "nan", "zero", "inf", "header")}
    files["empty"].write_bytes(b"")
    files["text"].write_text("this is not audio " * 100)
    files["header"].write_bytes(write_audio(folder / "whole.wav").read_bytes()[:30])
    soundfile.write(files["zero"], np.zeros(0), 16000)
    for name, value in (("nan", np.nan), ("inf", np.inf)):
        samples = np.zeros(16000, dtype=np.float32)
        samples[12345] = value
        soundfile.write(files[name], samples, 16000, subtype="FLOAT")
    for suffix in (".wav", ".flac", ".ogg", ".opus"):
        files[f"cut{suffix}"] = write_audio(folder / f"cut_{suffix[1:]}{suffix}", 3.0)
        whole = files[f"cut{suffix}"].read_bytes()
        files[f"cut{suffix}"].write_bytes(whole[: len(whole) * 2 // 3])
    files["missing"] = folder / "missing.wav"
    return files


REASONS = {
    "empty": "0 bytes",
    "text": "decoded",
    "nan": "not numbers",
    "zero": "no samples",
    "inf": "not numbers",
    "cut.wav": "truncated",
    "cut.ogg": "truncated",
    "cut.opus": "truncated",
    "missing": "No such file",
}


def test_each_way_to_be_unusable_is_found_and_told(tmp_path):
    files = write_bad(tmp_path)
    good = write_audio(tmp_path / "good.wav")
    contents, bad = audio_check.examine(table(good, *files.values()), tmp_path / "cache", jobs=2)
    assert list(contents.index) == ["good"]
    assert set(bad) == {path.stem for path in files.values()}
    for name, words in REASONS.items():
        assert words in bad[files[name].stem], (name, bad[files[name].stem])


@pytest.mark.parametrize("at", [0.999, 0.5, 0.02])
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".opus"])
def test_audio_cut_anywhere_is_truncated(tmp_path, suffix, at):
    path = write_audio(tmp_path / f"x{suffix}", 3.0)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * at)])
    with pytest.raises(audio_check.BadAudio):
        audio_check.read(path)


@pytest.mark.parametrize("suffix", [".ogg", ".opus"])
def test_ogg_cut_between_two_pages_is_truncated(tmp_path, suffix):
    path = write_audio(tmp_path / f"x{suffix}", 3.0)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rindex(b"OggS")])  # all that is left decodes without a complaint
    with pytest.raises(audio_check.BadAudio, match="last Ogg page is missing"):
        audio_check.read(path)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".opus"])
@pytest.mark.parametrize("seconds", [0.02, 3.0])
def test_short_audio_is_fine_in_every_format(tmp_path, suffix, seconds):
    result = audio_check.read(write_audio(tmp_path / f"x{suffix}", seconds))
    assert result.duration == pytest.approx(seconds, abs=1e-4) and result.rate == 16000


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("container", ["AIFF", "W64", "RF64", "AU"])
def test_other_containers_named_wav_are_told_when_cut(tmp_path, container, subtype):
    path = tmp_path / "x.wav"
    soundfile.write(path, np.full(1001, 0.1), 16000, format=container, subtype=subtype)
    assert audio_check.read(path).duration == 1001 / 16000
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(audio_check.BadAudio, match="truncated"):
        audio_check.read(path)


def test_wav_of_unknown_length_and_with_other_chunks_is_fine(tmp_path):
    path = write_audio(tmp_path / "x.wav", 0.1)
    whole = bytearray(path.read_bytes())
    at = whole.index(b"data")
    whole[at:at] = b"note" + struct.pack("<I", 3) + b"abc\0"
    at = whole.index(b"data")
    whole[at + 4 : at + 8] = b"\xff" * 4
    path.write_bytes(whole)
    assert audio_check.read(path).duration == pytest.approx(0.1)


def test_twenty_minutes_are_read_in_flat_memory(tmp_path):
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 16000, 1, "PCM_16") as long:
        for minute in range(20):
            long.write(np.full(60 * 16000, minute / 100))
    tracemalloc.start()
    result = audio_check.read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.duration == 1200
    assert peak < 8e6  # decoded at once it takes 77 MB


def test_equal_samples_have_one_hash_whatever_the_file(tmp_path):
    samples = np.random.default_rng(0).integers(-9999, 9999, 1600).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="PCM_16")
    soundfile.write(tmp_path / "b.flac", samples, 16000, subtype="PCM_16")
    soundfile.write(tmp_path / "c.wav", samples, 8000, subtype="PCM_16")
    a, b, c = (audio_check.read(tmp_path / name) for name in ("a.wav", "b.flac", "c.wav"))
    assert a.samples_sha256 == b.samples_sha256 != c.samples_sha256
    assert a.sha256 != b.sha256


def test_a_segment_has_its_own_samples_and_duration(tmp_path):
    path = write_audio(tmp_path / "x.wav", 1.0)
    samples, rate = soundfile.read(path, dtype="int16")
    soundfile.write(tmp_path / "part.wav", samples[4000:12000], rate)
    rows = table(path, path, tmp_path / "part.wav", start=[0.25, np.nan, np.nan], end=[0.75, np.nan, np.nan])
    rows.index = pd.Index(["segment", "all", "part"], name="id")
    for _ in range(2):  # the second time from the index
        result, bad = audio_check.examine(rows, tmp_path / "cache")
        assert not bad and result.duration.tolist() == [0.5, 1.0, 0.5]
        assert result.samples_sha256["segment"] == result.samples_sha256["part"] != result.samples_sha256["all"]
    with pytest.raises(audio_check.BadAudio, match="segment"):
        audio_check.read(path, 1.5, 2.0)


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ({"end": 1.06}, "lasts 1.00 s, its segment is from 0.0 to 1.06 s"),
        ({"start": 0.5, "end": 1.5}, "lasts 1.00 s, its segment is from 0.5 to 1.5 s"),
        ({"start": -0.1, "end": 0.5}, "segment is from -0.1 to 0.5 s"),
        ({"start": 1.0}, "segment is from 1.0 to inf s"),
        ({"channel": 1}, "has no channel 1 (from 0); it has 1"),
        ({"channel": -1}, "has no channel -1 (from 0); it has 1"),
        ({"start": 0.2, "end": 1.04}, ""),
        ({"channel": 0}, ""),
    ],
)
def test_what_is_usable_can_be_extracted_and_nothing_else(tmp_path, place, why):
    """The rows that the check takes are those that decoding takes."""
    rows = table(write_audio(tmp_path / "x.wav", 1.0), **{name: [value] for name, value in place.items()})
    result, bad = audio_check.examine(rows, tmp_path / "cache")
    assert why in bad["x"] if why else not bad
    taken = rows.assign(sha256=audio_check.read(rows["path"].iloc[0]).sha256, duration=1.0)
    (segment,) = audio.segments(taken)
    if why:
        with pytest.raises(EmorepError):
            audio.decode(segment, 16000)
    else:
        assert len(audio.decode(segment, 16000)) == round(result.duration["x"] * 16000)


def test_segments_in_an_index_of_before_are_checked_by_todays_rule(tmp_path):
    path = write_audio(tmp_path / "x.wav", 1.0)
    content = asdict(audio_check.read(path))
    index = fileindex.FileIndex(tmp_path / "cache" / audio_check.INDEX)
    index.write([((str(path), "0.0-1.5"), fileindex.state(os.stat(path)), content["sha256"], content)])
    rows = table(path, path, end=[1.5, 0.5])
    rows.index = pd.Index(["late", "early"], name="id")
    result, bad = audio_check.examine(rows, tmp_path / "cache")
    assert list(bad) == ["late"] and result.duration.to_dict() == {"early": 0.5}


def test_a_file_is_hashed_once_whatever_the_number_of_its_segments(tmp_path, monkeypatch):
    paths = [write_audio(tmp_path / f"{name}.wav", 1.0) for name in "ab"]
    rows = table(*[path for path in paths for _ in range(5)], start=[i / 5 for i in range(5)] * 2)
    rows.index = pd.Index([f"{i}" for i in range(10)], name="id")
    hashed, of_file = [], audio_check.hashing.of_file
    monkeypatch.setattr(audio_check.hashing, "of_file", lambda path: hashed.append(path) or of_file(path))
    monkeypatch.setattr(audio_check, "WINDOW", 3)
    result, bad = audio_check.examine(rows, tmp_path / "cache", jobs=2)
    assert sorted(hashed) == paths and len(result) == 10 and not bad
    assert set(result["sha256"]) == {of_file(path) for path in paths}


def test_a_file_that_changes_between_hash_and_samples_is_hashed_anew(tmp_path, monkeypatch):
    path, of_file = write_audio(tmp_path / "x.wav", 1.0), audio_check.hashing.of_file

    def replaced_after(file):
        made = of_file(file)
        monkeypatch.setattr(audio_check.hashing, "of_file", of_file)
        write_audio(tmp_path / "other.wav", 2.0).replace(path)
        return made

    monkeypatch.setattr(audio_check.hashing, "of_file", replaced_after)
    result, _ = audio_check.examine(table(path), tmp_path / "cache")
    assert (result.sha256["x"], result.duration["x"]) == (of_file(path), 2.0)
    assert audio_check.examine(table(path), tmp_path / "cache")[0].equals(result)


def test_a_channel_has_its_own_samples(tmp_path):
    """Two voices of one call are two recordings; a channel is the same as a file of it alone."""
    path = write_audio(tmp_path / "call.wav", 1.0, channels=2, subtype="PCM_16")
    samples, rate = soundfile.read(path, dtype="int16")
    soundfile.write(tmp_path / "second.wav", samples[:, 1], rate)
    rows = table(path, path, path, tmp_path / "second.wav", channel=[0, 1, np.nan, np.nan])
    rows.index = pd.Index(["agent", "client", "both", "second"], name="id")
    for _ in range(2):  # the second time from the index
        result, _ = audio_check.examine(rows, tmp_path / "cache")
        assert result.samples_sha256["client"] == result.samples_sha256["second"]
        assert result.samples_sha256.nunique() == 3 and result.channels.tolist() == [2, 2, 2, 1]


def test_nothing_is_read_twice_unless_it_changed(tmp_path, monkeypatch):
    paths = [write_audio(tmp_path / f"{i}.wav") for i in range(5)]
    first, _ = audio_check.examine(table(*paths), tmp_path / "cache")
    opened = []
    true_read = audio_check.read
    monkeypatch.setattr(audio_check, "read", lambda path, *span: opened.append(path) or true_read(path, *span))
    again, _ = audio_check.examine(table(*paths), tmp_path / "cache")
    assert not opened
    pd.testing.assert_frame_equal(first, again)
    data = bytearray(paths[2].read_bytes())
    data[-1] ^= 1
    state = os.stat(paths[2])
    paths[2].write_bytes(data)
    os.utime(paths[2], ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    changed, _ = audio_check.examine(table(*paths), tmp_path / "cache")
    assert opened == [str(paths[2])]
    assert (changed.sha256 != first.sha256).tolist() == [False, False, True, False, False]


def test_progress_counts_files_to_the_end(tmp_path):
    seen = []
    paths = [write_audio(tmp_path / f"{i}.wav") for i in range(3)]
    audio_check.examine(table(*paths), tmp_path / "cache", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_an_interrupted_reading_keeps_what_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr(audio_check, "WRITE", 2)
    paths = [write_audio(tmp_path / f"{i}.wav") for i in range(5)]

    def stop(done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audio_check.examine(table(*paths), tmp_path / "cache", progress=stop)
    seen = []
    audio_check.examine(table(*paths), tmp_path / "cache", progress=lambda done, total: seen.append(total))
    assert seen == [1]


def count_reads(paths, cache, **how):
    """How many files were read, and how many utterances are usable."""
    seen = []
    usable = audio_check.examine(table(*paths), cache, progress=lambda done, total: seen.append(total), **how)[0]
    return len(seen), len(usable)


def test_damaged_lines_of_the_index_cost_their_own_files_alone(tmp_path):
    paths = [write_audio(tmp_path / f"{i}.wav", 0.01) for i in range(4)]
    first, _ = audio_check.examine(table(*paths), tmp_path / "cache")
    (journal,) = (tmp_path / "cache" / audio_check.INDEX).iterdir()
    lines = journal.read_text().splitlines(keepends=True)
    changed = lines[1].replace('"rate": 16000', '"rate": 16001')
    assert changed != lines[1]
    other = journal.with_name("other.jsonl")  # this process has read the first file, and would not read it again
    journal.unlink()
    other.write_text(lines[0] + changed + "no line\n" + lines[2] + lines[3][:60])
    again, bad = audio_check.examine(table(*paths), tmp_path / "cache")
    assert not bad
    pd.testing.assert_frame_equal(first, again)


def test_a_copy_elsewhere_is_hashed_and_not_decoded_again(tmp_path, monkeypatch):
    path = write_audio(tmp_path / "x.wav")
    first, _ = audio_check.examine(table(path), tmp_path / "cache")
    (tmp_path / "staged").mkdir()
    copy = Path(shutil.copy(path, tmp_path / "staged" / "y.wav"))
    monkeypatch.setattr(audio_check, "read", lambda *arguments: pytest.fail("decoded again"))
    again, bad = audio_check.examine(table(copy), tmp_path / "cache")
    assert not bad and (first.to_numpy() == again.to_numpy()).all()
    below, bad = audio_check.examine(table(copy), tmp_path / "other", below=[tmp_path / "cache"])
    assert not bad and (first.to_numpy() == below.to_numpy()).all()


def test_an_index_of_an_earlier_version_is_taken_over(tmp_path):
    """An SQLite file, which is never opened again."""
    path = write_audio(tmp_path / "x.wav")
    content = audio_check.read(path)
    (tmp_path / "cache").mkdir()
    with closing(sqlite3.connect(tmp_path / "cache" / "audio.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE known (path, part, state, value, digest)")
        then = f"{fileindex.state(os.stat(path))} {os.stat(path).st_dev}"
        row = (str(path), "0.0-inf", then, json.dumps(asdict(content)), "")
        connection.execute("INSERT INTO known VALUES (?,?,?,?,?)", row)
    assert count_reads([path], tmp_path / "cache") == (0, 1)
    (tmp_path / "cache" / "audio.sqlite").write_bytes(b"damaged later")
    assert count_reads([path], tmp_path / "cache") == (0, 1)


def test_a_cache_that_cannot_be_written_is_told_once_and_done_without(tmp_path):
    path = write_audio(tmp_path / "x.wav")
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match=r"file/cache.*--cache") as messages:
        result, bad = audio_check.examine(table(path), tmp_path / "file" / "cache")
    assert len(messages) == 1 and len(result) == 1 and not bad


def test_a_full_disk_is_told_once_and_nothing_done_is_lost(tmp_path, monkeypatch):
    few = [write_audio(tmp_path / f"{i}.wav") for i in range(3)]
    audio_check.examine(table(*few), tmp_path / "cache")

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(journals, "append", full)
    monkeypatch.setattr(audio_check, "WRITE", 2)
    many = [write_audio(tmp_path / f"{i}.wav", 0.01) for i in range(3, 9)]
    with pytest.warns(UserWarning, match=r"No space.*--cache") as messages:
        assert len(audio_check.examine(table(*few, *many), tmp_path / "cache")[0]) == 9
    assert len(messages) == 1
    monkeypatch.undo()
    assert count_reads(few, tmp_path / "cache") == (0, 3)
