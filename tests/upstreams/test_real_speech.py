"""Real speech of every corpus at hand, through every upstream that is quick enough."""

from pathlib import Path

import numpy as np
import pytest

from tests.upstreams.sounds import extract, table

SUFFIXES = (".wav", ".flac", ".opus", ".ogg", ".mp3")


@pytest.fixture(scope="module")
def clips(corpora: Path) -> list[Path]:
    """Two files of each folder that stands for a corpus."""
    chosen: list[Path] = []
    for folder in sorted(path for path in corpora.iterdir() if path.is_dir()):
        files = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES)
        chosen += [files[0], files[-1]] if files else []
    assert chosen
    return chosen


@pytest.mark.parametrize("name", ["fbank", "mfcc", "prosody", "opensmile"])
def test_real_speech_has_features_that_tell_clips_apart(name: str, clips: list[Path], tmp_path: Path) -> None:
    features = extract(name, table(clips), {"pooled"}, tmp_path, device="cpu", jobs=1)
    means = features.pooled[:, 0, 0]
    assert np.isfinite(features.pooled[:]).all() and features.counts["padded"] == 0
    assert len(np.unique(means, axis=0)) == len(clips)


def test_speech_is_voiced_at_the_pitch_of_voices(clips: list[Path], tmp_path: Path) -> None:
    features = extract("prosody", table(clips), {"pooled"}, tmp_path, device="cpu", jobs=1)
    log_f0, voicing = features.pooled[:, 0, 0, 0], features.pooled[:, 0, 0, 1]
    assert (np.exp(log_f0) > 75).all() and (np.exp(log_f0) < 600).all()
    assert (voicing > 0.1).all() and (voicing < 0.95).all()
