"""Upstreams over spectra: networks of a checkpoint, ours or s3prl's, or with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from upstreams import tuned
from upstreams.acoustic import Acoustic, config_of, config_of_file
from upstreams.errors import UpstreamError
from upstreams.fingerprints import recipe, version
from upstreams.network_upstream import NetworkUpstream, check_file
from upstreams.pretraining import checkpoints
from upstreams.pretraining.batches import MEL_HOP, SAMPLE_RATE
from upstreams.pretraining.checkpoints import Facts, Stored

if TYPE_CHECKING:
    import torch

REVISION = 1  # part of every fingerprint: raise it when spectra or what the networks compute change


class Config(Protocol):
    """A network's configuration: a dataclass."""

    __dataclass_fields__: ClassVar[dict]

    @property
    def acoustic(self) -> Acoustic: ...

    @property
    def depth(self) -> int: ...

    @property
    def width(self) -> int: ...


class Reader(Protocol):
    """A method's module for its checkpoints."""

    def read(self, path: Path, /) -> Stored: ...

    def build(self, path: Path, /) -> torch.nn.Module: ...


class Encoder(NetworkUpstream):
    """The facts that all share.

    A subclass has `called`, its name for people, and `kind`, the class of its configuration.
    """

    sample_rate, hop, max_seconds, ragged = SAMPLE_RATE, MEL_HOP, 300.0, True
    called: ClassVar[str]
    kind: ClassVar[type[Config]]

    def __init__(self, config: Config, title: str) -> None:
        super().__init__()
        self.config, self.title = config, title
        self.min_samples = config.acoustic.least_samples
        self.depth, self.width = config.depth, config.width
        if config.acoustic.normalise:
            self.normalisation = "every value of the spectrum: mean 0 and deviation 1 over the utterance"

    def _fingerprint(self, **facts: object) -> str:
        return recipe(kind=self.method, revision=REVISION, torchaudio=version("torchaudio"), **facts)


class Trained(Encoder):
    """Weights of a checkpoint; the file's hash makes the fingerprint. They are read at the first call."""

    def __init__(self, file: str) -> None:
        """Raises UpstreamError: the file is damaged, or of another model."""
        self.file = Path(file)
        config, facts = self._facts()
        amounts = [f"{facts['hours']:g} h"] if "hours" in facts else []
        amounts += [f"{facts['step']:g} steps"] if "step" in facts else []
        called = f"{self.called} ({', '.join(['ours', *amounts]) if facts else 'of s3prl'})"
        super().__init__(config, tuned.title(facts) or called)
        self.licence = facts.get("licence", "")
        self.seen: dict[str, str] | str = facts.get("seen", "unknown")

    @staticmethod
    def reader() -> Reader:
        """The module for its checkpoints, which imports torch."""
        raise NotImplementedError

    def make(self) -> torch.nn.Module:
        return self.reader().build(self.file)

    def fingerprint(self) -> str:
        return self._fingerprint(file=check_file(self.file))

    def origin(self) -> Facts | None:
        return checkpoints.facts_of(self.file, self.method)

    def _facts(self) -> tuple[Config, Facts]:
        """Configuration and facts: from the header of a file of ours, without torch; else the file is read."""
        if about := checkpoints.header(self.file, self.method):
            try:
                return config_of(self.kind, about[0]), about[1]
            except (TypeError, ValueError, UpstreamError):
                pass  # reading it says what is wrong with it
        stored = self.reader().read(self.file)
        return config_of_file(self.kind, stored.config, self.file), stored.facts


class Random(Encoder):
    """The network with random weights, as it is initialised: the floor for trained ones."""

    seen: ClassVar[dict[str, str]] = {}
    presets: ClassVar[Mapping[str, Config]]

    def __init__(self, preset: str, seed: int = 0) -> None:
        super().__init__(self.presets[preset], f"{self.called} {preset}, random weights")
        self.seed = seed

    def initial(self) -> torch.nn.Module:
        """A network as it is initialised, from torch's random numbers."""
        raise NotImplementedError

    def make(self) -> torch.nn.Module:
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return self.initial()

    def fingerprint(self) -> str:
        return self._fingerprint(config=asdict(self.config), seed=self.seed, torch=version("torch"))
