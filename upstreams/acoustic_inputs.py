"""A micro-batch as methods over spectra take it: spectra of the pack's audio, and frame scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from upstreams.acoustic import Acoustic, padded
from upstreams.pretraining.batches import MicroBatch, gains
from upstreams.pretraining.method import Speech
from upstreams.pretraining.recipe_sections import Recipe


@dataclass(frozen=True)
class SpectralInputs:
    """The inputs of a run's micro-batches."""

    recipe: Recipe
    speech: Speech
    acoustic: Acoustic
    device: torch.device

    def spectra(self, micro: MicroBatch) -> tuple[Tensor, Tensor | None]:
        """(B, T, D), each utterance measured over the part that is taken; and (B, T) frames that are no padding, None
        where nothing is padded."""
        waveforms = torch.from_numpy(self.speech.waveforms(micro, gains(self.recipe, micro))).to(self.device)
        rows = zip(waveforms, micro.samples.tolist(), strict=True)
        return padded([self.acoustic.measure(waveform[:samples]) for waveform, samples in rows])

    def scores(self, micro: MicroBatch) -> Tensor:
        """(B, T, 1), zeros behind the shorter ones."""
        frames = int(self.acoustic.frames(micro.samples).max())
        scores = np.zeros((len(micro.samples), frames, 1), np.float32)
        rows = zip(micro.utterances.tolist(), micro.starts.tolist(), micro.samples.tolist(), strict=True)
        for row, place in enumerate(rows):
            values = self.scores_of(*place)
            scores[row, : len(values), 0] = values
        return torch.from_numpy(scores).to(self.device)

    def scores_of(self, utterance: int, start: int, samples: int) -> np.ndarray:
        """(T,) of a part of an utterance."""
        scores = self.speech.scores
        assert scores is not None  # a recipe that needs scores names their file
        return scores.of(utterance, start, samples, self.acoustic)
