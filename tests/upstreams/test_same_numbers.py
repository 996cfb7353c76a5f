"""Our features are the libraries' own: transformers' and s3prl's, on the same weights and the same waveform."""

from pathlib import Path
from typing import Any

import pytest
import torch

import upstreams
from benchmarks.checkpoints import for_s3prl
from tests.upstreams.sounds import noise
from upstreams.contract import Frozen
from upstreams.huggingface import factories
from upstreams.huggingface.encoder import Encoder
from upstreams.huggingface.models import BASE, BIASED, LAYER_NORM
from upstreams.huggingface.weights import Seeded

# s3prl has no projection where both widths are equal, transformers always has one.
LITTLE = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64} | {
    "conv_dim": [32] * 7
}
FULL = ["wav2vec2_base", "hubert_base", "wavlm_base", "data2vec_base"]
LARGE_KIND = [("Wav2Vec2", BIASED), ("Hubert", BIASED), ("WavLM", LAYER_NORM), ("Data2VecAudio", {})]


def compare(encoder: Encoder, family: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One utterance at a time, all layers; the last behind the final norm."""
    module: Any = encoder.build()
    peer = upstreams.load(for_s3prl(family, module, folder / "checkpoint.pt"))
    waves = [torch.from_numpy(noise(seconds, seed)) for seed, seconds in enumerate((0.5, 0.82))]
    waves = [(wave - wave.mean()) / wave.std(correction=0) for wave in waves]  # normalised once for all
    with torch.inference_mode():
        plain = [module(wave[None], output_hidden_states=True) for wave in waves]
    monkeypatch.setattr(encoder, "build", lambda: module)
    ours = Frozen(encoder, family)
    assert (peer.depth, peer.width, peer.hop, peer.min_samples) == (ours.depth, ours.width, ours.hop, ours.min_samples)
    for wave, library in zip(waves, plain, strict=True):
        (mine,) = ours([wave])
        (theirs,) = peer([wave])
        whole = torch.stack([*library.hidden_states[:-1], library.last_hidden_state])[:, 0]
        assert mine.shape[1] == (len(wave) - 400) // 320 + 1
        torch.testing.assert_close(mine, whole, atol=1e-4, rtol=0)
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", FULL)
def test_full_size_models_agree_with_both_libraries(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = factories.random(name)
    assert encoder.weights.configuration == BASE
    compare(encoder, factories.MODELS[name].family, tmp_path, monkeypatch)


@pytest.mark.parametrize(("family", "kind"), LARGE_KIND)
def test_layer_norm_models_agree_with_both_libraries(
    family: str, kind: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = factories.FAMILIES[family](Seeded(family, LITTLE | kind, 3), family, {})
    compare(encoder, family, tmp_path, monkeypatch)
