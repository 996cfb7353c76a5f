"""Mockingjay in training: masked frames of a spectrogram are reconstructed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor

from upstreams.acoustic_beginning import begin
from upstreams.acoustic_inputs import SpectralInputs
from upstreams.mockingjay import checkpoint
from upstreams.mockingjay.flops import step_flops
from upstreams.mockingjay.masks import Mask, draw, log_energy, stretches
from upstreams.mockingjay.model import Mockingjay
from upstreams.mockingjay.recipe import Recipe
from upstreams.pretraining.batches import MicroBatch, Stream, generator
from upstreams.pretraining.meter import moments, spread
from upstreams.pretraining.method import Losses, Speech

DECISIVE = ("acoustic", "heads")  # of the network: weights of another mean something else


class Reconstruction:
    """Mockingjay's learner: see pretraining.method.Learner."""

    undecayed = ()

    def __init__(self, recipe: Recipe, speech: Speech, device: torch.device) -> None:
        """Before the first step. Raises UpstreamError where `init` names a file that does not fit."""
        self.recipe, self.speech, self.device = recipe, speech, device
        self.network = initial(recipe).to(device).train()
        self.framing = self.network.config.acoustic
        self.trained, self.config = [self.network], asdict(self.network.config)
        self.state = self.networks = {"network": self.network}
        self.weights = {"reconstruction_loss": 1.0}
        if recipe.loss.score != "off":
            self.weights["score_loss"] = 1.0
        self.statistics = 2 * self.network.config.target
        self.watched = {"prediction": recipe.collapse.prediction}
        self.inputs = SpectralInputs(recipe, speech, self.framing, device)
        self._drawn: tuple[Sequence[MicroBatch], list[list[Mask]]] | None = None
        self._tally = np.zeros(3)  # masked frames, frames and masked stretches since the last line of the log

    def losses(self, micro: MicroBatch, step: Sequence[MicroBatch]) -> Losses:
        """L1 over masked frames, divided by the masked values of the whole step."""
        number = next(i for i, one in enumerate(step) if one is micro)
        masks = self._masks(step)[number]
        target, valid = self.inputs.spectra(micro)
        covered, source = self._tensors(masks, target.shape[1])
        given = _replaced(target, source)
        scores = None if self.recipe.loss.score == "off" else self.inputs.scores(micro)
        published = self.recipe.loss.score == "as_published"
        alone = _replaced(scores, source) if scores is not None and published else None
        last = self.network(given if alone is None else given + alone, valid)[-1]
        predicted = self.network.reconstruct(last[covered]).float()
        count = self._count(step)
        terms = [(predicted - target[covered]).abs().sum() / (count * target.shape[2])]
        if scores is not None:
            if alone is not None:
                last = self.network(alone.expand(-1, -1, target.shape[2]), valid)[-1]
            rated = self.network.rate(last[covered]).float()
            terms.append((rated - scores[covered][:, 0]).abs().sum() / count)
        return Losses(torch.stack(terms), moments(predicted).flatten())

    def moved(self, at: int, step: Sequence[MicroBatch], statistics: Tensor) -> dict[str, float]:
        """Count what is masked; nothing else moves."""
        number = sum(len(stretches(mask.covered)) for masks in self._masks(step) for mask in masks)
        frames = sum(int(self.framing.frames(micro.samples).sum()) for micro in step)
        self._tally += (self._count(step), frames, number)
        return {}

    def figures(self, statistics: Tensor, step: Sequence[MicroBatch]) -> dict[str, float]:
        """How much predictions differ between frames; since the last figures the share of frames that was masked, and
        how many were masked without a break (mean)."""
        masked, frames, number = self._tally.tolist()
        self._tally[:] = 0
        varied = spread(statistics.view(2, -1), self._count(step))
        return {"prediction_var": varied, "masked_share": masked / frames, "masked_stretch": masked / number}

    def flops(self, step: Sequence[MicroBatch]) -> float:
        """Floating-point operations of a step."""
        return step_flops(self.network.config, step, self._count(step))

    def _masks(self, step: Sequence[MicroBatch]) -> list[list[Mask]]:
        """Of every utterance of a step's micro-batches. The last step's are kept."""
        if self._drawn is None or self._drawn[0] is not step:
            self._drawn = step, [self._masks_of(micro) for micro in step]
        return self._drawn[1]

    def _masks_of(self, micro: MicroBatch) -> list[Mask]:
        masks = []
        for utterance, start, samples in zip(micro.utterances, micro.starts, micro.samples, strict=True):
            frames = int(self.framing.frames(samples))
            rng = generator(Stream.MASK, self.recipe.seed, micro.epoch, int(utterance))
            masks.append(draw(self.recipe.masking, frames, rng, self._guide(int(utterance), int(start), int(samples))))
        return masks

    def _guide(self, utterance: int, start: int, samples: int) -> np.ndarray | None:
        """(T,) what spans are chosen by; None where they are random."""
        if self.recipe.masking.kind == "random":
            return None
        if self.recipe.masking.kind == "energy":
            waveform = self.speech.pack.samples(utterance)[start : start + samples]
            return log_energy(waveform, self.framing.min_samples, self.framing.hop)
        return self.inputs.scores_of(utterance, start, samples)

    def _count(self, step: Sequence[MicroBatch]) -> int:
        """Masked frames of a step."""
        return sum(int(mask.covered.sum()) for masks in self._masks(step) for mask in masks)

    def _tensors(self, masks: Sequence[Mask], frames: int) -> tuple[Tensor, Tensor]:
        """(B, frames) which are masked, and where their input comes from."""
        covered, source = np.zeros((len(masks), frames), bool), np.tile(np.arange(frames), (len(masks), 1))
        for row, mask in enumerate(masks):
            covered[row, : len(mask.covered)] = mask.covered
            source[row, : len(mask.source)] = mask.source
        return torch.from_numpy(covered).to(self.device), torch.from_numpy(source).to(self.device)


def _replaced(values: Tensor, source: Tensor) -> Tensor:
    """(B, T, D) with each frame taken from its source (B, T); -1: zeros."""
    taken = values.gather(1, source.clamp(min=0)[..., None].expand_as(values))
    return taken * (source >= 0)[..., None]


def initial(recipe: Recipe) -> Mockingjay:
    """The network before the first step, with random weights or those of a file. Raises UpstreamError for a misfit."""
    torch.manual_seed(recipe.seed)
    network = Mockingjay(recipe.network)
    if recipe.init is not None:
        begin(network, network.config, recipe.init, checkpoint, DECISIVE)
    return network
