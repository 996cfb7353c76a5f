"""The registered upstreams: each keeps the contract, and measures what it says it measures."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

import upstreams
from tests.upstreams.sounds import TINY, noise, plugin, tone

TINY_NAME = "tiny"  # stands for random:wav2vec2_base, whose 95 million parameters need not be built for this
OF_AUDIO = {entry.name for entry in upstreams.describe() if entry.modality == "audio"}
NAMES = [name for name in upstreams.names() if name in OF_AUDIO] + [TINY_NAME]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], upstreams.frozen.Frozen]:
    tiny = plugin(tmp_path_factory.mktemp("tiny"), TINY, TINY_NAME)
    return lambda name: upstreams.load(tiny if name == TINY_NAME else name)


@pytest.mark.parametrize("name", NAMES)
def test_features_are_finite_repeatable_and_free_of_batch_mates(name: str, load: Callable) -> None:
    upstream = load(name)
    shortest = upstream.audio.min_samples
    waves = [noise(1.3), noise(1.3, 1), tone(220, 1.3), np.zeros(20800, np.float32), noise(1)[:shortest]]
    tensors = [torch.from_numpy(wave) for wave in waves]
    alone = [upstream([tensor])[0] for tensor in tensors]
    together = upstream(tensors[:4])
    again = load(name)
    for tensor, one, other in zip(tensors, alone, together, strict=False):
        scale = float(one.abs().max())
        torch.testing.assert_close(one, other, atol=1e-5 * scale, rtol=1e-5)
        assert torch.equal(one, again([tensor])[0])
    for one in alone:
        assert one.isfinite().all() and one.shape[::2] == (upstream.depth, upstream.width) and one.shape[1] >= 1
    assert not torch.allclose(alone[0], alone[2])


@pytest.mark.parametrize("name", NAMES)
def test_the_hop_is_what_it_says(name: str, load: Callable) -> None:
    upstream = load(name)
    frames = upstream([torch.from_numpy(noise(2))])[0].shape[1]
    if upstream.audio.hop is None:
        assert frames == 1
    else:
        assert abs(frames - 32000 / upstream.audio.hop) <= 2


@pytest.mark.parametrize("name", upstreams.names())
def test_nothing_here_was_trained(name: str) -> None:
    assert upstreams.load(name).seen == {}


def test_fbank_places_a_tone_in_its_mel_band() -> None:
    mel = 1127 * np.log1p(np.array([20.0, 1000.0, 8000.0]) / 700)
    band = (mel[1] - mel[0]) / (mel[2] - mel[0]) * 81 - 1
    frames = upstreams.load("fbank")([torch.from_numpy(tone(1000))])[0][0]
    assert frames.shape == (98, 80)
    assert abs(int(frames.mean(0).argmax()) - band) <= 1


def test_louder_by_six_decibels_adds_log_four_to_every_band() -> None:
    fbank, wave = upstreams.load("fbank"), torch.from_numpy(noise(1))
    torch.testing.assert_close(
        fbank([2 * wave])[0] - fbank([wave])[0], torch.full((1, 98, 80), float(np.log(4))), atol=1e-3, rtol=0
    )


def test_mfcc_deltas_are_regressions_over_five_frames() -> None:
    mfcc = upstreams.load("mfcc")([torch.from_numpy(noise(1))])[0][0]
    assert mfcc.shape == (98, 39)
    for first in (0, 13):
        value, slope = mfcc[:, first : first + 13], mfcc[:, first + 13 : first + 26]
        by_hand = (value[3:-1] - value[1:-3] + 2 * (value[4:] - value[:-4])) / 10
        torch.testing.assert_close(slope[2:-2], by_hand, atol=1e-4, rtol=1e-4)


def test_prosody_hears_pitch_voicing_and_loudness() -> None:
    prosody = upstreams.load("prosody")
    harmonics = sum(tone(200 * k) / k for k in range(1, 8)).astype(np.float32)
    voice = prosody([torch.from_numpy(harmonics)])[0][0].numpy()
    inner = voice[10:-10]
    np.testing.assert_allclose(inner[:, 0], np.log(200), atol=0.01)
    assert inner[:, 1].min() == 1 and np.abs(inner[:, 3:6]).max() < 0.2
    np.testing.assert_array_equal(voice[:, 6:], np.abs(voice[:, 3:6]))
    louder = prosody([torch.from_numpy(2 * harmonics)])[0][0].numpy()
    np.testing.assert_allclose(louder[10:-10, 2] - inner[:, 2], np.log(4), atol=1e-4)
    silent = prosody([torch.zeros(16000)])[0][0].numpy()
    assert silent[:, 1].max() == 0 and np.ptp(silent[:, 0]) == 0


def test_loudness_is_the_level_in_decibels_and_nothing_else() -> None:
    loudness, sound = upstreams.load("loudness"), torch.from_numpy(noise(1))
    level = loudness([sound])[0]
    assert level.shape == (1, 101, 1)
    torch.testing.assert_close(loudness([2 * sound])[0] - level, torch.full_like(level, 6.0206), atol=1e-3, rtol=0)
    torch.testing.assert_close(
        loudness([torch.full((16000,), 0.5)])[0][0, 50], torch.tensor([-6.0206]), atol=1e-3, rtol=0
    )
    assert loudness([torch.zeros(16000)])[0].unique().numpy() == pytest.approx(-80)


def test_pitch_is_the_height_of_the_voice_and_nothing_else() -> None:
    pitch = upstreams.load("pitch")
    low, high = (sum(tone(hertz * k) / k for k in range(1, 8)).astype(np.float32) for hertz in (100, 200))
    for voice, semitones in ((low, 0), (high, 12), (0.1 * high, 12)):  # an octave is twelve; loudness plays no part
        frames = pitch([torch.from_numpy(voice)])[0]
        assert frames.shape == (1, 101, 1)
        np.testing.assert_allclose(frames[0, 10:-10, 0].numpy(), semitones, atol=0.3)
    assert pitch([torch.zeros(16000)])[0].unique().numel() == 1


def test_prosody_bridges_unvoiced_gaps_in_log_f0() -> None:
    low, high = (sum(tone(f * k, 0.4) / k for k in range(1, 8)) for f in (120, 240))
    gap = np.zeros(6400)
    f0 = upstreams.load("prosody")([torch.from_numpy(np.concatenate([low, gap, high]).astype(np.float32))])[0][0]
    middle = f0[50:70]
    assert middle[:, 1].max() == 0 and (middle[:, 0].diff() > 0).all()
    assert np.log(120) < middle[:, 0].min() and middle[:, 0].max() < np.log(240)


@pytest.mark.parametrize(("name", "feature_set"), [("opensmile", "eGeMAPSv02"), ("opensmile_compare", "ComParE_2016")])
def test_opensmile_gives_the_packages_own_figures(name: str, feature_set: str) -> None:
    opensmile = pytest.importorskip("opensmile")
    wave = noise(1) + tone(150)
    own = opensmile.Smile(feature_set=opensmile.FeatureSet[feature_set]).process_signal(wave, 16000)
    (ours,) = upstreams.load(name)([torch.from_numpy(wave)])
    np.testing.assert_array_equal(ours.numpy().reshape(1, -1), own.to_numpy())


def test_a_missing_opensmile_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    def absent(package: str) -> str:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "version", absent)
    with pytest.raises(upstreams.UpstreamError, match=r"pip install -e \.\[opensmile\]"):
        upstreams.load("opensmile").fingerprint()


def test_random_weights_follow_the_seed_alone() -> None:
    from upstreams.huggingface.factories import random

    torch.manual_seed(99)
    state = torch.get_rng_state()
    first, other = (random("wav2vec2_base", seed, small=True).build().state_dict() for seed in (0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(5)
    again = random("wav2vec2_base", 0, small=True).build().state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)
    names = ("random:wav2vec2_base", "random:wav2vec2_base@1", "random:wav2vec2_base@2")
    assert len({upstreams.load(name).fingerprint() for name in names}) == 3


def test_wav2vec2_base_is_thirteen_layers_of_768() -> None:
    upstream = upstreams.load("random:wav2vec2_base")
    (output,) = upstream([torch.from_numpy(noise(0.1))])
    assert output.shape == (13, 4, 768) and (upstream.depth, upstream.width, upstream.audio.hop) == (13, 768, 320)
