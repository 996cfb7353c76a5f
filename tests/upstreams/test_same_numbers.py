"""Our features are the libraries' own: transformers' and s3prl's, on the same weights and the same waveform."""

from pathlib import Path

import pytest
import torch

import upstreams
from studies.s3prl_checkpoints import for_s3prl
from tests.upstreams.sounds import noise
from upstreams.frozen import Frozen
from upstreams.huggingface import factories
from upstreams.huggingface.encoder import Encoder
from upstreams.huggingface.named_encoders import BASE, BIASED, LAYER_NORM
from upstreams.huggingface.weights import Seeded
from upstreams.torchaudio_repair import repair

# s3prl has no projection where both widths are equal, transformers always has one.
LITTLE = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64} | {
    "conv_dim": [32] * 7
}
FULL = ["wav2vec2_base", "hubert_base", "wavlm_base", "data2vec_base"]
LARGE_KIND = [("Wav2Vec2", BIASED), ("Hubert", BIASED), ("WavLM", LAYER_NORM), ("Data2VecAudio", {})]


def check_same(encoder: Encoder, family: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One utterance at a time, all layers; the last behind the final norm."""
    module = encoder.build()
    peer = upstreams.load(for_s3prl(family, module, folder / "checkpoint.pt"))
    waves = [
        torch.from_numpy(noise(seconds, seed)) for seed, seconds in enumerate((0.5, 1.9))
    ]  # 94 frames: beyond WavLM's exact distances, 80
    waves = [(wave - wave.mean()) / wave.std(correction=0) for wave in waves]  # normalised once for all
    with torch.inference_mode():
        plain = [module(wave[None], output_hidden_states=True) for wave in waves]
    monkeypatch.setattr(encoder, "build", lambda: module)
    ours = Frozen(encoder, family)
    assert (peer.depth, peer.width, peer.audio) == (ours.depth, ours.width, ours.audio)
    for wave, library in zip(waves, plain, strict=True):
        (mine,) = ours([wave])
        (theirs,) = peer([wave])
        whole = torch.stack([*library.hidden_states[:-1], library.last_hidden_state])[:, 0]
        assert mine.shape[1] == (len(wave) - 400) // 320 + 1
        torch.testing.assert_close(mine, whole, atol=1e-4, rtol=0)
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", FULL)
def test_full_size_models_agree_with_both_libraries(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, family = factories.random(name), factories.MODELS[name].family
    assert encoder.weights.configuration == BASE
    if name != "wavlm_base":  # one of them in full depth: all twelve blocks of a model are built alike
        encoder = factories.FAMILIES[family](Seeded(family, BASE | {"num_hidden_layers": 3}, 0), name, {})
    check_same(encoder, family, tmp_path, monkeypatch)


@pytest.mark.parametrize(("family", "kind"), LARGE_KIND)
def test_layer_norm_models_agree_with_both_libraries(
    family: str, kind: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = factories.FAMILIES[family](Seeded(family, LITTLE | kind, 3), family, {})
    check_same(encoder, family, tmp_path, monkeypatch)


def pitches() -> list[torch.Tensor]:
    """A waveform as it is, quiet, off zero, and a longer one."""
    wave = torch.from_numpy(noise(0.5))
    return [wave, 0.1 * wave, wave + 0.3, torch.from_numpy(noise(0.9, 1))]


@pytest.mark.parametrize("normalise", [True, False])
def test_a_waveform_is_normalised_as_the_librarys_extractor_does_where_its_settings_say_so(
    normalise: bool, tmp_path: Path
) -> None:
    repair()
    from transformers import Wav2Vec2FeatureExtractor

    module = factories.FAMILIES["Wav2Vec2"](Seeded("Wav2Vec2", LITTLE | BIASED, 3), "", {}).build()
    extractor = Wav2Vec2FeatureExtractor(do_normalize=normalise)
    module.save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    ours = upstreams.load(f"hf:{tmp_path}")
    assert ours.normalisation.startswith("zero mean, unit variance" if normalise else "none")
    together = ours(pitches())
    for wave, batched in zip(pitches(), together, strict=True):
        inputs = extractor(wave.numpy(), sampling_rate=16000, return_tensors="pt")["input_values"]
        with torch.inference_mode():
            library = module(inputs, output_hidden_states=True)
        whole = torch.stack([*library.hidden_states[:-1], library.last_hidden_state])[:, 0]
        torch.testing.assert_close(ours([wave])[0], whole, atol=1e-4, rtol=0)
        torch.testing.assert_close(batched, whole, atol=1e-4, rtol=0)
    apart = [float((together[0] - other).abs().max()) for other in together[1:3]]  # by scale, by offset
    assert max(apart) < 0.01 if normalise else min(apart) > 1


@pytest.mark.parametrize("family", ["Wav2Vec2", "WavLM"])
def test_s3prl_normalises_where_the_checkpoint_says_so_with_an_epsilon_of_its_own(family: str, tmp_path: Path) -> None:
    """It adds 1e-5 to the variance, transformers 1e-7: the same for loud speech, another waveform for quiet speech."""
    encoder = factories.FAMILIES[family](Seeded(family, LITTLE | BIASED, 3), family, {})
    module = encoder.build()
    name = for_s3prl(family, module, tmp_path / "checkpoint.pt")
    content = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    content["cfg" if family == "WavLM" else "task_cfg"]["normalize"] = True
    torch.save(content, tmp_path / "checkpoint.pt")
    peer, ours = upstreams.load(name), Frozen(encoder, family)
    for wave in pitches():
        (theirs,) = peer([wave])
        with torch.inference_mode():
            library = module(torch.nn.functional.layer_norm(wave, wave.shape)[None], output_hidden_states=True)
        whole = torch.stack([*library.hidden_states[:-1], library.last_hidden_state])[:, 0]
        torch.testing.assert_close(theirs, whole, atol=1e-4, rtol=0)
    loud = 20 * pitches()[0]
    torch.testing.assert_close(peer([loud])[0], ours([loud])[0], atol=1e-3, rtol=0)
