"""emotion2vec as an upstream: published, ours, or with random weights.

Layers: the input of the first block and each block's output, without the tokens. Weights are read at the first call.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from commons.places import Places
from upstreams import tuned
from upstreams.emotion2vec.config import BASE, SMALL, ModelConfig
from upstreams.emotion2vec.official import MODELS, fetch
from upstreams.fingerprints import recipe, version
from upstreams.network_upstream import NetworkUpstream, check_file
from upstreams.pretraining import checkpoints
from upstreams.pretraining.batches import SAMPLE_RATE

if TYPE_CHECKING:
    import torch

    from upstreams.emotion2vec.model import Emotion2vec
    from upstreams.halves import Halves
    from upstreams.network_upstream import Split
    from upstreams.pretraining.checkpoints import Facts

REVISION = 1  # part of every fingerprint: raise it when what the network computes changes
OURS = Path(__file__).parent / "weights" / "emotion2vec.safetensors"
OURS_SHA256 = "14a05aae5272894f458d0282ba899364e61b132edb8a13c7827aa5aa2627d5fc"


class Encoder(NetworkUpstream):
    """The facts that all emotion2vec upstreams share; `make()` gives the module on the CPU."""

    sample_rate, max_seconds, ragged = SAMPLE_RATE, 30.0, True
    method = "emotion2vec"
    front = ("modality_encoders.AUDIO.local_encoder",)

    def __init__(self, config: ModelConfig, title: str) -> None:
        super().__init__()
        self.config, self.title = config, title
        self.hop, self.min_samples = config.hop, config.min_samples
        self.depth, self.width = config.blocks + 1, config.dim

    @staticmethod
    def run(network: torch.nn.Module, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        return layers(network, waveforms)

    def split(self) -> Split:
        return halves


def layers(network: torch.nn.Module, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
    """1-D waveforms of any lengths -> (L, T, D) each."""
    import torch

    lengths = torch.tensor([len(waveform) for waveform in waveforms], device=waveforms[0].device)
    if len(lengths.unique()) == 1:
        encoded, _ = network(torch.stack(waveforms))
        return list(torch.stack(encoded.hidden, dim=1))
    encoded, valid = network(torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True), lengths)
    hidden = torch.stack(encoded.hidden, dim=1)
    return [one[:, :frames] for one, frames in zip(hidden, valid.sum(1).tolist(), strict=True)]


def halves(network: torch.nn.Module, top: int) -> Halves[torch.Tensor]:
    """Both halves of the network, of which the `top` last blocks are the upper one."""
    from upstreams.emotion2vec.top import TopOfEmotion2vec
    from upstreams.halves import Given, Halves, input_of, load_each

    block = network.all_blocks()[-top]

    def lower(waveforms: list[torch.Tensor]) -> list[Given]:
        inputs = [input_of(block, partial(layers, network, [waveform]))[0] for waveform in waveforms]
        return [Given(x, len(x) - network.config.tokens) for x in inputs]

    def join(whole: torch.nn.Module, upper: torch.nn.Module) -> None:
        load_each(whole.all_blocks()[-top:], upper.blocks)

    return Halves(lower, TopOfEmotion2vec(network, top), join)


class Trained(Encoder):
    """Weights of a checkpoint, the `file`; its hash makes the fingerprint.

    `published`: the network has to be what `config` says; a file of another one is refused when it is read.
    `sha256`: of the file, which is checked; "": not known.
    """

    def __init__(
        self,
        config: ModelConfig,
        file: Path,
        title: str,
        seen: dict[str, str] | str,
        label: str = "",
        licence: str = "",
        published: bool = False,
        sha256: str = "",
    ) -> None:
        super().__init__(config, title)
        self._sha256 = sha256
        self.seen, self.file, self.label, self.licence = seen, file, label, licence
        self._expected = config if published else None

    def make(self) -> Emotion2vec:
        """Raises UpstreamError: the file is damaged; see checkpoint.read."""
        from upstreams.emotion2vec import checkpoint

        if self._sha256:
            self._file_hash()
        return checkpoint.read(self.file, self._expected).build()

    def fingerprint(self) -> str:
        return recipe(kind="emotion2vec", revision=REVISION, file=self._file_hash())

    def origin(self) -> Facts | None:
        return checkpoints.facts_of(self.file, self.method)

    def _file_hash(self) -> str:
        return check_file(self.file, self._sha256)


class Random(Encoder):
    """The network with random weights, as it is initialised: the floor for trained ones."""

    seen: ClassVar[dict[str, str]] = {}

    def __init__(self, architecture: str, seed: int = 0) -> None:
        super().__init__(ARCHITECTURES[architecture], f"{architecture}, random weights")
        self.seed = seed

    def make(self) -> Emotion2vec:
        import torch

        from upstreams.emotion2vec.model import Emotion2vec

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return Emotion2vec(self.config)

    def fingerprint(self) -> str:
        return recipe(
            kind="emotion2vec, random weights",
            revision=REVISION,
            config=asdict(self.config),
            seed=self.seed,
            torch=version("torch"),
        )


ARCHITECTURES = {"emotion2vec": SMALL, "emotion2vec_base": BASE}


def published(name: str, file: str = "", modelscope: str = "") -> Trained:
    """An official model, from its file (as published, or imported) or else by way of the hub.

    modelscope: ModelScope's folder, where FunASR keeps its copy; "": the default.

    Raises UpstreamError: there is no such file, here or on the hub.
    """
    model = MODELS[name]
    path = Path(file) if file else fetch(model, Path(modelscope) if modelscope else Places().modelscope)
    return Trained(model.config, path, model.title, model.seen, licence="FunASR's model licence", published=True)


def ours(file: str = "") -> Trained:
    """A checkpoint of ours: that of a run, or the one that ships (weights/README.md). Raises UpstreamError."""
    path = Path(file) if file else OURS
    if not file:
        check_file(path, OURS_SHA256)
    config, facts = _facts(path)
    if not file:
        title = f"emotion2vec-small (ours, {int(facts['hours'])} h)"
        licence = "CC BY-NC-SA 4.0, for research"
        return Trained(config, path, title, facts["seen"], label=title, licence=licence, sha256=OURS_SHA256)
    if said := tuned.title(facts):
        return Trained(config, path, said, facts.get("seen", "unknown"), licence=facts.get("licence", ""))
    amounts = [f"{facts['hours']:g} h"] if "hours" in facts else []
    amounts += [f"{facts['step']:g} steps"] if "step" in facts else []
    amounts += [f"taught by {facts['teacher']['title']}"] if "teacher" in facts else []
    return Trained(config, path, f"emotion2vec ({', '.join(['ours', *amounts])})", facts.get("seen", "unknown"))


def _facts(path: Path) -> tuple[ModelConfig, Facts]:
    """Configuration and facts of a checkpoint: from the header of a file of ours, without torch; else it is read."""
    if about := checkpoints.header(path, "emotion2vec"):
        config, facts = about
        try:
            return ModelConfig(**config), facts  # type: ignore[arg-type]
        except TypeError:
            pass  # reading it says what is wrong with it
    from upstreams.emotion2vec import checkpoint

    whole = checkpoint.read(path)
    return whole.config, whole.facts
