"""A micro-batch as the model takes it: audio of the pack, and which frames the student gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from upstreams.emotion2vec.config import ModelConfig
from upstreams.emotion2vec.recipe import Recipe, SideTarget
from upstreams.pretraining.batches import MEL_HOP, MEL_WINDOW, MicroBatch, gains, masked_count, span_masks
from upstreams.pretraining.mel import LogMel
from upstreams.pretraining.method import Speech


@dataclass(frozen=True)
class Inputs:
    """B utterances with C clones each; clones of one utterance are neighbours. `None`: nothing is padded."""

    waveforms: Tensor  # (B, n)
    lengths: Tensor  # (B,) samples
    valid: Tensor | None  # (B, T) True for frames that are no padding
    masked: Tensor  # (B * C, T) True for masked frames
    masked_at: Tensor  # (2, M) row and frame of every masked frame
    kept: Tensor  # (B * C, K) frames that the student encodes
    kept_valid: Tensor | None  # (B * C, K)
    sides: Tensor | None  # (B, T, .) the recipe's side targets, in their order; None: there are none

    @property
    def clones(self) -> int:
        return len(self.masked) // len(self.waveforms)

    def to(self, device: torch.device) -> Inputs:
        moved = {name: None if t is None else t.to(device, non_blocking=True) for name, t in vars(self).items()}
        return Inputs(**moved)


class Counts(NamedTuple):
    """Of a step: all its micro-batches, every clone counted."""

    masked: int  # frames
    kept: int  # frames that the student sees
    utterances: int


def counts(recipe: Recipe, network: ModelConfig, step: Sequence[MicroBatch]) -> Counts:
    """What the losses of a step are divided by."""
    frames, clones = np.concatenate([network.frames(micro.samples) for micro in step]), recipe.batch.clones
    masked = sum(masked_count(int(t), recipe.masking.share) for t in frames)
    return Counts(masked * clones, (int(frames.sum()) - masked) * clones, len(frames) * clones)


def load(speech: Speech, micro: MicroBatch, recipe: Recipe, network: ModelConfig) -> Inputs:
    """The inputs of a micro-batch: its audio, and masks that are drawn now."""
    factors = gains(recipe, micro)
    waveforms = speech.waveforms(micro, factors)
    frames, clones = network.frames(micro.samples), recipe.batch.clones
    masked = np.zeros((len(frames) * clones, frames.max()), bool)
    for row, (utterance, t) in enumerate(zip(micro.utterances, frames, strict=True)):
        masked[row * clones : (row + 1) * clones, :t] = span_masks(
            recipe.seed, micro.epoch, int(utterance), int(t), clones, recipe.masking
        )
    valid = np.arange(frames.max()) < frames[:, None]
    visible = valid.repeat(clones, axis=0) & ~masked
    kept_counts = visible.sum(1)
    kept = np.argsort(~visible, axis=1, kind="stable")[:, : kept_counts.max()]
    kept_valid = np.arange(kept_counts.max()) < kept_counts[:, None]
    return Inputs(
        torch.from_numpy(waveforms),
        torch.from_numpy(micro.samples),
        None if valid.all() else torch.from_numpy(valid),
        torch.from_numpy(masked),
        torch.from_numpy(np.stack(masked.nonzero())),
        torch.from_numpy(kept),
        None if kept_valid.all() else torch.from_numpy(kept_valid),
        sides(speech, micro, recipe, network, waveforms, factors),
    )


def sides(
    speech: Speech,
    micro: MicroBatch,
    recipe: Recipe,
    network: ModelConfig,
    waveforms: np.ndarray,
    factors: np.ndarray,
) -> Tensor | None:
    """(B, T, .) the recipe's side targets, in their order; None: there are none, or nothing was measured.

    `factors` (B,): what the waveforms were multiplied by.
    """
    wanted = recipe.loss.side_targets
    if not wanted or (recipe.needs_tracks and speech.tracks is None):
        return None
    of: dict[SideTarget, Tensor] = {}
    if speech.tracks is not None and {"f0", "log_energy"} & set(wanted):
        tracks = torch.from_numpy(speech.tracks.of(micro, network, factors))
        of |= {"f0": tracks[:, :, :2], "log_energy": tracks[:, :, 2:]}
    if "log_mel" in wanted:
        of["log_mel"] = mel_at(torch.from_numpy(waveforms), network, int(network.frames(micro.samples).max()))
    if speech.frames is not None:
        of["distil"] = torch.from_numpy(speech.frames.of(micro, network))
    return torch.cat([of[target] for target in wanted], dim=2)


def mel_at(waveforms: Tensor, network: ModelConfig, frames: int) -> Tensor:
    """(B, n) -> (B, frames, 80): log-mel energies at the middle of each of the model's frames."""
    middle = torch.arange(frames) * network.hop + network.min_samples / 2
    mel = LogMel()(waveforms)
    return mel[:, ((middle - MEL_WINDOW / 2) / MEL_HOP).round().long().clamp(0, mel.shape[1] - 1)]
