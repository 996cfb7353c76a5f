"""Contents of audio files: hashes, durations, and whether they can be used.

An index in the cache saves decoding a file twice, a copy of it elsewhere as well. Results do not depend on it.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import pandas as pd

from commons import fileindex, hashing
from commons.corridors.utterances import ROUNDING
from commons.fileindex import FileIndex
from commons.progress import Progress

if TYPE_CHECKING:
    import soundfile

INDEX = "audio"
RULE = 2  # by which segments with an end are checked: one far behind the end of the file is refused
BLOCK = 1 << 18  # frames decoded at once, so that memory does not grow with the length of a file
UNKNOWN_SIZE = 0xFFFFFFFF  # the size that programs declare when they write WAV to a pipe
RATES = (2000, 768000)  # Hz; a header that claims less or more is damaged
SAMPLES = {1: "whole numbers", 3: "floats", 0xFFFE: "samples"}  # WAV formats in which `bits` is the size of a sample
POINTER = b"version https://git-lfs.github.com/spec/"  # the first bytes of a file that git-lfs has not fetched
WINDOW = 500  # files given to threads at a time, so that an error or Ctrl-C stops the work soon
WRITE = 200  # files between two writes: an interruption loses no more than these


@dataclass(frozen=True)
class Content:
    """Contents of an utterance's audio.

    Attributes:
        sha256: of the file's bytes.
        samples_sha256: of the decoded samples of the utterance, with rate and channels; of its channel alone where it
            has one of its own.
        duration: of the utterance, in seconds.
        rate, channels: of the file, rate in Hz.
    """

    sha256: str
    samples_sha256: str
    duration: float
    rate: int
    channels: int


class BadAudio(Exception):
    """An audio file cannot be used; the message says why."""


@dataclass(frozen=True)
class _Item:
    """One utterance's audio and its key in the index."""

    path: str
    start: float
    end: float
    channel: int | None

    @property
    def part(self) -> str:
        """Which part of the file it is, as the index spells it, and by which rule it is checked where that changed."""
        rule = "" if self.end == float("inf") else f", rule {RULE}"
        return f"{self.start!r}-{self.end!r}{rule}" + ("" if self.channel is None else f", channel {self.channel}")

    @property
    def key(self) -> fileindex.Key:
        return self.path, self.part


@dataclass(frozen=True)
class _File:
    """A file's state in the index and the sha256 of its bytes."""

    state: str
    sha256: str


def examine(
    utterances: pd.DataFrame,
    cache: Path,
    jobs: int = 1,
    progress: Progress | None = None,
    below: Sequence[Path] = (),
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Contents of the usable utterances, and reasons for those that cannot be used.

    Args:
        utterances: the utterance table (`path`; `start` and `end` in seconds where they are segments; `channel`).
        cache: folder of the index; where it cannot be used, a warning says so and nothing is kept.
        jobs: threads that decode.
        progress: called with (files done, files to do) while files are read that are not in the index.
        below: caches whose index is read, too.

    Returns:
        A table with the fields of `Content`, indexed by id, of usable utterances; and reasons by id of the others.
    """
    ids, items = utterances.index.tolist(), _items(utterances)
    index = FileIndex(cache / INDEX, [one / INDEX for one in below])
    known = _contents(index.known(item.key for item in items), {item.key: item for item in items})
    todo = [item for item in dict.fromkeys(items) if item not in known]
    bad: dict[_Item, str] = {}
    fresh: list[fileindex.Row] = []
    for done, (item, state, content) in enumerate(_examined(todo, jobs, index), start=1):
        if isinstance(content, Content):
            known[item] = content
            fresh.append((item.key, state, content.sha256, asdict(content)))
        else:
            bad[item] = str(content)
        if len(fresh) == WRITE:
            index.write(fresh)
            fresh = []
        if progress is not None:
            progress(done, len(todo))
    index.write(fresh)
    good = {utterance: known[item] for utterance, item in zip(ids, items, strict=True) if item in known}
    table = pd.DataFrame(
        [tuple(vars(content).values()) for content in good.values()],
        index=pd.Index(list(good), name="id", dtype=str),
        columns=list(Content.__dataclass_fields__),
    )
    return table, {u: bad[item] for u, item in zip(ids, items, strict=True) if item in bad}


def _items(utterances: pd.DataFrame) -> list[_Item]:
    """The audio of each row."""
    nothing = pd.Series(np.nan, utterances.index)
    places = (utterances.get(column, nothing) for column in ("start", "end", "channel"))
    return [
        _Item(
            path,
            0.0 if pd.isna(start) else float(start),
            float("inf") if pd.isna(end) else float(end),
            None if pd.isna(channel) else int(channel),
        )
        for path, start, end, channel in zip(utterances["path"].tolist(), *places, strict=True)
    ]


def _contents(values: Mapping[fileindex.Key, object], items: Mapping[fileindex.Key, _Item]) -> dict[_Item, Content]:
    """Contents from the index, by item."""
    known = {items[key]: Content(**value) for key, value in values.items() if isinstance(value, dict)}
    return {item: content for item, content in known.items() if RATES[0] <= content.rate <= RATES[1]}


def _examined(items: Sequence[_Item], jobs: int, index: FileIndex) -> Iterator[tuple[_Item, str, Content | BadAudio]]:
    """Each item with its file's state and its content, or the reason why it cannot be used, as they are done.

    A file is hashed once, whatever the number of its items. A copy of a file that the index knows is not decoded.
    """
    files: dict[str, _File | BadAudio] = {}

    def work(item: _Item, file: _File) -> tuple[_Item, str, Content | BadAudio]:
        try:
            return item, file.state, _content(item, file)
        except BadAudio as error:
            return item, "", error
        except OSError as error:
            return item, "", BadAudio(f"cannot be read ({error.strerror})")

    with ThreadPoolExecutor(max(1, jobs)) as pool:
        for first in range(0, len(items), WINDOW):
            some = items[first : first + WINDOW]
            fresh = [path for path in dict.fromkeys(item.path for item in some) if path not in files]
            files.update(zip(fresh, pool.map(_hashed, fresh), strict=True))
            there = [(item, file) for item in some if isinstance(file := files[item.path], _File)]
            same = index.same((file.sha256, item.part) for item, file in there)
            decode: list[Future[tuple[_Item, str, Content | BadAudio]]] = []
            for item in some:
                file = files[item.path]
                if isinstance(file, BadAudio):
                    yield item, "", file
                elif kept := _contents({item.key: same.get((file.sha256, item.part))}, {item.key: item}):
                    yield item, file.state, kept[item]
                else:
                    decode.append(pool.submit(work, item, file))
            for future in as_completed(decode):
                yield future.result()


def _hashed(path: str) -> _File | BadAudio:
    """A file as it is now; its state is taken first, so that a file that changes meanwhile is read again."""
    try:
        return _File(fileindex.state(os.stat(path)), hashing.of_file(Path(path)))
    except OSError as error:
        return BadAudio(f"cannot be read ({error.strerror})")


def _content(item: _Item, file: _File) -> Content:
    """The content of an item, whose file is hashed anew where it changed meanwhile. Raises as `read`."""
    content = read(item.path, item.start, item.end, item.channel, file.sha256)
    if fileindex.state(os.stat(item.path)) == file.state:
        return content
    return read(item.path, item.start, item.end, item.channel)


def read(
    path: str | Path, start: float = 0.0, end: float = float("inf"), channel: int | None = None, sha256: str = ""
) -> Content:
    """The content of an utterance's audio, which is read to its end.

    Args:
        start, end: the utterance's segment of the file, in seconds.
        channel: the one that is the utterance's, from 0; None: all are.
        sha256: of the file, where it is known.

    Raises:
        BadAudio: the file is empty, truncated, not audio or a git-lfs pointer, declares an impossible rate or sample
            size, has no samples or invalid ones, or lacks the segment or the channel.
        OSError: it cannot be opened.
    """
    import soundfile

    if os.path.getsize(path) == 0:
        raise BadAudio("is empty (0 bytes)")
    sha256 = sha256 or hashing.of_file(Path(path))
    with open(path, "rb") as file:
        _check_container(file)
    try:
        with soundfile.SoundFile(path) as audio:
            rate, channels = audio.samplerate, audio.channels
            if not RATES[0] <= rate <= RATES[1]:
                raise BadAudio(f"claims {rate} Hz (possible: {RATES[0]} to {RATES[1]}); its header is damaged")
            if audio.frames == 0:
                raise BadAudio("has no samples")
            if channel is not None and not 0 <= channel < channels:
                raise BadAudio(f"has no channel {channel} (from 0); it has {channels}")
            first, last = _bounds(audio, start, end)
            samples = _samples_sha256(audio, first, last, channel)
            return Content(sha256, samples, (last - first) / rate, rate, channels)
    except soundfile.LibsndfileError as error:
        raise BadAudio(f"cannot be decoded as audio ({error.error_string.rstrip('.')})") from error


def _bounds(audio: soundfile.SoundFile, start: float, end: float) -> tuple[int, int]:
    """First and last sample of a segment; an end that a corpus rounded up is the file's. Raises BadAudio."""
    first = round(start * audio.samplerate)
    last = audio.frames if end == float("inf") else round(end * audio.samplerate)
    late = last - audio.frames > ROUNDING * audio.samplerate  # as in decoding for an upstream
    last = min(last, audio.frames)
    if late or not 0 <= first < last:
        seconds = audio.frames / audio.samplerate
        raise BadAudio(f"lasts {seconds:.2f} s, its segment is from {start} to {end} s")
    return first, last


def _samples_sha256(audio: soundfile.SoundFile, first: int, last: int, channel: int | None) -> str:
    """Hash of the samples of a segment, of one channel alone where it is given. Raises BadAudio."""
    channels = audio.channels if channel is None else 1
    samples = hashlib.sha256(f"{audio.samplerate} {channels}\n".encode())
    if first:
        audio.seek(first)
    left = last - first
    while left:
        block = audio.read(min(BLOCK, left), dtype="float32", always_2d=True)
        if not len(block):
            raise BadAudio(f"is truncated: {left} of {audio.frames} samples are missing")
        if channel is not None:
            block = block[:, channel]
        if not np.isfinite(block).all():
            raise BadAudio("has samples that are not numbers (NaN or infinite)")
        samples.update(block.tobytes())
        left -= len(block)
    return samples.hexdigest()


def _check_container(file: BinaryIO) -> None:
    """Raise BadAudio for damage that decoders ignore: bytes that are missing, or an Ogg without its last page."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    magic = file.read(len(POINTER))
    if magic == POINTER:
        raise BadAudio("is a git-lfs pointer, not audio; run `git lfs pull` in the clone that it lies in")
    file.seek(12)
    if magic[:4] == b"RIFF" and magic[8:12] == b"WAVE":
        while len(header := file.read(8)) == 8:
            kind, length = struct.unpack("<4sI", header)
            if kind == b"data":
                there = size - file.tell()
                if length != UNKNOWN_SIZE and length > there:
                    raise BadAudio(f"is truncated: {there} of {length} bytes of samples are there")
                return
            if kind == b"fmt ":
                _check_format(file.read(min(length, 16)).ljust(16, b"\0"))
                length -= min(length, 16)
            file.seek(length + length % 2, os.SEEK_CUR)
    elif (declared := _declared(file)) is not None:
        if declared > size:
            raise BadAudio(f"is truncated: {size} of {declared} bytes are there")
    elif magic[:4] == b"OggS":
        # A page is at most 65,307 bytes: 27, a table of up to 255 lengths, and as many segments of up to 255.
        tail_start = max(0, size - 65307)
        file.seek(tail_start)
        tail = file.read()
        page = tail.rfind(b"OggS")
        if page < 0 or page + 27 > len(tail) or not tail[page + 5] & 4:
            raise BadAudio("is truncated: its last Ogg page is missing")
        lengths = tail[page + 27 : page + 27 + tail[page + 26]]
        if len(lengths) < tail[page + 26] or tail_start + page + 27 + len(lengths) + sum(lengths) > size:
            raise BadAudio("is truncated: its last Ogg page is cut")


def _check_format(fmt: bytes) -> None:
    """Raise BadAudio where a WAV header declares an impossible sample size, which decoders ignore."""
    form, channels, _, _, block, bits = struct.unpack("<HHIIHH", fmt)
    if form in SAMPLES and not (8 <= bits <= 64 and block >= channels * -(-bits // 8)):
        raise BadAudio(
            f"claims {SAMPLES[form]} of {bits} bits in blocks of {block} bytes for {channels} channels; its header is "
            "damaged"
        )


def _declared(file: BinaryIO) -> int | None:
    """Number of bytes that the header of an AIFF, Wave64, RF64 or AU file declares; None for other files."""
    file.seek(0)
    head = file.read(40).ljust(40, b"\0")
    if head[:4] == b"FORM":
        return 8 + struct.unpack_from(">I", head, 4)[0]
    if head[:4] == b"riff" and head[24:28] == b"wave":
        return struct.unpack_from("<Q", head, 16)[0]
    if head[:4] in (b"RF64", b"BW64") and head[12:16] == b"ds64":
        return 8 + struct.unpack_from("<Q", head, 20)[0]
    if head[:4] == b".snd":
        start, length = struct.unpack_from(">II", head, 4)
        return None if length == UNKNOWN_SIZE else start + length
    return None
