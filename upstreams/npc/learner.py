"""NPC in training: every frame is predicted from those around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import torch
from torch import Tensor

from upstreams.acoustic_beginning import begin
from upstreams.acoustic_inputs import SpectralInputs
from upstreams.npc import checkpoint
from upstreams.npc.flops import step_flops
from upstreams.npc.model import Npc
from upstreams.npc.recipe import Recipe
from upstreams.pretraining.batches import MicroBatch
from upstreams.pretraining.meter import moments, spread
from upstreams.pretraining.method import Losses, Speech

DECISIVE = ("acoustic", "kernel", "mask")  # of the network: weights of another mean something else


class Prediction:
    """NPC's learner: see pretraining.method.Learner.

    Its statistics are moments of predictions, how often each code was taken, and the sums of the batch norms.
    """

    undecayed = ()

    def __init__(self, recipe: Recipe, speech: Speech, device: torch.device) -> None:
        """Before the first step. Raises UpstreamError where `init` names a file that does not fit."""
        self.recipe = recipe
        self.network = initial(recipe).to(device).train()
        config = self.network.config
        self.framing = config.acoustic
        self.trained, self.config = [self.network], asdict(config)
        self.state = self.networks = {"network": self.network}
        self.weights = {"prediction_loss": 1.0}
        if recipe.loss.score != "off":
            self.weights["score_loss"] = 1.0
        norms = len(self.network.norms())
        self.sizes = [2 * config.target, config.groups * config.codes, norms * 2 * config.dim]
        self.statistics = sum(self.sizes)
        self.watched = {"prediction": recipe.collapse.prediction}
        self.inputs = SpectralInputs(recipe, speech, self.framing, device)

    def losses(self, micro: MicroBatch, step: Sequence[MicroBatch]) -> Losses:
        """L1 over all frames, divided by the values of the whole step."""
        target, valid = self.inputs.spectra(micro)
        given, scores = target, None
        if self.recipe.loss.score == "as_published":
            scores = self.inputs.scores(micro)
            given = target + scores if valid is None else (target + scores) * valid[..., None]
        summed = self.network(given, valid)[-1]
        rows = torch.ones(target.shape[:2], dtype=torch.bool, device=target.device) if valid is None else valid
        quantised, taken = self.network.quantise(summed[rows])
        predicted, count = self.network.predict(quantised).float(), self._frames(step)
        terms = [(predicted - target[rows]).abs().sum() / (count * target.shape[2])]
        if scores is not None:
            terms.append((self.network.rate(quantised).float() - scores[rows][:, 0]).abs().sum() / count)
        sums = [norm.sums.flatten() for norm in self.network.norms() if norm.sums is not None]
        statistics = torch.cat([moments(predicted).flatten(), taken.double().flatten(), *sums])
        return Losses(torch.stack(terms), statistics)

    def moved(self, at: int, step: Sequence[MicroBatch], statistics: Tensor) -> dict[str, float]:
        """Move the running statistics of the norms."""
        norms, count = self.network.norms(), self._frames(step)
        sums = statistics.split(self.sizes)[2].view(len(norms), 2, -1)
        for norm, own in zip(norms, sums, strict=True):
            norm.follow(own, count)
        return {}

    def figures(self, statistics: Tensor, step: Sequence[MicroBatch]) -> dict[str, float]:
        """How much predictions differ between frames; how many codes a group uses (perplexity, mean of the groups)."""
        predictions, taken, _ = statistics.split(self.sizes)
        figures = {"prediction_var": spread(predictions.view(2, -1), self._frames(step))}
        config = self.network.config
        if config.codes:
            shares = taken.view(config.groups, config.codes) / self._frames(step)
            figures["codes_used"] = float(torch.special.entr(shares).sum(1).exp().mean())
        return figures

    def flops(self, step: Sequence[MicroBatch]) -> float:
        """Floating-point operations of a step."""
        return step_flops(self.network.config, self._frames(step))

    def _frames(self, step: Sequence[MicroBatch]) -> int:
        return sum(int(self.framing.frames(micro.samples).sum()) for micro in step)


def initial(recipe: Recipe) -> Npc:
    """The network before the first step, with random weights or those of a file. Raises UpstreamError for a misfit."""
    torch.manual_seed(recipe.seed)
    network = Npc(recipe.network)
    if recipe.init is not None:
        begin(network, network.config, recipe.init, checkpoint, DECISIVE)
    return network
