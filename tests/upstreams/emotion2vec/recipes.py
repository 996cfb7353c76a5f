"""Weights and waveforms that follow from names and lengths alone, and the networks small enough to test with."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch

from upstreams.emotion2vec.config import LOG_MEL_CONVS, ModelConfig
from upstreams.emotion2vec.model import Emotion2vec
from upstreams.pretraining.batches import MicroBatch, Position
from upstreams.pretraining.meter import Sums
from upstreams.pretraining.train import Trainer

TINY = ModelConfig(
    conv_layers=((16, 10, 5), *[(16, 3, 2)] * 4, *[(16, 2, 2)] * 2),
    dim=32,
    heads=4,
    prenet_depth=1,
    depth=2,
    tokens=3,
    pos_depth=2,
    pos_groups=4,
    decoder_depth=2,
    decoder_dim=16,
    decoder_groups=4,
)
TINY_MEL = ModelConfig(**{**vars(TINY), "stem": "log_mel", "conv_layers": tuple((16, *c[1:]) for c in LOG_MEL_CONVS)})


def golden_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The recipe under which the official implementation's outputs were recorded: draws seeded by crc32(name)."""
    return {name: torch.from_numpy(_draw(name, tuple(t.shape))) for name, t in model.state_dict().items()}


def _draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    z = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith("alibi_scale"):
        z = 1 + 0.1 * z
    elif len(shape) == 1:
        z = 1 + 0.1 * z if name.endswith(".weight") else 0.1 * z
    elif "extra_tokens" not in name:
        z = z / np.sqrt(np.prod(shape[1:]))
    return z.astype(np.float32)


def noise(samples: int) -> torch.Tensor:
    return torch.from_numpy((0.1 * np.random.RandomState(7 + samples).standard_normal(samples)).astype(np.float32))


def tiny(config: ModelConfig = TINY) -> Emotion2vec:
    model = Emotion2vec(config).eval()
    model.load_state_dict(golden_weights(model))
    return model


def padded(waveforms: list[torch.Tensor], pad: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(w) for w in waveforms])
    return torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True, padding_value=pad), lengths


def move(
    trainer: Trainer, position: Position, micro_batches: Sequence[MicroBatch], sums: Sums, norm: float
) -> dict[str, float]:
    """What the training loop does after `backward`; the learning rate and the learner's figures."""
    optimiser = trainer.recipe.optimiser
    trainer.clip_gradients(norm, optimiser.clip)
    rate = optimiser.rate_at(position.step)
    trainer.optimiser_step(rate)
    return {"rate": rate, **trainer.learner.moved(position.step, micro_batches, sums.statistics)}
