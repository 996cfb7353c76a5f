"""A micro-batch as the model takes it: cropped audio of the pack, and which frames the student keeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from upstreams.emotion2vec.batches import MicroBatch, frames_of
from upstreams.emotion2vec.config import MEL_HOP, MEL_WINDOW, ModelConfig
from upstreams.emotion2vec.masks import Stream, draws, masked_count, span_masks
from upstreams.emotion2vec.model import LogMel
from upstreams.emotion2vec.pack import Pack
from upstreams.emotion2vec.recipe import Recipe
from upstreams.emotion2vec.tracks import Tracks


@dataclass(frozen=True)
class Heard:
    """B utterances with C clones each, clones of one utterance beside each other. `None`: nothing is padded."""

    waveforms: Tensor  # (B, n)
    lengths: Tensor  # (B,) samples
    valid: Tensor | None  # (B, T) frames that are no padding
    masked: Tensor  # (B * C, T)
    masked_at: Tensor  # (2, M) rows and frames of what is masked
    kept: Tensor  # (B * C, K) frames that the student encodes
    kept_valid: Tensor | None  # (B * C, K)
    tracks: Tensor | None  # (B, T, 3), see tracks.py; with log_mel, 80 bands more; None: no side targets

    @property
    def clones(self) -> int:
        return len(self.masked) // len(self.waveforms)

    def to(self, device: torch.device) -> Heard:
        moved = {name: None if t is None else t.to(device, non_blocking=True) for name, t in vars(self).items()}
        return Heard(**moved)


def counts(recipe: Recipe, network: ModelConfig, step: list[MicroBatch]) -> tuple[int, int]:
    """Masked frames, and utterances, of a step: all its micro-batches, every clone counted."""
    frames = np.concatenate([frames_of(network, micro.samples) for micro in step])
    masked = sum(masked_count(int(t), recipe.masking.share) for t in frames)
    return masked * recipe.batch.clones, len(frames) * recipe.batch.clones


def hear(pack: Pack, micro: MicroBatch, recipe: Recipe, network: ModelConfig, tracks: Tracks | None = None) -> Heard:
    """Read a micro-batch and draw its masks."""
    gains = np.array([gain(recipe, micro.epoch, int(utterance)) for utterance in micro.utterances], np.float32)
    waveforms = np.zeros((len(micro.samples), micro.samples.max()), np.float32)
    for row, (utterance, start, samples) in enumerate(zip(micro.utterances, micro.starts, micro.samples, strict=True)):
        waveforms[row, :samples] = gains[row] * pack.samples(int(utterance))[start : start + samples]
    frames, clones = frames_of(network, micro.samples), recipe.batch.clones
    masked = np.zeros((len(frames) * clones, frames.max()), bool)
    for row, (utterance, t) in enumerate(zip(micro.utterances, frames, strict=True)):
        masked[row * clones : (row + 1) * clones, :t] = span_masks(
            recipe.seed, micro.epoch, int(utterance), int(t), clones, recipe.masking
        )
    valid = np.arange(frames.max()) < frames[:, None]
    visible = valid.repeat(clones, axis=0) & ~masked
    side = None if tracks is None else torch.from_numpy(tracks.of(micro, network, gains))
    if side is not None and "log_mel" in recipe.loss.side_targets:
        side = torch.cat([side, mel_at(torch.from_numpy(waveforms), network, int(frames.max()))], dim=2)
    kept_counts = visible.sum(1)
    kept = np.argsort(~visible, axis=1, kind="stable")[:, : kept_counts.max()]
    kept_valid = np.arange(kept_counts.max()) < kept_counts[:, None]
    return Heard(
        torch.from_numpy(waveforms),
        torch.from_numpy(micro.samples),
        None if valid.all() else torch.from_numpy(valid),
        torch.from_numpy(masked),
        torch.from_numpy(np.stack(masked.nonzero())),
        torch.from_numpy(kept),
        None if kept_valid.all() else torch.from_numpy(kept_valid),
        side,
    )


def mel_at(waveforms: Tensor, network: ModelConfig, frames: int) -> Tensor:
    """(B, n) -> (B, frames, 80): log-mel energies at the middle of each of the model's frames."""
    middle = torch.arange(frames) * network.hop + network.min_samples / 2
    mel = LogMel()(waveforms)
    return mel[:, ((middle - MEL_WINDOW / 2) / MEL_HOP).round().long().clamp(0, mel.shape[1] - 1)]


def gain(recipe: Recipe, epoch: int, utterance: int) -> float:
    """What an utterance is multiplied by in this epoch: up to `gain_db` up or down."""
    if not (limit := recipe.audio.gain_db):
        return 1.0
    return 10 ** (draws(Stream.GAIN, recipe.seed, epoch, utterance).uniform(-limit, limit) / 20)
