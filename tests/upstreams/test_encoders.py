"""Every named encoder, as its tiny sister: the contract, whatever the batch, at either precision."""

from pathlib import Path

import numpy as np
import pytest
import torch

import upstreams
from tests.upstreams.sounds import ROOT, extract_in_batches, noise, plugin, speak
from upstreams import UpstreamError
from upstreams.checks import check
from upstreams.extraction import chunk_jobs
from upstreams.frozen import Frozen
from upstreams.huggingface import factories
from upstreams.huggingface.named_encoders import MODELS

TINY = """
from upstreams.huggingface.factories import random

def tiny():
    return random({name!r}, small=True)
"""
# One of each kind is enough where a test is slow: rows of like settings make like tiny models.
KINDS = list({repr(sorted(factories.tiny(name).items())) + MODELS[name].family: name for name in MODELS}.values())


def tiny(name: str, precision: str = "fp32") -> Frozen:
    return Frozen(factories.random(name, small=True), name, precision=precision)


def mixed(shortest: int, count: int = 16) -> list[torch.Tensor]:
    lengths = np.random.default_rng(7).integers(shortest, shortest + 24000, count)
    return [torch.from_numpy(noise(length / 16000, seed) + 0.01) for seed, length in enumerate(lengths)]


def error(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference, of the largest value of its layer."""
    return float(((one - other).abs().amax((1, 2)) / other.abs().amax((1, 2))).max())


@pytest.mark.parametrize("name", KINDS)
def test_every_encoder_passes_the_check(name: str, tmp_path: Path) -> None:
    lines = list(check(plugin(tmp_path, TINY.format(name=name), "tiny")))
    assert any("first and last among 16" in line for line in lines) and any("bf16" in line for line in lines)
    assert any(line.startswith("  waveform: ") for line in lines)


@pytest.mark.parametrize("name", MODELS)
def test_facts_are_those_of_the_full_size_model(name: str) -> None:
    full = upstreams.load(f"random:{name}")
    settings = MODELS[name].settings
    if full.audio.hop is None:
        assert (full.depth, full.width) == (1, settings["xvector_output_dim"])
    else:
        layers = settings.get("num_hidden_layers", settings.get("encoder_layers"))
        assert (full.depth, full.width, full.audio.hop) == (
            layers + 1,
            settings.get("hidden_size", settings.get("d_model")),
            320,
        )
    assert full.seen == {} and "random" in full.title


@pytest.mark.parametrize("name", [name for name in KINDS if "whisper" not in name])
def test_a_batch_of_mixed_lengths_changes_nothing_for_anyone(name: str) -> None:
    upstream = tiny(name)
    waves = mixed(upstream.audio.min_samples)
    together = upstream(waves)
    for wave, output in zip(waves, together, strict=True):
        assert error(output, upstream([wave])[0]) < 1e-5
    # A batch of equal lengths after a mixed one is free of the mixed one's masks.
    twice = upstream([waves[0], waves[0]])
    assert error(twice[0], together[0]) < 1e-5


@pytest.mark.parametrize("name", ["wav2vec2_base", "hubert_base", "wavlm_base", "data2vec_base"])
def test_the_attention_masks_of_transformers_alone_let_padding_leak(name: str) -> None:
    """The test above can fail."""
    module = factories.random(name, small=True).build()
    waves = sorted(mixed(400), key=len)
    batch = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones(len(wave)) for wave in waves], batch_first=True)
    with torch.inference_mode():
        together = module(batch, attention_mask=mask).last_hidden_state[:1]
        alone = module(waves[0][None]).last_hidden_state
    assert error(together[:, : alone.shape[1]], alone) > 1e-3


def test_extraction_batches_mixed_lengths_on_a_gpu_alone() -> None:
    audio = tiny("wav2vec2_base").audio

    def sizes(lengths: list[int], device: str) -> list[int]:
        pieces = [chunk_jobs.Piece(i, np.zeros(n, np.float32)) for i, n in enumerate(lengths)]
        return [len(batch) for batch in chunk_jobs.batches(pieces, chunk_jobs.limits_of(audio, device), ragged=True)]

    assert sizes([480000, 16000, 15000, 14000], "cpu") == [1, 1, 1, 1]
    assert sizes([480000, 16000, 15000, 14000], "cuda") == [4]
    assert sizes([480000 - 1000 * i for i in range(9)], "cuda:1") == [8, 1]  # 240 s with the padding


def test_features_are_the_same_whether_extraction_batches_or_not(tmp_path: Path) -> None:
    name = plugin(tmp_path, TINY.format(name="wavlm_base"), "tiny")
    utterances = speak(tmp_path, [noise(0.1 * k, k) for k in range(1, 12)])
    audio = tiny("wavlm_base").audio
    alone, together = (
        extract_in_batches(name, utterances, "pooled", tmp_path / device, chunk_jobs.limits_of(audio, device)).pooled[:]
        for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(together, alone, atol=1e-5 * np.abs(alone).max())


@pytest.mark.parametrize("name", KINDS)
def test_bf16_is_near_fp32(name: str) -> None:
    wave = [torch.from_numpy(noise(0.7))]
    full, half = tiny(name)(wave)[0], tiny(name, "bf16")(wave)[0].float()
    assert 0 < error(half, full) < 0.1
    cosine = torch.cosine_similarity(full.mean(1), half.mean(1), dim=-1)
    assert cosine.min() > 0.99


def test_the_first_convolution_stays_in_fp32_in_bf16() -> None:
    upstream = tiny("wav2vec2_base", "bf16")
    upstream([torch.from_numpy(noise(0.2))])
    module = upstream.model.network()
    first, second = module.feature_extractor.conv_layers[:2]
    assert first.conv.weight.dtype == torch.float32 and second.conv.weight.dtype == torch.bfloat16


def test_whisper_gives_only_the_frames_of_the_utterance_and_hears_the_librarys_features() -> None:
    from transformers import WhisperFeatureExtractor

    upstream = tiny("whisper_tiny")
    wave = noise(1.01)
    (ours,) = upstream([torch.from_numpy(wave)])
    assert ours.shape[1] == 51
    features = WhisperFeatureExtractor()(wave, sampling_rate=16000, return_tensors="pt")["input_features"]
    with torch.inference_mode():
        theirs = upstream.model.network()(features, output_hidden_states=True).hidden_states
    torch.testing.assert_close(ours, torch.cat(theirs)[:, :51])


def test_w2v_bert_hears_the_librarys_features() -> None:
    from transformers import SeamlessM4TFeatureExtractor

    upstream = tiny("w2v_bert_2")
    wave = noise(0.99)
    (ours,) = upstream([torch.from_numpy(wave)])
    inputs = SeamlessM4TFeatureExtractor()(wave, sampling_rate=16000, return_tensors="pt")
    with torch.inference_mode():
        theirs = torch.cat(upstream.model.network()(**inputs, output_hidden_states=True).hidden_states)
    torch.testing.assert_close(ours, theirs[:, : ours.shape[1]])


def test_the_speaker_embedding_is_the_librarys() -> None:
    encoder = factories.random("wavlm_base_plus_sv", small=True)
    module = encoder.build()
    wave = torch.from_numpy(noise(1.0))
    with torch.inference_mode():
        theirs = module(((wave - wave.mean()) / wave.std(correction=0))[None]).embeddings
    encoder.build = lambda: module  # type: ignore[method-assign]
    torch.testing.assert_close(Frozen(encoder, "control")([wave])[0][0], theirs, atol=1e-5, rtol=1e-4)


def test_more_memory_than_the_gpu_has_means_smaller_batches_of_mixed_lengths() -> None:
    upstream = tiny("hubert_base")
    waves = mixed(upstream.audio.min_samples, 5)
    whole, encode = upstream(waves), upstream.model.encode

    def scarce(module: torch.nn.Module, batch: list[torch.Tensor]) -> list[torch.Tensor]:
        if len(batch) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(module, batch)

    upstream.model.encode = scarce
    most = 2
    batch = [chunk_jobs.Piece(0, wave) for wave in waves]
    for one, other in zip(chunk_jobs.forward(batch, upstream, lambda _, output: output.clone()), whole, strict=True):
        assert error(one, other) < 1e-5
    most = 0
    with pytest.raises(UpstreamError, match="GPU's memory does not hold"):
        chunk_jobs.forward(batch, upstream, lambda _, output: output)


@pytest.mark.parametrize("name", MODELS)
def test_the_documents_say_what_the_table_says(name: str) -> None:
    model = MODELS[name]
    seen = [model.seen] if isinstance(model.seen, str) else list(model.seen)
    lines = (ROOT / "docs" / "encoders.md").read_text().splitlines()
    row = next(line for line in lines if line.startswith(f"| `{name}` "))  # the first table names them
    for fact in (model.repo, model.about, str(model.parameters), model.licence, *seen):
        assert fact in row
