"""emotion2vec by its names: published, ours and random, from a file, a run, a cache or the hub."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import upstreams
from commons.errors import EmorepError, NotThere
from commons.places import Places
from tests.upstreams import sounds
from tests.upstreams.emotion2vec.recipes import TINY, TINY_MEL, golden_weights, noise, tiny
from upstreams import UpstreamError
from upstreams.__main__ import main
from upstreams.checks import check
from upstreams.emotion2vec import checkpoint
from upstreams.emotion2vec import upstream as shipped
from upstreams.emotion2vec.config import BASE, LARGE, SMALL, ModelConfig
from upstreams.emotion2vec.official import FILES, MODELS
from upstreams.emotion2vec.upstream import OURS
from upstreams.named import record_name_of

NOBODY = "http://127.0.0.1:9"  # where nobody answers


def published_file(path: Path, config: ModelConfig) -> Path:
    torch.save({"cfg": None, "model": golden_weights(tiny(config))}, path)
    return path


def ours(path: Path, config: ModelConfig = TINY, **facts: object) -> Path:
    path.parent.mkdir(exist_ok=True)
    checkpoint.write(path, config, golden_weights(tiny(config)), facts)
    return path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published models at a size that tests can bear; all else about them stays."""
    for name, model in list(MODELS.items()):
        monkeypatch.setitem(MODELS, name, replace(model, config=replace(TINY, classes=model.config.classes)))


def test_the_published_models_are_what_they_are() -> None:
    base = MODELS["emotion2vec_base"].config
    assert (base.hop, base.min_samples, base.blocks + 1, base.dim) == (320, 400, 13, 768)
    for model in MODELS.values():
        assert len(model.labels) == model.config.classes and (model.config.dim == 1024) == model.name.endswith("large")
        assert replace(model.config, classes=0) in (BASE, LARGE)
    assert MODELS["emotion2vec_base"].seen == dict.fromkeys(
        ["iemocap", "meld", "cmu_mosei", "mead", "msp_podcast", "librispeech"], "audio"
    )
    for size in ("seed", "base", "large"):
        seen = MODELS[f"emotion2vec_plus_{size}"].seen
        assert isinstance(seen, dict)
        assert {seen[corpus] for corpus in ("emodb", "ravdess", "urdu", "iemocap", "meld")} == {"labels"}
        assert seen["cmu_mosei"] == "audio"


@pytest.mark.parametrize("name", MODELS)
def test_a_published_file_is_an_upstream(name: str, small: None, tmp_path: Path) -> None:
    path = published_file(tmp_path / "model.pt", MODELS[name].config)
    upstream = upstreams.load(f"{name}@{path}")
    facts = (*vars(upstream.audio).values(), upstream.depth, upstream.width)
    assert facts == (16000, 320, 400, 30.0, 4, 32) and upstream.title == MODELS[name].title
    assert upstream.seen == MODELS[name].seen
    wave = noise(8000)
    with torch.inference_mode():
        expected = tiny(MODELS[name].config)(wave[None])[0].hidden
    assert torch.equal(upstream([wave])[0], torch.cat(expected))


@pytest.mark.parametrize("config", [TINY, TINY_MEL], ids=["waveform", "log_mel"])
def test_ours_keeps_the_contract(config: ModelConfig, tmp_path: Path) -> None:
    path = ours(tmp_path / "a.safetensors", config, step=500, hours=9.75, seen={"demo": "audio"})
    name = f"emotion2vec@{path}"
    assert "the same alone" in "".join(check(name))
    upstream = upstreams.load(name)
    assert upstream.title == "emotion2vec (ours, 9.75 h, 500 steps)" and upstream.seen == {"demo": "audio"}
    assert upstreams.load(f"emotion2vec@{ours(tmp_path / 'b.safetensors', config)}").seen == "unknown"
    waves = [noise(n) for n in (9000, config.min_samples, 16000)]
    for wave, together in zip(waves, upstream.model(waves), strict=True):
        torch.testing.assert_close(together, upstream([wave])[0], rtol=1e-5, atol=1e-5)


def test_the_fingerprint_follows_the_weights(tmp_path: Path) -> None:
    def fingerprint(file: str, **facts: object) -> str:
        return upstreams.load(f"emotion2vec@{ours(tmp_path / file, **facts)}").fingerprint()

    one = fingerprint("a.safetensors")
    assert one == fingerprint("b.safetensors")
    weights = golden_weights(tiny())
    weights["blocks.0.norm1.bias"] += 1e-6
    checkpoint.write(tmp_path / "a.safetensors", TINY, weights, {})
    assert upstreams.load(f"emotion2vec@{tmp_path / 'a.safetensors'}").fingerprint() != one


def test_random_weights_follow_the_seed() -> None:
    one, again, other = (upstreams.load(f"random:emotion2vec{seed}") for seed in ("", "@0", "@1"))
    assert (one.depth, one.width, one.audio.hop) == (SMALL.blocks + 1, SMALL.dim, 320) and one.seen == {}
    wave = noise(8000)
    assert torch.equal(one([wave])[0], again([wave])[0]) and one.fingerprint() == again.fingerprint()
    assert not torch.allclose(one([wave])[0], other([wave])[0]) and one.fingerprint() != other.fingerprint()
    base = upstreams.load("random:emotion2vec_base")
    assert (base.depth, base.width) == (13, 768)


def test_long_audio_comes_in_windows_through_the_store(tmp_path: Path) -> None:
    path = ours(tmp_path / "a.safetensors")
    table = sounds.speak(tmp_path, [sounds.noise(seconds, i) for i, seconds in enumerate((1.0, 61.0, 0.01))])
    identity = upstreams.identify(upstreams.resolve(f"emotion2vec@{path}"))
    features = upstreams.extract(identity, table, {"pooled"}, upstreams.Extraction(tmp_path / "cache", "cpu", jobs=1))
    assert (features.counts["windowed"], features.counts["padded"], features.depth) == (1, 1, 4)
    assert np.isfinite(features.pooled[:]).all()


def test_a_run_is_its_last_checkpoint_and_expands_to_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for step in (900, 1000, 50):
        ours(tmp_path / "run" / f"step-{step:08d}.safetensors", step=step)
    (tmp_path / "run" / "state.pt").touch()
    names = [f"emotion2vec@run/step-{step:08d}.safetensors" for step in (50, 900, 1000)]
    assert upstreams.resolve("emotion2vec@run").name == names[-1]
    assert [upstreams.resolve(name).name for name in upstreams.expand("emotion2vec@run/*")] == names
    assert upstreams.load(names[0]).title == "emotion2vec (ours, 50 steps)"
    assert upstreams.expand("fbank") == ["fbank"] and upstreams.expand("a.py:B@c/*") == ["a.py:B@c/*"]


def test_a_folder_without_checkpoints_is_no_run(tmp_path: Path) -> None:
    for name in (f"emotion2vec@{tmp_path}", f"emotion2vec@{tmp_path}/*"):
        with pytest.raises(EmorepError, match="holds no checkpoint of a run"):
            [upstreams.resolve(one) for one in upstreams.expand(name)]
    with pytest.raises(NotThere, match="folder of a run"):
        upstreams.expand(f"emotion2vec@{tmp_path}/none/*")


def test_labels_in_records_hold_no_home(tmp_path: Path) -> None:
    label = record_name_of(f"emotion2vec@{tmp_path}/step-00000050.safetensors")
    assert re.fullmatch(rf"emotion2vec@{tmp_path.name}~[0-9a-f]{{8}}/step-00000050\.safetensors", label)
    later = record_name_of(f"emotion2vec@{tmp_path}/step-00000900.teacher.safetensors")
    assert later.rpartition("/")[0] == label.rpartition("/")[0]  # one run is one curve
    twin = record_name_of(f"emotion2vec@/elsewhere/{tmp_path.name}/step-00000050.safetensors")
    assert twin != label and twin.rpartition("/")[2] == label.rpartition("/")[2]
    assert re.fullmatch(
        r"emotion2vec@mine\.safetensors~[0-9a-f]{8}", record_name_of("emotion2vec@/home/mine.safetensors")
    )


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub cannot be reached; returns the folder of its cache."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", NOBODY)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.mark.parametrize("name", MODELS)
def test_offline_says_what_to_download_and_where_to_put_it(name: str, tmp_path: Path, no_network: Path) -> None:
    with pytest.raises(UpstreamError) as refused:
        upstreams.load(name, places=Places(modelscope=tmp_path))
    for words in (*FILES, f"emotion2vec/{name}", f"iic/{name}", f"{name}@FILE", "ConnectError"):
        assert words in str(refused.value)


def test_label_without_a_network_fails_with_one_line(tmp_path: Path) -> None:
    """It does not try again and again, with a warning each time."""
    environment = os.environ | {"HF_ENDPOINT": NOBODY, "HF_HOME": str(tmp_path), "MODELSCOPE_CACHE": str(tmp_path)}
    command = [sys.executable, "-m", "upstreams", "label", "a.wav"]
    done = subprocess.run(command, cwd=sounds.ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert re.fullmatch(r"error: emotion2vec_plus_base: .* cannot be downloaded .*@FILE\n", done.stderr)


def test_caches_come_before_the_hub(small: None, tmp_path: Path, no_network: Path) -> None:
    repository, commit = no_network / "models--emotion2vec--emotion2vec_base", "0" * 40
    (repository / "snapshots" / commit).mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    there = published_file(repository / "snapshots" / commit / FILES[-1], TINY)
    places = Places(modelscope=tmp_path)
    from_hub = upstreams.load("emotion2vec_base", places=places).fingerprint()
    funasr = tmp_path / "hub" / "models" / "iic" / "emotion2vec_base" / FILES[0]
    funasr.parent.mkdir(parents=True)
    there.rename(funasr)
    assert upstreams.load("emotion2vec_base", places=places).fingerprint() == from_hub


def test_import_writes_what_loads_the_same(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checkpoint, "BASE", TINY)
    path = published_file(tmp_path / "model.pt", replace(TINY, classes=9))
    assert main(["import", str(path)]) == 0
    assert "0.06 M parameters" in capsys.readouterr().out
    imported = tmp_path / "model.safetensors"
    one, other = (checkpoint.read(file, MODELS["emotion2vec_plus_base"].config) for file in (path, imported))
    assert one.config == other.config and other.facts["imported"] == "model.pt"
    assert all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)
    before = imported.read_bytes()
    assert main(["import", str(path)]) == 1 and "exists" in capsys.readouterr().err
    assert imported.read_bytes() == before
    assert main(["import", str(path), "--output", str(tmp_path / "none" / "a.safetensors")]) == 1
    assert main(["import", str(tmp_path / "absent.pt")]) == 1
    assert "absent.pt cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.labels])
def test_label_gives_the_probabilities_of_trained_classes(
    name: str, small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = MODELS[name]
    path, wav, long = published_file(tmp_path / "model.pt", model.config), tmp_path / "a.wav", tmp_path / "b.wav"
    soundfile.write(wav, noise(16000).numpy(), 16000, subtype="FLOAT")
    soundfile.write(long, sounds.noise(40), 16000)
    (tmp_path / "bad.wav").write_text("no audio")
    files = [str(wav), str(tmp_path / "bad.wav"), str(tmp_path / "absent.wav"), str(long)]
    assert main(["label", *files, "-u", f"{name}@{path}"]) == 1
    shown = capsys.readouterr()
    assert all(file in shown.err for file in files[1:3])
    header, *rows = csv.reader(io.StringIO(shown.out))
    used = [label for label in model.labels if not label.startswith("unuse")]
    assert header == ["file", "label", *used] and [row[0] for row in rows] == [files[0], files[3]]
    network = tiny(model.config)
    with torch.no_grad():
        logits = network.proj(network(noise(16000)[None])[0].hidden[-1].mean(1))[0]
    logits[[label not in used for label in model.labels]] = -torch.inf
    expected = [share for share in logits.softmax(0).tolist() if share]
    np.testing.assert_allclose([float(share) for share in rows[0][2:]], expected, atol=1e-4)
    assert rows[0][1] == used[int(np.argmax(expected))]


def test_label_needs_a_model_with_classes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["label", "a.wav", "-u", "emotion2vec_base"]) == 2
    assert "known: emotion2vec_base_finetuned" in capsys.readouterr().err


@pytest.mark.parametrize("config", [TINY, TINY_MEL], ids=["waveform", "log_mel"])
def test_bf16_is_near_fp32(config: ModelConfig, tmp_path: Path) -> None:
    name = f"emotion2vec@{ours(tmp_path / 'a.safetensors', config)}"
    fp32, bf16 = upstreams.load(name), upstreams.load(name, precision="bf16")
    wave = noise(16000)
    one, other = fp32([wave])[0], bf16([wave])[0].float()
    assert 0 < float((one - other).abs().max() / one.abs().max()) < 0.1


def test_ours_ships() -> None:
    """Small enough for a repository, with a licence beside it, and marked where its speech is a corpus here."""
    made = upstreams.load("emotion2vec")
    assert OURS.stat().st_size <= 25e6 and "NonCommercial" in (OURS.parent / "LICENSE").read_text()
    assert made.licence.startswith("CC BY-NC-SA 4.0")
    assert made.display_name == made.title == "emotion2vec-small (ours, 10 h)"
    assert made.seen == dict.fromkeys(["nemo", "indian_emospeech", "korean_emotion_tts"], "audio")
    config = checkpoint.read(OURS).config
    assert replace(config, decoder_depth=SMALL.decoder_depth) == SMALL
    layers = made([noise(16000)])[0]
    assert layers.shape == (SMALL.blocks + 1, 47, SMALL.dim) and layers.isfinite().all()


@pytest.mark.parametrize("place", [12, 2000, -7_000_000, -1])
def test_a_flipped_bit_in_the_weights_we_ship_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    content = bytearray(OURS.read_bytes())
    content[place] ^= 1
    (tmp_path / OURS.name).write_bytes(content)
    monkeypatch.setattr(shipped, "OURS", tmp_path / OURS.name)
    with pytest.raises(UpstreamError, match=r"emotion2vec\.safetensors is damaged: its sha256 is"):
        upstreams.identify(upstreams.resolve("emotion2vec"))


def test_weights_we_ship_that_change_after_they_were_named_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / OURS.name).write_bytes(OURS.read_bytes())
    monkeypatch.setattr(shipped, "OURS", tmp_path / OURS.name)
    upstream = upstreams.load("emotion2vec")
    content = bytearray(OURS.read_bytes())
    content[-1000] ^= 1
    (tmp_path / OURS.name).write_bytes(content)
    for use in (upstream.fingerprint, lambda: upstream([noise(16000)])):
        with pytest.raises(UpstreamError, match="is damaged"):
            use()


def test_the_fingerprint_of_ours_is_that_of_earlier_versions() -> None:
    made = "b24c48b179979b6b8d28648f88e113af40deb251802115050b6df50e9e4ee8e6"
    assert upstreams.load("emotion2vec").fingerprint() == made
