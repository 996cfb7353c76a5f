"""Floating-point operations of a training step, counted from shapes, without padding.

A multiplication with its addition is two. Counted: mel filters, convolutions (of masked ones the taps that are kept),
linear layers. Not counted: the Fourier transform, norms, activations, the optimiser.
"""

from __future__ import annotations

from upstreams.npc.config import ModelConfig

BACKWARD = 3  # forward, and in the backward pass a product for the inputs and one for the weights
FIRST = 2  # of the first layer, whose inputs get no gradient


def step_flops(config: ModelConfig, frames: int) -> float:
    """FLOPs of a step of so many frames."""
    d = config.dim
    first = 2 * 3 * config.acoustic.width * d
    blocks = 2 * d * d * (3 * (config.blocks - 1) + config.blocks)
    masked = sum(2 * d * d * 2 * config.taps(block) for block in range(config.blocks))
    codes = 2 * 2 * d * config.codes
    heads = 2 * d * (config.target + (config.score != "off"))
    return frames * (config.acoustic.flops + FIRST * first + BACKWARD * (blocks + masked + codes + heads))
