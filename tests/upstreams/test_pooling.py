"""Pooling over some frames: those of the louder segments, or those of speech."""

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

import upstreams
from commons.corridors.features import NEEDS
from tasks.corpora import demo
from tests.upstreams.sounds import ENERGY, extract, extract_in_batches, noise, plugin, speak, with_init, words
from tests.upstreams.test_extraction import truth
from upstreams import UpstreamError
from upstreams.extraction.chunk_jobs import Limits
from upstreams.extraction.pooling import frames_of
from upstreams.extraction.store import Kept

POOLINGS = [need for need in NEEDS if need.startswith("pooled:")]
HOP, SEGMENT = 160, 50  # samples; frames
speech_installed = pytest.mark.skipif(not find_spec("silero_vad"), reason="the extra `speech` is not installed")


@pytest.fixture
def energy(tmp_path: Path) -> str:
    return plugin(tmp_path, ENERGY)


def waves(seed: int = 0) -> list[np.ndarray]:
    """Noise of several lengths whose level changes every half second."""
    draws = np.random.default_rng(seed)
    made = [noise(seconds, number) for number, seconds in enumerate((0.1, 0.5, 0.74, 0.76, 1.3, 2.0, 3.1))]
    return [wave * np.repeat(draws.uniform(0.1, 3, 8), 8000)[: len(wave)].astype(np.float32) for wave in made]


def louder_half(wave: np.ndarray) -> np.ndarray:
    """(T,) bool, from frames alone: ENERGY's frames fill the segments exactly."""
    power = (wave[: len(wave) // HOP * HOP].reshape(-1, HOP).astype(np.float64) ** 2).mean(1)
    count = max(1, round(len(wave) / (SEGMENT * HOP)))
    owner = np.minimum(np.arange(len(power)) // SEGMENT, count - 1)
    means = [power[owner == one].mean() for one in range(count)]
    return np.isin(owner, np.argsort(means)[::-1][: (count + 1) // 2])


def moments(wave: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    frames = truth(wave)[:, chosen]
    return np.stack([frames.mean(1), frames.std(1)])


def test_segments_are_the_louder_half_in_one_pass_with_all_frames(energy: str, tmp_path: Path) -> None:
    made = extract(energy, speak(tmp_path, waves()), ["pooled", "pooled:segments", "frames:last"], tmp_path / "cache")
    expected = [moments(wave, louder_half(wave)) for wave in waves()]
    np.testing.assert_allclose(made.pooled_for(["pooled:segments"])[:], expected, rtol=1e-5, atol=1e-7)
    everything = [moments(wave, np.ones(len(wave) // HOP, bool)) for wave in waves()]
    np.testing.assert_allclose(made.pooled_for(["pooled"])[:], everything, rtol=1e-5, atol=1e-7)
    assert made.counts["computed"] == len(waves()) and made.pooled is made.pooled_for(["frames:last"])


def test_segments_are_chosen_in_the_whole_utterance_where_it_is_cut_into_windows(tmp_path: Path) -> None:
    cut = plugin(tmp_path, with_init("max_seconds = 0.6"))
    utterances = speak(tmp_path, [np.concatenate([noise(1.5), 9 * noise(1.5, 1)]), *waves()])
    made = extract(cut, utterances, ["pooled:segments"], tmp_path / "cache")
    written = [soundfile.read(path, dtype="float32")[0] for path in utterances["path"]]
    expected = [moments(wave, louder_half(wave)) for wave in written]
    np.testing.assert_allclose(made.pooled_over["pooled:segments"][:], expected, rtol=1e-5, atol=1e-7)
    assert made.counts["windowed"]


@pytest.mark.parametrize("need", [*POOLINGS[:1], pytest.param(POOLINGS[1], marks=speech_installed)])
def test_silence_keeps_all_frames_and_company_changes_nothing(need: str, energy: str, tmp_path: Path) -> None:
    quiet = np.zeros(16000, np.float32)
    quiet[::HOP] = 1e-6 if need == "pooled:speech" else 0.0
    utterances = speak(tmp_path, [quiet, *(waves(level)[4][:16000] for level in range(5))])
    alone = [extract(energy, utterances.iloc[[i]], [need], tmp_path / f"{i}").pooled_over[need][0] for i in range(6)]
    many = extract_in_batches(energy, utterances, need, tmp_path / "many", Limits(6, float("inf")))
    np.testing.assert_array_equal(many.pooled_over[need][:], alone)
    everything = moments(quiet, np.ones(100, bool))
    np.testing.assert_allclose(alone[0], everything, rtol=1e-5, atol=1e-9)


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """An utterance of the embedded corpus."""
    folder = tmp_path_factory.mktemp("demo")
    demo.write(folder)
    return soundfile.read(sorted(folder.rglob("*.wav"))[0], dtype="float32")[0]


@speech_installed
@pytest.mark.parametrize("rate", [16000, 24000])
def test_of_noise_speech_noise_the_speech_is_pooled(rate: int, spoken: np.ndarray, tmp_path: Path) -> None:
    wave = np.concatenate([0.02 * noise(1.0), spoken, 0.02 * noise(1.0, 1)]).astype(np.float32)
    name = plugin(tmp_path, ENERGY.replace("16000, 160", f"{rate}, {rate // 100}").replace("160", str(rate // 100)))
    made = extract(name, speak(tmp_path, [wave]), ["pooled:speech", "frames:last"], tmp_path / "cache")
    frames = made.frames[0][:, 0].astype(np.float64)
    inside = slice(100, len(frames) - 100)
    mean = made.pooled_over["pooled:speech"][0, 0, 1, 0]
    assert frames[:, 0].mean() * 1.3 < mean  # two seconds of noise are gone
    assert mean == pytest.approx(frames[inside, 0].mean(), rel=0.25)


@pytest.mark.parametrize(("frames", "expected"), [(4, [1, 0, 1, 1]), (2, [1, 1]), (6, [1, 0, 1, 1, 1, 1]), (1, [1])])
def test_a_frame_counts_where_one_of_its_samples_does(frames: int, expected: list[int]) -> None:
    samples = np.isin(np.arange(40), [9, 25, 39])
    assert frames_of(samples, frames, 10).tolist() == [bool(one) for one in expected]


def test_earlier_keys_stay_and_a_rule_has_its_own() -> None:
    class One:
        rule, content = "decoded", ("a", None)

    plain = {kind: Kept("u", "f" * 64, "fp32", kind, 2, 3) for kind in ("pooled", "frames:last", "frames:all")}
    assert {kind: kept.key(One()) for kind, kept in plain.items()} == KEYS
    others = [Kept("u", "f" * 64, "fp32", "pooled:segments", 2, 3, rule) for rule in ("one", "another")]
    assert len({kept.key(One()) for kept in [*plain.values(), *others]}) == 5
    assert len({kept.folder(Path()) for kept in [*plain.values(), *others]}) == 5


KEYS = {  # as they were before there were rules
    "pooled": "9854ebdfa67646aadb4f660f47611908",
    "frames:last": "0c869a9fd998ea7331c851441567cc78",
    "frames:all": "612ca65d42f3491cb7f7a83974462eac",
}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("opensmile", "one vector for each utterance"),
        ("text_ngrams", "reads text"),
        ("fbank+text_ngrams", "text_ngrams.*reads text"),
        ("features:given.npz", "holds features without audio"),
    ],
)
def test_upstreams_without_frames_to_choose_from_are_refused(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "opensmile":
        pytest.importorskip("opensmile", reason="the extra `opensmile` is not installed")
    monkeypatch.chdir(tmp_path)
    np.savez("given.npz", u0=np.ones((3, 4), np.float32))
    identity = upstreams.identify(upstreams.resolve(name))
    for refused in (lambda needs: upstreams.sources(identity, needs), lambda needs: _extracted(identity, needs)):
        with pytest.raises(UpstreamError, match=message + ".*pooling: all"):
            refused(["pooled:segments"])


def _extracted(identity: upstreams.Identity, needs: list[str]) -> object:
    table: pd.DataFrame = words(["some words"])
    return upstreams.extract(identity, table, needs, upstreams.Extraction(Path("cache"), "cpu"))


def test_a_fusion_has_its_parts_side_by_side(tmp_path: Path) -> None:
    utterances, need = speak(tmp_path, waves()[3:]), "pooled:segments"
    whole = extract("fbank+mfcc", utterances, [need], tmp_path / "cache")
    parts = [extract(one, utterances, [need], tmp_path / "cache").pooled_over[need] for one in ("fbank", "mfcc")]
    own = whole.pooled_over[need]
    np.testing.assert_array_equal(own[:, :, -1], np.concatenate([part[:, :, -1] for part in parts], axis=-1))


def test_a_rule_whose_package_is_absent_is_a_clear_message(monkeypatch: pytest.MonkeyPatch) -> None:
    there = metadata.version

    def version(package: str) -> str:
        if package == "silero-vad":
            raise metadata.PackageNotFoundError(package)
        return there(package)

    monkeypatch.setattr(metadata, "version", version)
    identity = upstreams.identify(upstreams.resolve("fbank"))
    with pytest.raises(UpstreamError, match=r"silero-vad, which is not installed; run: pip install -e .\[speech\]"):
        upstreams.sources(identity, ["pooled:speech"])
    assert upstreams.sources(identity, ["pooled:segments"])


@speech_installed
def test_the_version_of_the_detector_is_in_its_rule() -> None:
    assert metadata.version("silero-vad") in upstreams.pooling_rules(["pooled:speech", "pooled"])["pooled:speech"]
    assert not upstreams.pooling_rules(["pooled", "frames:all", "live"])
