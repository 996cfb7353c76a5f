"""The network and its commands: from a table to scores that masks can follow, with whose labels taught them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import soundfile
import torch

from tests.upstreams.mockingjay.small import tiny
from tests.upstreams.pretraining.training import packed
from upstreams.__main__ import main
from upstreams.errors import UpstreamError
from upstreams.pretraining import scores
from upstreams.pretraining.pack import Bounds, build
from upstreams.strength import model, scoring, training
from upstreams.strength import table as tables
from upstreams.strength.model import Config, StrengthNet
from upstreams.strength.settings import Settings
from upstreams.strength.table import Voice
from upstreams.strength.variation import varied


def wave(strength: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """A noisy tone that rises, trembles and throbs with the strength; its level does not tell it."""
    t = np.arange(int(16000 * seconds)) / 16000
    tone = np.sin(2 * np.pi * (150 + 900 * strength) * t + 20 * strength * np.sin(2 * np.pi * 5 * t))
    throbbing = 1 - 0.9 * strength * np.sin(np.pi * 5 * t) ** 2
    sound = tone * throbbing + 0.1 * rng.standard_normal(len(t))
    return (rng.uniform(0.02, 0.3) * sound / np.abs(sound).max()).astype(np.float32)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of three speakers, neutral and angry, and the table of them."""
    folder, rng, rows = tmp_path_factory.mktemp("strength"), np.random.default_rng(0), []
    (folder / "speech").mkdir()
    for speaker in "abc":
        for emotion in ("neutral", "anger"):
            for number in range(6):
                name = f"speech/{speaker}{emotion[0]}{number}.wav"
                sound = wave(0.0 if emotion == "neutral" else rng.uniform(0.3, 1), rng.uniform(0.5, 1.1), rng)
                soundfile.write(folder / name, sound, 16000)
                rows.append((name, speaker, emotion, "mine"))
    pd.DataFrame(rows, columns=["path", "speaker", "emotion", "corpus"]).to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


def test_nothing_depends_on_padding_or_on_level() -> None:
    torch.manual_seed(0)
    network = StrengthNet(Config(("a", "b", "c"), (4, 4, 8, 8), 16)).eval()
    waves = [torch.from_numpy(wave(0.5, seconds, np.random.default_rng(1))) for seconds in (0.4, 1.5)]
    mels = [model.log_mel(one) for one in waves]
    with torch.no_grad():
        together = network(*model.padded(mels))
        for row, mel in enumerate(mels):
            alone = network(mel[None], torch.tensor([len(mel)]))
            torch.testing.assert_close(alone.frames[0], together.frames[row, : len(mel)], atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(alone.strength[0], together.strength[row], atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(alone.emotion[0], together.emotion[row], atol=1e-5, rtol=1e-4)
            assert float(alone.strength[0]) == pytest.approx(float(alone.frames.mean()), rel=1e-5)
        louder = model.log_mel(2 * waves[1])
    torch.testing.assert_close(louder, mels[1], atol=0.02, rtol=0)


def test_scores_are_relative_to_the_speakers_neutral_speech_or_else_to_all_or_to_the_folder(table: Path) -> None:
    rows, bands = tables.load([table]), torch.linspace(-1, 1, 80)
    for left_out in (None, "mine/b"):  # of whom nothing is neutral then
        some = rows[(rows["speaker"] != left_out) | (rows["emotion"] != "neutral")]
        mels = training.spectra(training.audio_of(some, 1))
        for speaker in set(some["speaker"]):
            reference = (some["emotion"] == "neutral") | (speaker == left_out)
            own = torch.cat([mels[row] for row in np.flatnonzero((some["speaker"] == speaker) & reference)]).float()
            assert own.mean(0).abs().max() < 2e-3 and own.std() > 0.1
    whole = [model.log_mel(torch.from_numpy(wave(0.5, 1.0, np.random.default_rng(i)))) for i in range(3)]
    torch.testing.assert_close(model.colour(mel + bands for mel in whole), model.colour(whole) + bands)
    speech = table.parent / "speech"
    pack = packed(speech, tiny()).pack
    assert not any(one.neutral for one in tables.voices([table], {"nemo": "labels"}).values())
    known = {path: one for path, one in tables.voices([table], {"mine"}).items() if one.name != "mine/c"}
    known |= {path: one._replace(neutral=False) for path, one in known.items() if one.name == "mine/b"}
    voices = scoring.voices(pack, [speech], known)
    assert [one.name for one in voices] == [f"mine/{n[0]}" if n[0] != "c" else str(speech) for n in pack.names]
    for voice, colour in scoring.colours(pack, voices).items():
        own = [
            pack.samples(i) for i, one in enumerate(voices)
            if one.name == voice and (voice != "mine/a" or pack.names[i].startswith("an"))
        ]  # fmt: skip
        assert len(own) == (6 if voice == "mine/a" else 12)
        torch.testing.assert_close(colour, model.colour(model.log_mel(torch.from_numpy(one)) for one in own))


def test_folders_of_one_name_below_two_roots_are_two_voices(tmp_path: Path, monkeypatch) -> None:
    """However the roots are spelt: a voice of a table is never taken for one of a folder."""
    for number, root in enumerate("ab"):
        (tmp_path / root / "wav").mkdir(parents=True)
        soundfile.write(tmp_path / root / "wav" / f"{root}.wav", 0.1 * np.ones(8000 + number, np.float32), 16000)
    roots = [tmp_path / "a", tmp_path / "b"]
    pack = build(roots, tmp_path / "cache", Bounds(0.1, 9.0))
    monkeypatch.chdir(tmp_path)
    for spelt in (roots, [Path("a"), Path("b")]):
        assert scoring.voices(pack, spelt, {}) == [Voice(str(tmp_path / root / "wav")) for root in "ab"]


def test_links_are_of_the_speaker_whose_folder_they_lie_in(tmp_path: Path) -> None:
    """Wherever they lead: all to one folder, as in caches of downloads, or each to a folder of its own."""
    speech = tmp_path / "speech"
    for number, name in enumerate(("a/1.wav", "a/2.wav", "b/3.wav")):
        store = tmp_path / "store" / ("" if number else "own")
        for folder in (store, (speech / name).parent):
            folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(store / f"{number}.wav", 0.1 * np.ones(8000 + number, np.float32), 16000)
        (speech / name).symlink_to(store / f"{number}.wav")
    pack = build([speech], tmp_path / "cache", Bounds(0.1, 9.0))
    assert pack.names == ("a/1.wav", "a/2.wav", "b/3.wav")
    known = {str(tmp_path / "store" / "2.wav"): Voice("mine/c")}
    assert scoring.voices(pack, [speech], {}) == [Voice(str(speech / one)) for one in "aab"]
    assert scoring.voices(pack, [speech], known)[2] == Voice("mine/c")


def test_both_ways_is_the_lstm_of_torch_on_packed_sequences() -> None:
    """Its states and its gradients, whatever lies behind the frames."""
    torch.manual_seed(0)
    both, theirs = model.BothWays(5, 4), torch.nn.LSTM(5, 4, batch_first=True, bidirectional=True)
    for name, own in theirs.named_parameters():
        part = both.back if name.endswith("_reverse") else both.ahead
        part.get_parameter(name.removesuffix("_reverse")).data.copy_(own.data)
    x, frames = torch.randn(3, 9, 5), torch.tensor([9, 4, 1])
    valid = torch.arange(9) < frames[:, None]
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, frames, batch_first=True, enforce_sorted=False)
    expected = torch.nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)[0]
    given = both(x.masked_fill(~valid[..., None], 7.0), frames)
    torch.testing.assert_close(given[valid], expected[valid])
    weights = torch.randn_like(expected[valid])
    (given[valid] * weights).sum().backward()
    (expected[valid] * weights).sum().backward()
    torch.testing.assert_close(both.back.weight_hh_l0.grad, theirs.weight_hh_l0_reverse.grad)
    torch.testing.assert_close(both.ahead.weight_ih_l0.grad, theirs.weight_ih_l0.grad)


def test_varied_speech_is_another_of_about_its_length_with_few_gaps() -> None:
    mel, rng = torch.randn(100, 80), np.random.default_rng(0)
    several = [varied(mel, rng) for _ in range(20)]
    assert len({len(one) for one in several}) > 5 and all(
        86 <= len(one) <= 117 and one.shape[1] == 80 for one in several
    )
    for one in several:
        assert (one == 0).all(1).sum() <= 2 * 20 and (one == 0).all(0).sum() <= 2 * 15
    again = varied(mel, np.random.default_rng(0))
    assert torch.equal(again, several[0]) and varied(mel[:1], rng).shape[1] == 80


def test_it_learns_strengths_on_speakers_held_out() -> None:
    rng = np.random.default_rng(2)
    wanted = rng.uniform(0, 1, 90)
    mels = [model.log_mel(torch.from_numpy(wave(s, 0.5, rng))).half() for s in wanted]
    emotions, held = pd.Series(np.where(wanted > 0.5, "anger", "neutral")), np.arange(90) >= 70
    epochs: list[training.Epoch] = []
    settings = Settings(epochs=12, rate=1e-2, batch=10, channels=(8, 8, 16, 16))
    network = training.fit(mels, wanted, emotions, held, settings, lambda epoch, _: epochs.append(epoch))
    assert min(epoch.error for epoch in epochs) < 0.6 * epochs[0].constant
    assert epochs[-1].loss < epochs[0].loss and not network.training
    assert all(0 < epoch.best_constant <= epoch.constant for epoch in epochs)
    errors = [epoch.error for epoch in epochs]
    assert [epoch.best for epoch in epochs] == [e < min(errors[:i], default=np.inf) for i, e in enumerate(errors)]


@pytest.mark.parametrize("patience", [None, 3])
def test_a_training_that_diverges_leaves_no_network(patience: int | None) -> None:
    mels = [torch.zeros(20, 80).half() for _ in range(8)]
    mels[3][5, 5] = torch.nan
    emotions, held = pd.Series(["anger", "neutral"] * 4), np.arange(8) >= 6
    settings = Settings(epochs=1, rate=1e-2, batch=2, channels=(2, 2, 2, 2), patience=patience)
    with pytest.raises(UpstreamError, match="epoch 1: the loss is no number"):
        training.fit(mels, np.zeros(8), emotions, held, settings, lambda epoch, _: None)


def test_from_a_table_to_scores_that_masks_follow(table: Path, tmp_path: Path, capsys) -> None:
    cache, file, out = str(tmp_path / "cache"), tmp_path / "strength.safetensors", tmp_path / "scores.parquet"
    common = ["--cache", cache, "--jobs", "1"]
    assert main(["strength", "train", str(table), "--output", str(file), "--epochs", "1", *common]) == 0
    said = capsys.readouterr().out
    assert "anger: 100.0 % of pairs of speakers held out ranked above neutral" in said and "epoch 1: loss" in said
    _, facts = model.load(file)
    assert facts["seen"] == {"mine": "labels"} and facts["recipe"]["epochs"] == 1 and facts["audio"]
    speech, pictures = table.parent / "speech", tmp_path / "pictures"
    words = ["strength", "score", str(file), "--data", str(speech), "--output", str(out), "--pictures", str(pictures)]
    assert main([*words, "--min-seconds", "0.3", "--max-seconds", "0.8", *common, "--speakers", str(table)]) == 0
    assert (
        "relative to the speaker's neutral files in 36 files, to all of the speaker's in 0" in capsys.readouterr().out
    )
    rows = pq.read_table(out).to_pandas()
    assert list(rows.columns) == ["id", "time", "score"] and rows["id"].nunique() == 36
    one = rows[rows["id"] == "aa0.wav"]
    duration = soundfile.info(speech / "aa0.wav").duration
    assert (np.diff(one["time"]) > 0).all() and duration - 0.05 < one["time"].max() < duration
    assert json.loads(pq.read_metadata(out).metadata[b"emorep"])["seen"] == {"mine": "labels"}
    assert len(list(pictures.glob("*.png"))) == 6
    recipe = tiny("masking.kind=intensity", f"scores={out}")
    assert packed(speech, recipe).scores.seen == {"mine": "labels"}


@pytest.mark.parametrize(("published", "kept"), [(["--published"], [1.0, 1.0, 3.0]), ([], [None, None, None])])
def test_a_training_that_is_killed_leaves_its_best_network_so_far(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published: list[str], kept: list[float | None]
) -> None:
    """Where patience ends it. Else the network of an epoch in the middle is none that anybody wants."""
    file, states = tmp_path / "strength.safetensors", list[float | None]()
    network = StrengthNet(Config(("anger", "neutral"), (2, 2, 2, 2), 4))

    def fit(*given) -> StrengthNet:
        for number, best in enumerate((True, False, True), start=1):
            network.score.bias.data.fill_(number)
            given[-1](training.Epoch(number, 1.0, 0.1, 0.2, 0.2, 0.5, best), network)
            states.append(model.load(file)[0].score.bias.item() if file.exists() else None)
        raise UpstreamError("killed")

    monkeypatch.setattr(training, "fit", fit)
    monkeypatch.setattr(training, "functionals", lambda audio, _: np.zeros((len(audio), 3)))
    assert main(["strength", "train", str(table), "--output", str(file), "--jobs", "1", *published]) == 1
    assert states == kept and (not published or model.load(file)[1]["seen"] == {"mine": "labels"})


def test_scores_lie_at_the_middle_of_their_frames(table: Path) -> None:
    torch.manual_seed(0)
    network = StrengthNet(Config(("a", "b"), (2, 2, 2, 2), 4)).eval()
    pack = packed(table.parent / "speech", tiny()).pack
    name, voices = pack.names[4], [Voice(one[0]) for one in pack.names]
    scored = next(one for one in scoring.of_pack(network, pack, voices) if one.id == name)
    colour = scoring.colours(pack, voices)[voices[4].name]
    at, values = scoring.frames(network, torch.from_numpy(pack.samples(4)), colour)
    assert np.array_equal(scored.scores, values) and at[0] == pytest.approx(0.016)
    assert len(at) == (pack.lengths[4] - 512) // 256 + 1
    assert scored.audio == scores.hash_of(pack)[name]


def test_the_model_that_ships_scores_speech_and_says_whose_labels_it_has_seen(table: Path, tmp_path: Path) -> None:
    speech, out = table.parent / "speech", tmp_path / "scores.parquet"
    words = ["--data", str(speech), "--output", str(out), "--cache", str(tmp_path / "cache"), "--jobs", "1"]
    assert main(["strength", "score", "--min-seconds", "0.3", *words]) == 0
    rows, about = pq.read_table(out).to_pandas(), json.loads(pq.read_metadata(out).metadata[b"emorep"])
    assert rows["score"].between(-0.5, 1.5).all() and rows["score"].std() > 0.01
    assert about["seen"] == dict.fromkeys(("nemo", "korean_emotion_tts"), "labels")


def test_pictures_that_cannot_be_written_cost_no_scores(table: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scoring, "draw", full)
    out, pictures = tmp_path / "scores.parquet", tmp_path / "pictures"
    words = ["--data", str(table.parent / "speech"), "--output", str(out), "--cache", str(tmp_path), "--jobs", "1"]
    assert main(["strength", "score", "--min-seconds", "0.3", *words, "--pictures", str(pictures)]) == 1
    assert f"{pictures}: pictures cannot be written (No space left" in capsys.readouterr().err
    assert pq.read_table(out).num_rows


def test_bad_requests_are_one_line(table: Path, tmp_path: Path, capsys) -> None:
    unknown = tmp_path / "unknown.safetensors"
    model.save(unknown, StrengthNet(Config(("a", "b"), (2, 2, 2, 2), 4)), {})
    speech = ["--data", str(table.parent / "speech"), "--cache", str(tmp_path)]
    (nobody := tmp_path / "nobody.csv").write_text("path,emotion\n")
    (others := tmp_path / "others.csv").write_text(f"path,speaker\n{table},a\n")
    cases = [
        (["train", str(table), "--output", str(tmp_path / "no" / "x.safetensors")], "does not exist; make it"),
        (["train", str(table), "--output", str(tmp_path)], "is a folder; name a file in it"),
        (["train", str(table), "--output", "/proc/strength.safetensors"], "no file can be written there"),
        (["score", *speech, "--output", str(tmp_path / "s"), "--pictures", str(unknown)], "--pictures: "),
        (["score", str(unknown), *speech, "--output", str(tmp_path / "s")], "does not say whose labels"),
        (["score", str(table), *speech, "--output", str(tmp_path / "s")], "is damaged or not whole"),
        (["score", str(tmp_path / "none"), *speech, "--output", str(tmp_path / "s")], "none: no such file"),
        (["score", str(unknown), *speech, "--output", str(tmp_path / "s"), "--min-seconds", "0"], "at least 0.032"),
        (["score", *speech, "--output", str(tmp_path / "s"), "--max-seconds", "inf"], "at least 0.032"),
        (["score", *speech, "--output", str(tmp_path / "s"), "--speakers", str(nobody)], "has no column speaker"),
        (["score", *speech, "--output", str(tmp_path / "s"), "--speakers", str(others)], "names no file of the speech"),
    ]
    for words, said in cases:
        assert main(["strength", *words]) == 1
        shown = capsys.readouterr().err
        assert said in shown and shown.count("\n") == 1
