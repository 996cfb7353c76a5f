"""Changes of audio: each does what it says, by the content of the utterance alone."""

import hashlib
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

import upstreams
from commons.perturbations import KINDS, SUITES, expand, parse
from tests.upstreams.sounds import ROOT, noise, table, tone, write
from upstreams.errors import UpstreamError
from upstreams.inputs import audio, bit_rates, codecs, rooms
from upstreams.inputs.perturbing import Change, changed

RATE = 16000
CONTENT = ("a" * 64, None, None, None)
NOISES = [kind for kind in KINDS if KINDS.find(kind).unit == "dB SNR"]
EACH = [f"{kind}@{KINDS.find(kind).example}" if KINDS.find(kind).unit else kind for kind in KINDS
        if not KINDS.find(kind).package[0] or find_spec(KINDS.find(kind).package[0])]  # fmt: skip


def speech(seconds=1.5, seed=0):
    """Bursts of harmonics with pauses between them."""
    time = np.arange(round(seconds * RATE)) / RATE
    voiced = sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 12))
    return (0.05 * voiced * (np.sin(2 * np.pi * 2 * time + seed) > 0) + noise(seconds, seed) * 0.01).astype(np.float32)


def made(name, samples, content=CONTENT):
    voices = [speech(0.7, seed) for seed in range(6)]
    return changed(samples, RATE, Change(parse(name), content, len(voices), voices.__getitem__))


def active(samples, frame=320):
    """Mean power of the frames of 20 ms within 30 dB of the loudest one, frame by frame."""
    powers = [
        float(np.mean(np.float64(samples[i : i + frame]) ** 2)) for i in range(0, len(samples) - frame + 1, frame)
    ]
    return np.mean([power for power in powers if 10 * np.log10(max(powers) / max(power, 1e-30)) <= 30])


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("level", [-5, 0, 17.5, 40])
def test_noise_has_the_ratio_that_was_asked_for(kind, level):
    clean = speech()
    added = np.float64(made(f"{kind}@{level}", clean)) - clean
    assert 10 * np.log10(active(clean) / np.mean(added**2)) == pytest.approx(level, abs=0.1)


def test_pink_noise_falls_by_three_decibels_an_octave_and_white_noise_is_flat():
    clean = np.tile(speech(2.0), 8)
    for kind, slope in (("white", 0.0), ("pink", -3.0)):
        power = np.abs(np.fft.rfft(np.float64(made(f"{kind}@0", clean)) - clean)) ** 2
        hertz = np.fft.rfftfreq(len(clean), 1 / RATE)
        octaves = [
            10 * np.log10(power[(hertz >= low) & (hertz < 2 * low)].mean()) for low in (125, 250, 500, 1000, 2000)
        ]
        assert np.polyfit(range(5), octaves, 1)[0] == pytest.approx(slope, abs=0.4)


@pytest.mark.parametrize("name", EACH)
def test_a_change_depends_on_the_content_and_on_nothing_else(name):
    clean, other = speech(), speech(1.1, 3)
    first = made(name, clean)
    made(name, other, ("b" * 64, 0.5, None, 1))
    np.testing.assert_array_equal(made(name, clean), first)
    assert first.dtype == np.float32 and np.isfinite(first).all()
    assert abs(len(first) - parse(name).seconds(len(clean) / RATE) * RATE) <= 1
    for short in (np.zeros(400, np.float32), clean[:1], clean[:57]):
        assert len(made(name, short)) >= 1 and np.isfinite(made(name, short)).all()


@pytest.mark.parametrize("kind", ["white", "pink", "babble"])
def test_other_content_gets_other_noise_and_other_levels_the_same(kind):
    clean = speech()
    at = {level: np.float64(made(f"{kind}@{level}", clean)) - clean for level in (0, 20)}
    np.testing.assert_allclose(at[0], 10 * at[20], atol=2e-5)
    assert np.abs(made(f"{kind}@0", clean, ("b" * 64, None, None, None)) - clean - at[0]).max() > 0.01


def test_another_process_makes_the_same_samples():
    names = [name for name in EACH if not name.startswith("babble")]
    script = (
        "import hashlib, sys; import numpy as np; from commons.perturbations import parse; "
        "from upstreams.inputs.perturbing import Change, changed; x = np.frombuffer(sys.stdin.buffer.read(), '<f4'); "
        f"content = {CONTENT!r}; "
        f"made = [changed(x, {RATE}, Change(parse(name), content)) for name in {names!r}]; "
        "print(*[hashlib.sha256(one.tobytes()).hexdigest() for one in made])"
    )
    clean = speech()
    there = subprocess.run(
        [sys.executable, "-c", script], input=clean.tobytes(), capture_output=True, cwd=ROOT, check=True,
        env={**os.environ, "OMP_NUM_THREADS": "2", "PRA_NUM_THREADS": "3"},
    ).stdout.decode().split()  # fmt: skip
    assert there == [hashlib.sha256(made(name, clean).tobytes()).hexdigest() for name in names]


def test_gain_zeros_cuts_and_clipping_are_exact():
    clean = speech()
    np.testing.assert_array_equal(made("gain@-6", clean), clean * np.float32(10 ** (-6 / 20)))
    np.testing.assert_array_equal(made("gain@0", clean), clean)
    around = made("zeros@100", clean)
    np.testing.assert_array_equal(around[1600:-1600], clean)
    assert not around[:1600].any() and not around[-1600:].any()
    np.testing.assert_array_equal(made("cut-start@30", clean), clean[480:])
    np.testing.assert_array_equal(made("cut-end@30", clean), clean[:-480])
    assert len(made("cut-end@9000", clean)) == len(clean) - len(clean) // 2
    clipped = made("clip@5", clean)
    top = np.abs(clipped).max()
    assert np.mean(np.abs(clean) > top) == pytest.approx(0.05, abs=0.001)
    np.testing.assert_array_equal(clipped[np.abs(clean) <= top], clean[np.abs(clean) <= top])


def test_bands_and_speed():
    for name, hertz, kept in (("telephone", 100, False), ("telephone", 1000, True), ("telephone", 6000, False),
                              ("resampled@8000", 1000, True), ("resampled@8000", 6000, False)):  # fmt: skip
        clean = tone(hertz)
        share = np.square(made(name, clean)).mean() / np.square(clean).mean()
        assert share > 0.8 if kept else share < 0.02, (name, hertz)
    fast = np.abs(np.fft.rfft(made("speed@1.25", tone(400))))
    assert np.fft.rfftfreq(12800, 1 / RATE)[fast.argmax()] == pytest.approx(500, abs=2)


def test_codecs_state_what_they_cost_and_lose_more_at_lower_rates():
    clean = speech()

    def lost(name):
        return np.mean(np.square(made(name, clean) - clean)) / np.mean(np.square(clean))

    for name, good, bad in (("opus", 0, 1), ("mp3", 0, 0.9)):
        rates = [codecs.coded(clean, RATE, name, level)[1] for level in (good, bad)]
        assert rates[0] > 1.5 * rates[1] and lost(f"{name}@{good}") < lost(f"{name}@{bad}") < 1
    for name, expected in (("mulaw", 64), ("gsm", 13)):
        assert codecs.coded(clean, RATE, name, None)[1] == pytest.approx(expected, rel=0.1) and lost(name) < 0.5
    with pytest.raises(UpstreamError, match="cannot write MPEG_LAYER_III at compression 5 at 16000 Hz"):
        codecs.coded(clean, RATE, "mp3", 5.0)


def test_rooms_reverberate_as_long_as_was_asked():
    pytest.importorskip("pyroomacoustics")
    for seconds in (0.2, 0.4):
        for room in range(rooms.ROOMS):
            energy = np.square(rooms.response(seconds, room, RATE))[::-1].cumsum()[::-1]  # Schroeder's integral
            decay = 10 * np.log10(energy / energy[0])
            start, stop = (int(np.argmax(decay < level)) for level in (-5, -25))
            assert 3 * (stop - start) / RATE == pytest.approx(seconds, rel=0.4)
    dry = speech()
    assert np.square(made("reverb@0.4", dry)).sum() == pytest.approx(np.square(dry).sum(), rel=1e-4)


def test_suites_name_changes_that_exist():
    for suite, names in SUITES.items():
        assert [one.name for one in expand(suite)] == list(names)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return [write(folder / f"{i}.wav", speech(0.6, i)) for i in range(4)]


def with_changes(files, *names):
    """Utterances as they are, then each of them changed in each way."""
    clean = table(files)
    noise = tuple(zip(clean["path"], clean["sha256"], strict=True))[2:]
    for name in names:
        twins = table(files).assign(perturbation=name)
        twins.index = [f"{one}~{name}" for one in twins.index]
        if name.startswith("babble"):
            twins["noise"] = [noise] * len(twins)
        clean = pd.concat([clean, twins])
    return clean


def test_keys_of_clean_audio_stay_and_those_of_changed_audio_tell_all(files, tmp_path):
    plain, (*several,) = (
        audio.segments(table(files)),
        audio.segments(with_changes(files, "white@10", "white@5", "babble@5")),
    )
    assert several[:4] == plain and all(one.content == (one.sha256, None, None, None) for one in plain)
    assert len({one.content for one in several}) == len(several)
    elsewhere = [(str(tmp_path / "moved.wav"), sha256) for _, sha256 in several[-1].noise]
    moved = audio.Segment(**{**vars(several[-1]), "noise": tuple(elsewhere)})
    assert moved.content == several[-1].content  # not where the noise lies, but what it is


def test_clean_features_come_from_the_store_and_changed_ones_are_those_of_changed_samples(files, tmp_path):
    who, options = upstreams.identify(upstreams.resolve("fbank")), upstreams.Extraction(tmp_path, "cpu", 1)
    before = upstreams.extract(who, table(files), {"pooled"}, options)
    after = upstreams.extract(who, with_changes(files, "gain@6", "babble@0"), {"pooled"}, options)
    assert after.counts == {"computed": 8, "reused": 4, "padded": 0, "windowed": 0}
    np.testing.assert_array_equal(after.pooled[:4], before.pooled[:4])
    louder = after.pooled[4:8, 0, 0] - before.pooled[:4, 0, 0]
    np.testing.assert_allclose(louder, np.log(10**0.6), atol=0.05)
    backwards = upstreams.extract(
        who, with_changes(files, "babble@0")[::-1], {"pooled"}, upstreams.Extraction(tmp_path / "other", "cpu", 1)
    )
    np.testing.assert_array_equal(backwards.pooled[:4], after.pooled[8:][::-1])


def test_a_file_that_fails_is_named_with_its_change(files):
    (segment,) = audio.segments(table(files[:1]).assign(perturbation="white@10"))
    assert segment.name == f"{files[0]} (white@10)"
    broken = audio.Segment(**{**vars(segment), "perturbation": "opus@0.5", "sha256": "0" * 64})
    with pytest.raises(UpstreamError, match=r"0\.wav: the file changed"):
        audio.decode(broken, RATE)


def test_a_bit_rate_is_measured_on_what_is_tested(files):
    assert bit_rates.bit_rate(with_changes(files, "mulaw")) == pytest.approx(64, rel=0.1)
