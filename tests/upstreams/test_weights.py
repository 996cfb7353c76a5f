"""Stored weights: folders, the hub's cache, and every way in which a copy can be wrong. Nothing is downloaded."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import upstreams
from commons.errors import EmorepError
from commons.places import Places
from tests.upstreams.copies import WAVE, store
from tests.upstreams.sounds import ROOT, noise
from upstreams import UpstreamError
from upstreams.huggingface import factories
from upstreams.huggingface.named_encoders import BASE, MODELS

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny wav2vec 2.0 as `save_pretrained` writes it."""
    return store("wav2vec2_base", tmp_path / "tiny")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


Tensors = dict[str, torch.Tensor]


def rewrite(folder: Path, change: Callable[[Tensors], Tensors]) -> None:
    weights = folder / "model.safetensors"
    save_file(change(load_file(weights)), weights)


@pytest.mark.parametrize(
    "name", [name for name in MODELS if name not in ("whisper_base", "wavlm_base_plus", "mms_300m")]
)
def test_a_stored_model_gives_what_it_gave_before(name: str, tmp_path: Path) -> None:
    original = factories.random(name, small=True)
    waves = [torch.from_numpy(noise(0.5))]
    with torch.inference_mode():
        expected = original(waves)[0]
    place = store(name, tmp_path / "copy", normalise=True)
    if name == "wavlm_base_plus_sv":  # a folder's model_type alone does not say that it ends in an embedding
        stored = factories.FAMILIES["WavLMForXVector"](factories.Stored(place, "copy"), "", {})
        with torch.inference_mode():
            assert torch.equal(stored(waves)[0], expected)
        return
    upstream = upstreams.load(f"hf:{place}")
    assert torch.equal(upstream(waves)[0], expected)
    assert (upstream.seen, upstream.weights) == ("unknown", "copy")


def test_names_of_older_files_and_of_larger_models_are_understood(folder: Path) -> None:
    expected = upstreams.load(f"hf:{folder}")(WAVE)[0]

    def older(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        renamed = {"lm_head.weight": torch.zeros(3, 32)}
        for name, tensor in weights.items():
            name = name.replace("parametrizations.weight.original0", "weight_g")
            renamed["wav2vec2." + name.replace("parametrizations.weight.original1", "weight_v")] = tensor.half().float()
        return renamed

    rewrite(folder, lambda weights: {name: tensor.half().float() for name, tensor in weights.items()})
    rounded = upstreams.load(f"hf:{folder}")(WAVE)[0]
    rewrite(folder, older)
    assert torch.equal(upstreams.load(f"hf:{folder}")(WAVE)[0], rounded) and not torch.equal(rounded, expected)
    assert "weight_g" in str(list(load_file(folder / "model.safetensors")))


def test_pickled_weights_and_weights_in_parts_are_read(folder: Path) -> None:
    expected = upstreams.load(f"hf:{folder}")(WAVE)[0]
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    assert torch.equal(upstreams.load(f"hf:{folder}")(WAVE)[0], expected)
    (folder / "pytorch_model.bin").unlink()
    parts: list[dict[str, torch.Tensor]] = [{}, {}]
    for number, (name, tensor) in enumerate(weights.items()):
        parts[number % 2][name] = tensor
    place = {}
    for number, part in enumerate(parts):
        save_file(part, folder / f"model-{number}.safetensors")
        place |= dict.fromkeys(part, f"model-{number}.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": place}))
    assert torch.equal(upstreams.load(f"hf:{folder}")(WAVE)[0], expected)
    (folder / "model-1.safetensors").unlink()
    with pytest.raises(UpstreamError, match=r"lacks model-1\.safetensors"):
        upstreams.load(f"hf:{folder}").fingerprint()


def test_a_fingerprint_follows_weights_configuration_and_normalisation(folder: Path, tmp_path: Path) -> None:
    fingerprints = {upstreams.load(f"hf:{folder}").fingerprint()}
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "README.md").write_text("a card")
    assert upstreams.load(f"hf:{tmp_path / 'copy'}").fingerprint() in fingerprints
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True}))
    fingerprints.add(upstreams.load(f"hf:{folder}").fingerprint())
    rewrite(folder, lambda weights: weights | {"encoder.layer_norm.bias": weights["encoder.layer_norm.bias"] + 1e-6})
    fingerprints.add(upstreams.load(f"hf:{folder}").fingerprint())
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | {"layer_norm_eps": 1e-6}))
    fingerprints.add(upstreams.load(f"hf:{folder}").fingerprint())
    assert len(fingerprints) == 4


def test_a_fingerprint_follows_the_class_and_the_library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = factories.Stored(folder, "copy")
    fingerprints = {
        factories.FAMILIES[family](stored, "", {}).fingerprint() for family in ("WavLM", "Hubert", "WavLMForXVector")
    }
    random = upstreams.load("random:wav2vec2_base").fingerprint()
    monkeypatch.setattr("upstreams.huggingface.weights.version", lambda package: "0.1")
    fingerprints.add(factories.FAMILIES["WavLM"](stored, "", {}).fingerprint())
    assert len(fingerprints) == 4
    assert upstreams.load("random:wav2vec2_base").fingerprint() != random


def test_facts_and_fingerprint_of_a_stored_model_import_no_heavy_package(folder: Path) -> None:
    source = (
        f"import sys, upstreams; upstreams.load('hf:{folder}').fingerprint();"
        "print(*{'torch', 'transformers', 'torchaudio'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def small_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row of wav2vec2_base for the tiny model."""
    row = MODELS["wav2vec2_base"]
    monkeypatch.setitem(
        MODELS, "wav2vec2_base", row.__class__(**{**vars(row), "settings": factories.tiny("wav2vec2_base")})
    )


def test_a_named_model_comes_from_the_hubs_cache_with_its_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_row(monkeypatch)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--facebook--wav2vec2-base"
    store("wav2vec2_base", repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    upstream = upstreams.load("wav2vec2_base")
    assert upstream.weights == f"facebook/wav2vec2-base@{COMMIT}"
    assert upstream.seen == {"librispeech": "audio"} and upstream.title == "wav2vec 2.0 base"
    assert upstream.licence == "Apache-2.0"
    assert upstream(WAVE)[0].isfinite().all()
    for name in ("hf:facebook/wav2vec2-base", f"hf:facebook/wav2vec2-base@{COMMIT}"):
        pinned = upstreams.load(name)
        assert pinned.seen == "unknown" and pinned.fingerprint() == upstream.fingerprint()
    with pytest.raises(UpstreamError, match="--revision abc"):
        upstreams.load("hf:facebook/wav2vec2-base@abc")


def test_a_cached_copy_without_its_preprocessor_is_used_where_none_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name in ("whisper_tiny", "w2v_bert_2", "wav2vec2_base"):
        snapshot = tmp_path / f"models--some--{name}" / "snapshots" / COMMIT
        (store(name, snapshot) / "preprocessor_config.json").unlink()
        (tmp_path / f"models--some--{name}" / "refs").mkdir()
        (tmp_path / f"models--some--{name}" / "refs" / "main").write_text(COMMIT)
    assert upstreams.load("hf:some/whisper_tiny").weights == f"some/whisper_tiny@{COMMIT}"
    assert upstreams.load("hf:some/w2v_bert_2").weights == f"some/w2v_bert_2@{COMMIT}"
    with pytest.raises(UpstreamError, match="cannot be downloaded"):  # only this file says whether to normalise
        upstreams.load("hf:some/wav2vec2_base")


def test_a_repository_without_a_configuration_is_told_as_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upstreams.hub.files", lambda *_: (COMMIT, ["model.ckpt", "hyperparams.yaml"]))
    with pytest.raises(
        UpstreamError, match=r"some/ckpt: has no config\.json, .*it holds model\.ckpt, hyperparams\.yaml"
    ):
        upstreams.load("hf:some/ckpt")


def test_outputs_have_names_whatever_the_configuration_says(tmp_path: Path) -> None:
    folder = store("wav2vec2_base", tmp_path / "own")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"return_dict": False}))
    made = upstreams.load(f"hf:{folder}")
    assert made([torch.ones(3200)])[0].shape[0] == made.depth


def test_a_folder_of_copies_stands_for_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_row(monkeypatch)
    store("wav2vec2_base", tmp_path / "facebook" / "wav2vec2-base")
    assert upstreams.load("wav2vec2_base", places=Places(weights=tmp_path)).weights == "facebook/wav2vec2-base"


def test_a_named_model_takes_a_folder_and_then_nobody_says_what_trained_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_row(monkeypatch)
    upstream = upstreams.load(f"wav2vec2_base@{folder}")
    assert upstream.seen == "unknown" and upstream.weights == "tiny" and upstream.licence == ""
    for name in (f"wav2vec2_base@{folder}", f"hf:{folder}"):
        assert str(folder.parent) not in upstreams.resolve(name).record_name


def test_with_neither_network_nor_copy_it_says_what_to_fetch_and_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UpstreamError) as refused:
        upstreams.load("wav2vec2_base")
    said = str(refused.value)
    for words in (
        "hf download facebook/wav2vec2-base",
        "'model*.safetensors*'",
        "'pytorch_model*.bin*'",
        "wav2vec2_base@FOLDER",
        "EMOREP_WEIGHTS",
    ):
        assert words in said


def test_a_folder_of_another_model_than_the_name_is_refused(folder: Path) -> None:
    assert BASE["hidden_size"] == 768
    with pytest.raises(UpstreamError, match=r"another model than wav2vec2_base \(hidden_size 32, expected 768.*hf:"):
        upstreams.load(f"wav2vec2_base@{folder}")


def test_weights_of_another_model_are_listed(folder: Path, tmp_path: Path) -> None:
    other = store("data2vec_base", tmp_path / "other")
    shutil.copy(other / "model.safetensors", folder)
    with pytest.raises(UpstreamError, match=r"weights of another model .*missing: encoder\.pos_conv_embed"):
        upstreams.load(f"hf:{folder}")(WAVE)
    rewrite(store("wav2vec2_base", folder), lambda weights: weights | {"encoder.layer_norm.bias": torch.zeros(7)})
    with pytest.raises(UpstreamError, match=r"1 of another shape: encoder\.layer_norm\.bias \(7,\), expected \(32,\)"):
        upstreams.load(f"hf:{folder}")(WAVE)


@pytest.mark.parametrize("other", ["wavlm_base", "hubert_base", "data2vec_base"])
def test_a_name_takes_no_model_of_another_type(other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same sizes, and with tensors that would fit: only the configuration tells them apart."""
    small_row(monkeypatch)
    place = store(other, tmp_path / "facebook" / "wav2vec2-base")
    places = Places(weights=tmp_path)
    for name in ("wav2vec2_base", f"wav2vec2_base@{place}"):
        with pytest.raises(
            UpstreamError, match=r"another model than wav2vec2_base \(model_type .*expected wav2vec2.*hf:"
        ):
            upstreams.load(name, places=places)
    content = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(content | {"model_type": "wav2vec2"}))
    with pytest.raises(UpstreamError, match=r"another model than wav2vec2_base \(architectures "):
        upstreams.load("wav2vec2_base", places=places)
    with pytest.raises(UpstreamError, match=r"config\.json contradicts itself: model_type wav2vec2, architectures "):
        upstreams.load(f"hf:{place}")


def test_weights_that_hold_more_than_the_configuration_says_are_refused(folder: Path, tmp_path: Path) -> None:
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | {"num_hidden_layers": 1}))
    with pytest.raises(UpstreamError, match=r"16 left over: encoder\.layers\.1\."):
        upstreams.load(f"hf:{folder}")(WAVE)
    (folder / "config.json").write_text(json.dumps(content))
    shutil.copy(store("wavlm_base", tmp_path / "other") / "model.safetensors", folder)
    with pytest.raises(UpstreamError, match=r"left over: encoder\.layers\.0\.attention\.gru_rel_pos_const"):
        upstreams.load(f"hf:{folder}")(WAVE)
    rewrite(folder, lambda weights: {f"wav2vec2.{name}": tensor for name, tensor in weights.items()})
    with pytest.raises(UpstreamError, match=r"left over: wav2vec2\.encoder\.layers\.0\.attention\.gru_rel_pos_const"):
        upstreams.load(f"hf:{folder}")(WAVE)


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("kept", [0, 5, 4000])
def test_truncated_weights_say_so(folder: Path, file: str, kept: int) -> None:
    weights = load_file(folder / "model.safetensors")
    if file != "model.safetensors":
        (folder / "model.safetensors").unlink()
        torch.save(weights, folder / file)
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[:kept])
    with pytest.raises(UpstreamError, match=f"{file} is truncated or damaged"):
        upstreams.load(f"hf:{folder}")(WAVE)


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("went_off"),))


def test_weights_that_hold_code_are_refused_and_it_does_not_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Bomb()}, folder / "pytorch_model.bin")
    with pytest.raises(UpstreamError, match="is refused: it is a pickle of more than plain weights"):
        upstreams.load(f"hf:{folder}")(WAVE)
    assert not (folder / "went_off").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: (f / "config.json").unlink(), r"has no config\.json \(it holds model\.safetensors"),
        (lambda f: (f / "config.json").write_text("{"), r"config\.json cannot be read as JSON"),
        (lambda f: (f / "config.json").write_text("[]"), "expected a JSON object"),
        (
            lambda f: (f / "config.json").write_text('{"model_type": "gpt2"}'),
            "model_type 'gpt2'; expected one of wav2vec2",
        ),
        (lambda f: (f / "model.safetensors").unlink(), r"has no weights; expected model\.safetensors or"),
    ],
)
def test_a_folder_that_is_no_model_says_what_it_lacks(
    folder: Path, change: Callable[[Path], object], words: str
) -> None:
    change(folder)
    with pytest.raises(UpstreamError, match=words):
        upstreams.load(f"hf:{folder}").fingerprint()


@pytest.mark.parametrize("index", ['{"weight_map": []}', '{"weight_map": {"a": 3}}', '{"weight_map": {}}', "{}"])
def test_an_index_that_names_no_files_says_so(folder: Path, index: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(UpstreamError, match=r"model\.safetensors\.index\.json names no files"):
        upstreams.load(f"hf:{folder}").fingerprint()


def test_a_name_takes_a_folder_and_no_file(folder: Path) -> None:
    with pytest.raises(UpstreamError, match=r"model\.safetensors is not a folder; wav2vec2_base@FOLDER"):
        upstreams.load(f"wav2vec2_base@{folder / 'model.safetensors'}")


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n", "a pointer of git-lfs"),
        ("\n<!DOCTYPE html><html>404</html>", "a web page"),
    ],
)
def test_what_is_often_found_in_place_of_weights_is_named(folder: Path, file: str, content: str, words: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / file).write_text(content)
    with pytest.raises(UpstreamError, match=f"{file} is {words}"):
        upstreams.load(f"hf:{folder}")(WAVE)


def test_a_folder_that_is_not_there_is_no_repository(tmp_path: Path) -> None:
    for name in (f"hf:{tmp_path}/nothing", "hf:./nothing", "hf:a/b/c"):
        with pytest.raises(EmorepError, match="folder"):
            upstreams.resolve(name)
    assert upstreams.resolve("HF:facebook/wav2vec2-base").name == "hf:facebook/wav2vec2-base"
