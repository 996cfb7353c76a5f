"""Decoding: the right samples at the right rate, or one message that names the file."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from tests.upstreams.sounds import noise, speak, table, tone
from upstreams import UpstreamError
from upstreams.inputs import of_table
from upstreams.inputs.audio import decode, segments


def only(utterances: pd.DataFrame, rate: int = 16000) -> np.ndarray:
    (segment,) = segments(utterances)
    return decode(segment, rate)


def test_samples_come_back_as_they_were(tmp_path: Path) -> None:
    wave = noise(1)
    np.testing.assert_array_equal(only(speak(tmp_path, [wave])), wave)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_any_rate_comes_to_the_upstreams(tmp_path: Path, rate: int) -> None:
    decoded = only(speak(tmp_path, [tone(440, 1, rate)], rate))
    assert abs(len(decoded) - 16000) <= 1
    inner = slice(1000, 15000)  # the resampler rings at the edges
    np.testing.assert_allclose(decoded[:15999][inner], tone(440)[:15999][inner], atol=2e-3)


def test_channels_are_averaged_or_chosen(tmp_path: Path) -> None:
    left, right = noise(1, 1), noise(1, 2)
    stereo = speak(tmp_path, [np.stack([left, right], 1)])
    np.testing.assert_allclose(only(stereo), (left + right) / 2, atol=1e-7)
    np.testing.assert_array_equal(only(stereo.assign(channel=1)), right)
    np.testing.assert_allclose(only(stereo.assign(channel=np.nan)), (left + right) / 2, atol=1e-7)
    with pytest.raises(UpstreamError, match=r"0\.wav: has 2 channels"):
        only(stereo.assign(channel=2))


@pytest.mark.parametrize(("suffix", "exact"), [("wav", True), ("flac", True), ("ogg", False), ("mp3", False)])
def test_a_part_of_a_file_is_that_part_of_the_whole(tmp_path: Path, suffix: str, exact: bool) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, noise(3), 16000)
    whole = only(table([path]))
    part = only(table([path], start=[0.5], end=[2.0]))
    np.testing.assert_allclose(part, whole[8000:32000], atol=0 if exact else 1e-6)
    np.testing.assert_allclose(only(table([path], start=[0.5])), whole[8000:], atol=0 if exact else 1e-6)


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "cannot be decoded"), (b"not audio at all" * 100, "cannot be decoded")]
)
def test_what_is_not_audio_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    utterances = speak(tmp_path, [noise(1)])
    path = Path(utterances["path"].iloc[0])
    path.write_bytes(content)
    import hashlib

    with pytest.raises(UpstreamError, match=rf"0\.wav: {words}"):
        only(utterances.assign(sha256=hashlib.sha256(content).hexdigest()))


def test_missing_nan_and_empty_files_are_named(tmp_path: Path) -> None:
    bad = noise(1)
    bad[77] = np.nan
    with pytest.raises(UpstreamError, match=r"0\.wav: holds NaN"):
        only(speak(tmp_path, [bad]))
    with pytest.raises(UpstreamError, match=r"0\.wav: holds no samples"):
        only(speak(tmp_path, [noise(0)]))
    gone = speak(tmp_path, [noise(1)])
    Path(gone["path"].iloc[0]).unlink()
    with pytest.raises(UpstreamError, match=r"0\.wav: cannot be decoded.*No such file"):
        only(gone)


def test_parts_that_are_not_there_are_named(tmp_path: Path) -> None:
    utterances = speak(tmp_path, [noise(1)])
    for start, end in [(1.5, 2.0), (0.8, 0.2), (-1.0, 0.5), (0.5, 0.5), (0.5, 3.0)]:
        with pytest.raises(UpstreamError, match=r"lasts 1\.000 s"):
            only(utterances.assign(start=start, end=end))
    assert len(only(utterances.assign(start=0.5, end=1.004))) == 8000  # rounding in a corpus's times is not a fault


def test_a_file_that_changed_after_it_was_hashed_is_refused(tmp_path: Path) -> None:
    utterances = speak(tmp_path, [noise(1)])
    soundfile.write(utterances["path"].iloc[0], noise(1, seed=5), 16000)
    with pytest.raises(UpstreamError, match=r"changed after it was hashed.*touch .*0\.wav"):
        only(utterances)


def test_tables_that_lack_something_are_refused(tmp_path: Path) -> None:
    utterances = speak(tmp_path, [noise(1), noise(1)])
    assert of_table(utterances, "audio") == segments(utterances)
    with pytest.raises(UpstreamError, match="no column sha256"):
        of_table(utterances.drop(columns="sha256"), "audio")
    with pytest.raises(UpstreamError, match="no rows"):
        of_table(utterances.iloc[:0], "audio")
    with pytest.raises(UpstreamError, match="'u0' more than once"):
        of_table(utterances.set_axis(["u0", "u0"]), "audio")
    with pytest.raises(UpstreamError, match="audio or text, not both"):
        of_table(utterances, "both")
