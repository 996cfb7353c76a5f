"""Floating-point operations of a training step, counted from shapes, without padding.

A multiplication with its addition is two. Counted: mel filters, linear layers and the two products of attention. Not
counted: the Fourier transform, norms, activations, softmax, the optimiser.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from upstreams.mockingjay.config import ModelConfig
from upstreams.pretraining.batches import MicroBatch

BACKWARD = 3  # forward, and in the backward pass a product for the inputs and one for the weights
FIRST = 2  # of the first layer, whose inputs get no gradient


def step_flops(config: ModelConfig, step: Sequence[MicroBatch], masked: int) -> float:
    """FLOPs of a step of which so many frames are masked: only these go through the heads."""
    frames = config.acoustic.frames(np.concatenate([micro.samples for micro in step])).astype(float)
    passes = 2 if config.score == "as_published" else 1
    heads = head(config.dim, config.target) + (head(config.dim, 1) if config.score != "off" else 0)
    embedding = 2 * config.acoustic.width * config.dim * float(frames.sum())
    measured = config.acoustic.flops * float(frames.sum())
    return measured + passes * (FIRST * embedding + BACKWARD * blocks(config, frames)) + BACKWARD * masked * heads


def blocks(config: ModelConfig, frames: np.ndarray) -> float:
    """All blocks, for utterances of (B,) frames."""
    linear = 2 * config.dim * (4 * config.dim + 2 * config.ffn)
    return config.layers * float(linear * frames.sum() + 4 * config.dim * np.square(frames).sum())


def head(dim: int, width: int) -> float:
    """A head, for one frame."""
    return 2 * dim * (dim + width)
