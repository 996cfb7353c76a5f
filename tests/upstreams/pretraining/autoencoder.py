"""A whole pre-training method, as small as it can be: a linear autoencoder of log-mel frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from upstreams.fingerprints import recipe as fingerprint
from upstreams.pretraining import checkpoints, recipe_sections
from upstreams.pretraining.batches import MEL_BINS, MEL_HOP, MEL_WINDOW, SAMPLE_RATE, MicroBatch, gains
from upstreams.pretraining.mel import LogMel
from upstreams.pretraining.meter import moments, spread
from upstreams.pretraining.method import Losses, Method, Speech


class Recipe(recipe_sections.Recipe):
    width: recipe_sections.Count = 8


class Frames:
    hop, min_samples = MEL_HOP, MEL_WINDOW

    def frames(self, samples: np.ndarray) -> np.ndarray:
        return (samples - MEL_WINDOW) // MEL_HOP + 1


class Network(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.mel, self.encoder, self.decoder = LogMel(), nn.Linear(MEL_BINS, width), nn.Linear(width, MEL_BINS)


class Learner:
    undecayed, framing, statistics, weights = (), Frames(), 2 * MEL_BINS, {"reconstruction_loss": 1.0}

    def __init__(self, recipe: Recipe, speech: Speech, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.speech, self.device = recipe, speech, device
        self.network = Network(recipe.width).to(device)
        self.trained, self.config = [self.network], {"width": recipe.width}
        self.state = self.networks = {"network": self.network}
        self.watched = {"prediction": recipe.collapse.prediction}

    def losses(self, micro: MicroBatch, step: Sequence[MicroBatch]) -> Losses:
        waveforms = self.speech.waveforms(micro, gains(self.recipe, micro))
        mel = self.network.mel(torch.from_numpy(waveforms).to(self.device))
        valid = np.arange(mel.shape[1]) < self.framing.frames(micro.samples)[:, None]
        frames = mel[torch.from_numpy(valid).to(self.device)]
        output = self.network.decoder(self.network.encoder(frames))
        distances = (output.float() - frames).square().mean(1).sum()
        return Losses(distances[None] / self._frames(step), moments(output).flatten())

    def moved(self, at: int, step: Sequence[MicroBatch], statistics: torch.Tensor) -> dict[str, float]:
        return {}

    def figures(self, statistics: torch.Tensor, step: Sequence[MicroBatch]) -> dict[str, float]:
        return {"prediction_var": spread(statistics.view(2, -1), self._frames(step))}

    def flops(self, step: Sequence[MicroBatch]) -> float:
        return 0.0

    def _frames(self, step: Sequence[MicroBatch]) -> int:
        return sum(int(self.framing.frames(micro.samples).sum()) for micro in step)


class Upstream:
    """The encoder's values, a layer of them."""

    sample_rate, hop, min_samples, depth = SAMPLE_RATE, MEL_HOP, MEL_WINDOW, 1

    def __init__(self, path: str) -> None:
        stored = checkpoints.read(Path(path), "autoencoder")
        self.seen = stored.facts.get("seen", "unknown")
        self.width, self.path = int(str(stored.config["width"])), path
        self.network = Network(self.width).requires_grad_(False)
        self.network.load_state_dict(stored.weights)

    def fingerprint(self) -> str:
        return fingerprint(kind="autoencoder", file=Path(self.path).read_bytes().hex())

    def __call__(self, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        return list(self.network.encoder(self.network.mel(torch.stack(waveforms)))[:, None])


def without_decoder(whole: checkpoints.Stored) -> checkpoints.Stored:
    weights = {name: tensor for name, tensor in whole.weights.items() if not name.startswith("decoder")}
    return checkpoints.Stored(whole.method, whole.config, weights, whole.facts)


METHOD = Method(
    "autoencoder", "linear autoencoder", Recipe, Path(__file__).parent / "none", f"{__name__}:Learner",
    f"{__name__}:Upstream", f"{__name__}:without_decoder",
)  # fmt: skip
