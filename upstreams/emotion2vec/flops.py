"""Floating-point operations of a training step, counted from shapes, without padding.

A multiplication with its addition is two. Counted: convolutions, linear layers, the two products of attention, the
mel filters. Not counted: norms, activations, softmax, the Fourier transform, the optimiser (together a few per cent).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from upstreams.emotion2vec.config import ModelConfig
from upstreams.emotion2vec.recipe import Recipe, Views
from upstreams.pretraining.batches import MEL_BINS, MEL_FFT, MEL_HOP, MEL_WINDOW, SAMPLE_RATE, MicroBatch, masked_count

BACKWARD = 3  # forward, and in the backward pass a product for the inputs and one for the weights


def step_flops(recipe: Recipe, network: ModelConfig, step: Sequence[MicroBatch]) -> float:
    """FLOPs of a step: local encoder and teacher once an utterance, the rest of the student once a clone."""
    samples = np.concatenate([micro.samples for micro in step])
    return sum(parts(recipe, network, samples).values())


def parts(recipe: Recipe, network: ModelConfig, samples: np.ndarray) -> dict[str, float]:
    """The same by part, for utterances of (B,) samples; what no loss needs is not computed."""
    frames = network.frames(samples).astype(float)
    kept = np.array([t - masked_count(int(t), recipe.masking.share) for t in frames])
    student = BACKWARD * recipe.batch.clones
    of = dict[str, float]()
    if recipe.loss.of_masked:
        of["local encoder"] = BACKWARD * local(network, samples)
        of["student, positional"] = student * positional(network, frames)
        of["student, blocks"] = student * blocks(network, kept)
    if recipe.loss.from_average:
        of["teacher"] = positional(network, frames) + blocks(network, frames)
    if recipe.loss.decodes:
        of["decoder"] = student * decoder(network, frames)
    return of | (_views(recipe.loss.views, network, samples) if recipe.loss.views else {})


def _views(views: Views, network: ModelConfig, samples: np.ndarray) -> dict[str, float]:
    """Two views of each utterance, of which no frame is masked; a view is counted as long as the batch allows."""
    both = np.tile(np.minimum(samples, round(views.seconds * SAMPLE_RATE)), 2)
    frames = network.frames(both).astype(float)
    encoder = positional(network, frames) + blocks(network, frames)
    passes = BACKWARD + (views.kind == "distillation")  # the teacher's has no backward pass
    return {"views": BACKWARD * local(network, both) + passes * encoder}


def local(network: ModelConfig, samples: np.ndarray) -> float:
    width, length, total = 1, samples.astype(float), 0.0
    if network.stem == "log_mel":
        width, length = MEL_BINS, (length - MEL_WINDOW) // MEL_HOP + 1
        total += 2 * (MEL_FFT // 2 + 1) * MEL_BINS * length.sum()
    for channels, kernel, stride in network.conv_layers:
        length = (length - kernel) // stride + 1
        total += 2 * width * channels * kernel * length.sum()
        width = channels
    return total + 2 * width * network.dim * length.sum()


def positional(network: ModelConfig, frames: np.ndarray) -> float:
    return network.pos_depth * _grouped(network.dim, network.dim, network.pos_kernel, network.pos_groups, frames)


def blocks(network: ModelConfig, frames: np.ndarray) -> float:
    """All transformer blocks, on sequences of tokens and so many frames."""
    n = frames + network.tokens
    linear = 2 * network.dim**2 * (4 + 2 * network.ffn_ratio) * n.sum()
    return network.blocks * (linear + 4 * network.dim * np.square(n).sum())


def decoder(network: ModelConfig, frames: np.ndarray) -> float:
    widths = [network.dim] + [network.decoder_dim] * network.decoder_depth
    convolutions = sum(
        _grouped(i, o, network.decoder_kernel, network.decoder_groups, frames) for i, o in pairwise(widths)
    )
    return convolutions + 2 * network.decoder_dim * network.dim * frames.sum()


def _grouped(width: int, channels: int, kernel: int, groups: int, frames: np.ndarray) -> float:
    return float(2 * (width // groups) * channels * kernel * frames.sum())
