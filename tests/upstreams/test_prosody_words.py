"""How an utterance sounds, in words: each word follows the quantity that it is for, and the table is read as texts."""

import numpy as np
import pytest
import soundfile

from tasks import transcripts
from upstreams import prosody_words
from upstreams.__main__ import main

RATE = 16000


def voice(pitch=140.0, level=0.1, span=2.0, rate=4.0, seconds=2.0):
    """A pulse-like voice: pitch in Hz, its range in semitones to both sides, and syllables a second."""
    time = np.arange(int(seconds * RATE)) / RATE
    f0 = pitch * 2 ** (span / 12 * np.sin(2 * np.pi * 0.9 * time))
    phase = 2 * np.pi * np.cumsum(f0) / RATE
    sound = sum(np.sin(k * phase) / k for k in range(1, 12))
    return (level * sound * (0.55 + 0.45 * np.sin(2 * np.pi * rate * time))).astype(np.float32)


@pytest.mark.parametrize(
    ("quantity", "argument", "values"),
    [
        ("level", "level", (0.01, 0.05, 0.3)),
        ("pitch", "pitch", (100.0, 170.0, 260.0)),
        ("variation", "span", (0.5, 3.0, 8.0)),
        ("tempo", "rate", (2.0, 5.5, 7.0)),
    ],
)
def test_a_quantity_rises_with_what_makes_it_and_so_does_its_word(quantity, argument, values):
    measured = [prosody_words.measured(voice(**{argument: value}))[quantity] for value in values]
    scale = prosody_words.SCALES[quantity]
    assert measured == sorted(measured)
    words = [scale.words.index(scale.word(value)) for value in measured]
    assert words[0] < words[-1] and words == sorted(words)


def test_pitch_and_tempo_are_those_of_the_voice():
    measured = prosody_words.measured(voice(pitch=140.0, span=1.0, rate=5.0, seconds=3.0))
    assert measured["pitch"] == pytest.approx(140, rel=0.03) and measured["tempo"] == pytest.approx(5, abs=0.7)


def test_noise_has_no_pitch_and_silence_has_words():
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * 0.01
    for waveform in (noise, np.zeros(RATE, dtype=np.float32)):
        assert prosody_words.described(prosody_words.measured(waveform)).count(".") == 3
    assert "no pitch" in prosody_words.described(prosody_words.measured(np.zeros(RATE, dtype=np.float32)))


def test_scales_have_a_word_more_than_limits():
    for scale in prosody_words.SCALES.values():
        assert len(scale.words) == len(scale.limits) + 1 == len(set(scale.words))
        assert list(scale.limits) == sorted(scale.limits)


def test_the_command_writes_a_table_of_texts(tmp_path, capsys):
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", voice(), RATE)
    output = tmp_path / "words.csv"
    assert main(["words", str(tmp_path), "--output", str(output)]) == 0
    assert "words for 2 utterances" in capsys.readouterr().out
    assert set(transcripts.read(output).texts) == {"a", "b"}
    (tmp_path / "more").mkdir()
    soundfile.write(tmp_path / "more" / "a.wav", voice(), RATE)
    assert main(["words", str(tmp_path), "--output", str(output)]) == 1
    assert "have one name" in capsys.readouterr().err
