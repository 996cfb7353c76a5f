"""emotion2vec as an upstream: published, ours, or with random weights.

Layers: the input of the first block and each block's output, without the tokens.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from upstreams.contract import hash_path, recipe, version
from upstreams.emotion2vec.config import BASE, SAMPLE_RATE, SMALL, ModelConfig
from upstreams.emotion2vec.official import MODELS, fetch

if TYPE_CHECKING:
    import torch

    from upstreams.emotion2vec.checkpoint import Checkpoint
    from upstreams.emotion2vec.model import Emotion2vec

REVISION = 1  # part of every fingerprint: raise it when what the network computes changes
OURS = Path(__file__).parent / "weights" / "emotion2vec.safetensors"


class Encoder:
    """Facts and call that all have in common; `network()` is the module."""

    sample_rate, max_seconds, ragged = SAMPLE_RATE, 30.0, True

    def __init__(self, config: ModelConfig, title: str) -> None:
        self.config, self.title = config, title
        self.hop, self.min_samples = config.hop, config.min_samples
        self.depth, self.width = config.blocks + 1, config.dim

    def network(self) -> Emotion2vec:
        raise NotImplementedError

    def __call__(self, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        import torch

        lengths = torch.tensor([len(waveform) for waveform in waveforms], device=waveforms[0].device)
        if len(lengths.unique()) == 1:
            encoded, _ = self.network()(torch.stack(waveforms))
            return list(torch.stack(encoded.hidden, dim=1))
        encoded, valid = self.network()(torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True), lengths)
        hidden = torch.stack(encoded.hidden, dim=1)
        return [layers[:, :frames] for layers, frames in zip(hidden, valid.sum(1).tolist(), strict=True)]


class Trained(Encoder):
    """Weights of a checkpoint. `file` is what it was read from, and its fingerprint."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        file: Path,
        title: str,
        seen: dict[str, str] | str,
        label: str = "",
        licence: str = "",
    ) -> None:
        super().__init__(checkpoint.config, title)
        self.seen, self.file, self.label, self.licence = seen, file, label, licence
        self._network = checkpoint.build().requires_grad_(False)

    def network(self) -> Emotion2vec:
        return self._network

    def to(self, device: str) -> None:
        self._network.to(device)

    def fingerprint(self) -> str:
        return recipe(kind="emotion2vec", revision=REVISION, file=hash_path(self.file))


class Random(Encoder):
    """The network as its own initialisation leaves it, built when first called; the floor for trained ones."""

    seen: ClassVar[dict[str, str]] = {}

    def __init__(self, architecture: str, seed: int = 0) -> None:
        super().__init__(ARCHITECTURES[architecture], f"{architecture}, random weights")
        self.seed = seed
        self._device = "cpu"
        self._network: Emotion2vec | None = None

    def network(self) -> Emotion2vec:
        if self._network is None:
            import torch

            from upstreams.emotion2vec.model import Emotion2vec

            with torch.random.fork_rng(devices=[]), torch.inference_mode(False):
                torch.manual_seed(self.seed)
                self._network = Emotion2vec(self.config).eval().requires_grad_(False).to(self._device)
        return self._network

    def to(self, device: str) -> None:
        self._device = device

    def fingerprint(self) -> str:
        return recipe(
            kind="emotion2vec, random weights",
            revision=REVISION,
            config=asdict(self.config),
            seed=self.seed,
            torch=version("torch"),
        )


ARCHITECTURES = {"emotion2vec": SMALL, "emotion2vec_base": BASE}


def published(name: str, file: str | None = None) -> Trained:
    """An official model, from its file (as published, or imported) or else by way of the hub. Raises UpstreamError."""
    from upstreams.emotion2vec import checkpoint

    model = MODELS[name]
    path = Path(file) if file else fetch(model)
    return Trained(checkpoint.read(path, model.config), path, model.title, model.seen, licence="FunASR's model licence")


def ours(file: str | None = None) -> Trained:
    """A checkpoint of ours: that of a run, or the one that ships (weights/README.md). Raises UpstreamError."""
    from upstreams.emotion2vec import checkpoint

    path = Path(file) if file else OURS
    found = checkpoint.read(path)
    if file is None:
        title = f"emotion2vec-small (ours, {int(found.facts['hours'])} h)"
        return Trained(found, path, title, found.facts["seen"], label=title, licence="CC BY-NC-SA 4.0, for research")
    told = [
        f"{found.facts[fact]:g} {unit}" for fact, unit in (("hours", "h"), ("step", "steps")) if fact in found.facts
    ]
    return Trained(found, path, f"emotion2vec ({', '.join(['ours', *told])})", found.facts.get("seen", "unknown"))
