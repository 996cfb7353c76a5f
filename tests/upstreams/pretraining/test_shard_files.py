"""Files of frames beside the packed speech: made once, and again where they are of something else or damaged."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from commons import files
from upstreams.errors import UpstreamError
from upstreams.pretraining.shard_files import mapped

FRAMES = [np.full((count, 2), count, np.float32) for count in (3, 0, 2)]


def test_they_are_made_once_and_anew_where_they_are_of_other_facts_of_fewer_utterances_or_damaged(
    tmp_path: Path,
) -> None:
    made, path = [], tmp_path / "a.frames"

    def frames(several: list[np.ndarray]) -> Iterator[np.ndarray]:
        made.append(len(several))
        yield from several

    def of(facts: dict[str, object], several: list[np.ndarray]) -> None:
        values, counts = mapped(path, facts, 2, len(several), frames(several))
        assert counts == list(map(len, several)) and np.array_equal(values, np.concatenate(several))

    of({"version": 1}, FRAMES)
    of({"version": 1}, FRAMES)
    assert made == [3]
    of({"version": 2}, FRAMES)
    of({"version": 2}, FRAMES[:1])
    assert made == [3, 3, 1]
    path.write_bytes(path.read_bytes()[:-4])
    of({"version": 2}, FRAMES[:1])
    path.with_name("a.frames.json").write_text("[]")
    of({"version": 2}, FRAMES[:1])
    assert made == [3, 3, 1, 1, 1]


@pytest.mark.parametrize("several", [[], [np.zeros((0, 2))]])
def test_a_shard_without_frames_is_empty(tmp_path: Path, several: list[np.ndarray]) -> None:
    for _ in range(2):
        values, counts = mapped(tmp_path / "a.frames", {}, 2, len(several), iter(several))
        assert values.shape == (0, 2) and len(counts) == len(several)


def test_a_full_disk_leaves_no_file_and_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(UpstreamError, match="No space left on device; free space or name another folder with --cache"):
        mapped(tmp_path / "a.frames", {}, 2, 3, iter(FRAMES))
    assert not list(tmp_path.iterdir())
