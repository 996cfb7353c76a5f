"""The network: what the official implementation computes, and nothing that depends on batch mates."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.upstreams.emotion2vec.recipes import TINY, TINY_MEL, golden_weights, noise, padded, tiny
from upstreams import UpstreamError
from upstreams.emotion2vec.config import BASE, LARGE, ModelConfig
from upstreams.emotion2vec.model import Emotion2vec, alibi_slopes, strided

GOLDEN = Path(__file__).parent / "golden_emotion2vec.npz"
STEMS = pytest.mark.parametrize("config", [TINY, TINY_MEL], ids=["waveform", "log_mel"])


@pytest.fixture(scope="module")
def base() -> Emotion2vec:
    model = Emotion2vec(BASE).eval()
    model.load_state_dict(golden_weights(model))
    return model


@pytest.mark.parametrize("samples", [400, 16000, 23456])
@torch.inference_mode()
def test_agrees_with_the_official_implementation(base: Emotion2vec, samples: int) -> None:
    with np.load(GOLDEN) as golden:
        frames, means = golden[f"frames_{samples}"], golden[f"hidden_mean_{samples}"]
    encoded, _ = base(noise(samples)[None])
    assert encoded.hidden[-1].shape == (1, *frames.shape)
    np.testing.assert_allclose(encoded.hidden[-1][0], frames, rtol=0, atol=1e-4)
    np.testing.assert_allclose([h[0].mean(0).numpy() for h in encoded.hidden[1:]], means, rtol=0, atol=1e-4)


def test_counts_of_the_published_models() -> None:
    def parameters(config: ModelConfig) -> int:
        with torch.device("meta"):
            return sum(p.numel() for p in Emotion2vec(config).parameters())

    assert parameters(BASE) == 93_790_988
    assert parameters(replace(BASE, classes=9)) == 93_797_909
    assert parameters(replace(BASE, decoder_depth=0)) == 93_171_212
    assert parameters(replace(BASE, tokens=1)) == 93_784_076  # data2vec 2.0
    assert round(parameters(replace(LARGE, decoder_depth=0, classes=9)) / 1e4) == 16214


def test_names_are_the_official_ones(reference: Path) -> None:
    lines = (reference / "emotion2vec_state_dict.txt").read_text().splitlines()
    official = {name: shape for name, shape, _ in (line.split("\t") for line in lines if not line.startswith("#"))}
    with torch.device("meta"):
        ours = {name: str(tuple(tensor.shape)) for name, tensor in Emotion2vec(BASE).state_dict().items()}
    assert ours == official


@STEMS
@torch.inference_mode()
def test_an_utterance_gets_the_same_alone_and_anywhere_in_a_padded_batch(config: ModelConfig) -> None:
    model = tiny(config)
    mates = [noise(n) for n in (5000, 16000, config.min_samples, 12345)]
    for wave in (noise(9000), noise(config.min_samples)):
        (alone, _), n = model(wave[None]), len(wave)
        for batch in ([wave, *mates], [*mates, wave], [wave, noise(n)]):
            row = 0 if batch[0] is wave else len(batch) - 1
            together, valid = model(*padded(batch))
            for one, other in zip([*alone.hidden, *alone.ffn], [*together.hidden, *together.ffn], strict=True):
                torch.testing.assert_close(other[row][valid[row]], one[0], rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(together.tokens[row], alone.tokens[0], rtol=1e-5, atol=1e-5)
            decoded = model.decode(together.hidden[-1], valid)[row][valid[row]]
            torch.testing.assert_close(decoded, model.decode(alone.hidden[-1])[0], rtol=1e-5, atol=1e-5)


@STEMS
@torch.inference_mode()
def test_what_lies_in_the_padding_does_not_matter(config: ModelConfig) -> None:
    model, waves = tiny(config), [noise(9000), noise(5000)]
    (zeros, valid), (loud, _) = model(*padded(waves)), model(*padded(waves, pad=0.7))
    torch.testing.assert_close(loud.hidden[-1][valid], zeros.hidden[-1][valid])


@torch.inference_mode()
def test_frames_that_are_left_keep_their_distances() -> None:
    """A student that is given every frame, in any order, with its true position is the teacher."""
    model = tiny()
    features, _ = model.local(noise(8000)[None], torch.tensor([8000]))
    x = model.positioned(features, None)
    order = torch.randperm(x.shape[1], generator=torch.Generator().manual_seed(0))
    straight = model.encode(x, torch.arange(x.shape[1])[None]).hidden[-1]
    shuffled = model.encode(x[:, order], order[None]).hidden[-1]
    torch.testing.assert_close(shuffled, straight[:, order], rtol=1e-5, atol=1e-5)
    closed_up = model.encode(x[:, ::2], torch.arange(0, x.shape[1], 2)[None]).hidden[-1]
    assert not torch.allclose(closed_up, model.encode(x[:, ::2], torch.arange(closed_up.shape[1])[None]).hidden[-1])


@torch.inference_mode()
def test_a_masked_frame_tells_nothing_of_itself() -> None:
    model = tiny()
    features, _ = model.local(noise(8000)[None], torch.tensor([8000]))
    masked = torch.zeros(features.shape[:2], dtype=torch.bool)
    masked[0, 5:10] = True
    other = torch.where(masked[..., None], 3.0, features)
    torch.testing.assert_close(model.positioned(other, None, masked), model.positioned(features, None, masked))
    assert not torch.allclose(model.positioned(other, None), model.positioned(features, None))


def test_alibi_slopes_of_heads_that_are_no_power_of_two() -> None:
    eight = [2.0**-i for i in range(1, 9)]
    between = [2.0**-0.5, 2.0**-1.5, 2.0**-2.5, 2.0**-3.5]
    np.testing.assert_allclose(alibi_slopes(8, torch.device("cpu")), eight)
    np.testing.assert_allclose(alibi_slopes(12, torch.device("cpu")), eight + between)


@torch.inference_mode()
def test_a_negative_alibi_scale_is_none() -> None:
    models = [tiny(), tiny()]
    for model, scale in zip(models, (-1.0, 0.0), strict=True):
        model.audio.alibi_scale.fill_(scale)
    one, other = (model(noise(8000)[None])[0].hidden[-1] for model in models)
    assert torch.equal(one, other)


@torch.inference_mode()
def test_log_mel_hears_the_level_and_a_normalised_waveform_does_not() -> None:
    wave = noise(8000)[None]
    change = {}
    for config in (TINY, TINY_MEL):
        one, other = (tiny(config)(x)[0].hidden[-1] for x in (wave, 4 * wave))
        change[config.stem] = float((one - other).abs().max() / one.abs().max())
    assert change["waveform"] < 1e-2 < change["log_mel"]


@pytest.mark.parametrize(("kernel", "stride"), [(10, 5), (3, 2), (2, 2), (3, 1), (1, 1), (2, 1)])
@pytest.mark.parametrize("frames", [20, 21, 22])
def test_strided_convolutions_are_convolutions(kernel: int, stride: int, frames: int) -> None:
    torch.manual_seed(0)
    conv, x = torch.nn.Conv1d(6, 8, kernel, stride, bias=False), torch.randn(2, frames, 6)
    torch.testing.assert_close(strided(conv, x), conv(x.transpose(1, 2)).transpose(1, 2), rtol=1e-5, atol=1e-6)


@STEMS
@torch.inference_mode()
def test_the_shortest_audio_makes_one_frame(config: ModelConfig) -> None:
    model, n = tiny(config), config.min_samples
    assert [model.local(noise(k)[None], torch.tensor([k]))[1].item() for k in (n, n + config.hop - 1)] == [1, 1]
    features, frames = model.local(noise(n + config.hop)[None], torch.tensor([n + config.hop]))
    assert frames.item() == features.shape[1] == 2


def test_every_parameter_learns() -> None:
    model = tiny(replace(TINY, classes=4)).train()
    encoded, valid = model(*padded([noise(8000), noise(5000)]))
    loss = model.decode(encoded.hidden[-1], valid).square().mean() + encoded.tokens.square().mean()
    (loss + model.classify(encoded.hidden[-1][0]).square().mean()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_layerdrop_and_dropout_belong_to_training_alone() -> None:
    model, batch = tiny(replace(TINY, layerdrop=0.5)), padded([noise(8000)])
    assert torch.equal(model(*batch)[0].hidden[-1], model(*batch)[0].hidden[-1])
    torch.manual_seed(0)
    model.train()
    passes = [model(*batch)[0] for _ in range(8)]
    assert {len(encoded.hidden) for encoded in passes} == {4} and len({len(encoded.ffn) for encoded in passes}) > 1


def test_a_configuration_survives_json() -> None:
    assert ModelConfig(**json.loads(json.dumps(asdict(TINY)))) == TINY


@pytest.mark.parametrize(
    "wrong",
    [{"stem": "mfcc"}, {"heads": 5}, {"conv_layers": ()}, {"conv_layers": ((16, 3),)}, {"pos_groups": 7},
     {"depth": 0, "prenet_depth": 0}, {"decoder_dim": 18}, {"pos_kernel": 4}],
    ids=str,
)  # fmt: skip
def test_an_impossible_configuration_is_named(wrong: dict[str, object]) -> None:
    with pytest.raises(UpstreamError, match=next(iter(wrong))):
        replace(TINY, **wrong)
