"""Architectures with random weights: the floor that a pre-trained model has to leave behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from upstreams.contract import recipe, version
from upstreams.torchaudio_repair import repair

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Architecture:
    """A model of transformers: the family's class names and the settings that make its size."""

    family: str
    settings: dict[str, int]
    hop: int = 320
    min_samples: int = 400


ARCHITECTURES = {
    "wav2vec2_base": Architecture(
        "Wav2Vec2",
        {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
    )
}


class RandomWeights:
    """A transformers encoder as its own initialisation leaves it, in eval mode.

    Layers: the input of the first block and each block's output. The waveform is brought to zero mean and unit
    variance first, as wav2vec 2.0 does. The weights follow from (architecture, seed, library versions), which is
    also the fingerprint, so they are not built until they are needed.
    `settings` override the architecture's (a tiny model for tests).
    """

    sample_rate, max_seconds = 16000, 30.0
    seen: ClassVar[dict[str, str]] = {}

    def __init__(self, architecture: str, seed: int = 0, **settings: int) -> None:
        self.architecture, self.seed = ARCHITECTURES[architecture], seed
        self.settings = {**self.architecture.settings, **settings}
        self.hop, self.min_samples = self.architecture.hop, self.architecture.min_samples
        self.depth = self.settings["num_hidden_layers"] + 1
        self.width = self.settings["hidden_size"]
        self.title = f"{architecture}, random weights"
        self._device = "cpu"
        self._model: Any = None

    def fingerprint(self) -> str:
        return recipe(
            kind="random weights",
            family=self.architecture.family,
            settings=self.settings,
            seed=self.seed,
            normalisation="zero mean, unit variance",
            versions=[version("torch"), version("transformers")],
        )

    def to(self, device: str) -> None:
        self._device = device

    def __call__(self, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        import torch

        self._model = self._model or self.build()
        batch = torch.stack(waveforms)
        centred = batch - batch.mean(1, keepdim=True)
        batch = centred / torch.sqrt(centred.square().mean(1, keepdim=True) + 1e-7)
        hidden = self._model(batch, output_hidden_states=True).hidden_states
        return list(torch.stack(hidden, dim=1))

    def build(self) -> Any:
        """The module itself, made on the CPU so that every device has the same weights."""
        import torch

        repair()  # transformers imports torchaudio wherever it is installed
        import transformers

        config = getattr(transformers, f"{self.architecture.family}Config")(**self.settings)
        with torch.random.fork_rng(devices=[]), torch.inference_mode(False):
            torch.manual_seed(self.seed)
            model = getattr(transformers, f"{self.architecture.family}Model")(config)
        return model.eval().requires_grad_(False).to(self._device)
