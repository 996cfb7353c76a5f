"""Mockingjay as an upstream: of a run here, a file of s3prl, or with random weights.

Layers: the embedding with its positions, and each block's output. Weights are read at the first call.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from upstreams.acoustic import padded
from upstreams.errors import UpstreamError
from upstreams.fingerprints import recipe, version
from upstreams.mockingjay.config import PRESETS, ModelConfig, from_json
from upstreams.network_upstream import NetworkUpstream, check_file
from upstreams.pretraining import checkpoints
from upstreams.pretraining.batches import MEL_HOP, SAMPLE_RATE

if TYPE_CHECKING:
    import torch

REVISION = 1  # part of every fingerprint: raise it when what the network computes changes


class Encoder(NetworkUpstream):
    """The facts that both share."""

    sample_rate, hop, max_seconds, ragged = SAMPLE_RATE, MEL_HOP, 300.0, True

    def __init__(self, config: ModelConfig, title: str) -> None:
        super().__init__()
        self.config, self.title = config, title
        self.min_samples = config.acoustic.least_samples
        self.depth, self.width = config.layers + 1, config.dim
        if config.acoustic.normalise:
            self.normalisation = "every value of the spectrum: mean 0 and deviation 1 over the utterance"

    @staticmethod
    def run(network: torch.nn.Module, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        """Long utterances go through in equal parts."""
        import torch

        config: ModelConfig = network.config  # type: ignore[assignment]
        spectra = [config.acoustic.measure(waveform) for waveform in waveforms]
        numbers = [-(-len(one) // config.longest) if config.longest else 1 for one in spectra]
        cut = [one.chunk(number) for one, number in zip(spectra, numbers, strict=True)]
        together, valid = padded([part for parts in cut for part in parts])
        hidden = torch.stack(network(together, valid), dim=1)
        rows = iter(hidden)
        return [torch.cat([next(rows)[:, : len(part)] for part in parts], dim=1) for parts in cut]


class Trained(Encoder):
    """Weights of a checkpoint of ours, or of s3prl; the file's hash makes the fingerprint."""

    def __init__(self, file: str) -> None:
        """Raises UpstreamError: the file is damaged, or of another model."""
        self.file = Path(file)
        config, facts = _facts(self.file)
        amounts = [f"{facts['hours']:g} h"] if "hours" in facts else []
        amounts += [f"{facts['step']:g} steps"] if "step" in facts else []
        super().__init__(config, f"Mockingjay ({', '.join(['ours', *amounts]) if facts else 'of s3prl'})")
        self.seen: dict[str, str] | str = facts.get("seen", "unknown")

    def make(self) -> torch.nn.Module:
        from upstreams.mockingjay import checkpoint

        return checkpoint.build(self.file)

    def fingerprint(self) -> str:
        versions = version("torchaudio")
        return recipe(kind="mockingjay", revision=REVISION, file=check_file(self.file), torchaudio=versions)


class Random(Encoder):
    """The network with random weights, as it is initialised: the floor for trained ones."""

    seen: ClassVar[dict[str, str]] = {}

    def __init__(self, preset: str, seed: int = 0) -> None:
        super().__init__(PRESETS[preset], f"Mockingjay {preset}, random weights")
        self.seed = seed

    def make(self) -> torch.nn.Module:
        import torch

        from upstreams.mockingjay.model import Mockingjay

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return Mockingjay(self.config)

    def fingerprint(self) -> str:
        versions = [version(package) for package in ("torch", "torchaudio")]
        config = asdict(self.config)
        return recipe(kind="mockingjay, random", revision=REVISION, config=config, seed=self.seed, versions=versions)


def _facts(path: Path) -> tuple[ModelConfig, checkpoints.Facts]:
    """Configuration and facts: from the header of a file of ours, without torch; else the file is read."""
    if about := checkpoints.header(path, "mockingjay"):
        try:
            return from_json(dict(about[0])), about[1]
        except (TypeError, ValueError, UpstreamError):
            pass  # reading it says what is wrong with it
    from upstreams.mockingjay import checkpoint

    stored = checkpoint.read(path)
    return checkpoint.config_of(stored, path), stored.facts
