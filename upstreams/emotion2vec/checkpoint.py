"""emotion2vec's checkpoints: ours, and the official fairseq-style files, which are pickles read without trust."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import torch
from torch import Tensor

from commons.errors import some
from upstreams.emotion2vec.config import BASE, LARGE, ModelConfig
from upstreams.emotion2vec.model import Emotion2vec
from upstreams.errors import UpstreamError
from upstreams.pretraining import checkpoints
from upstreams.pretraining.checkpoints import Facts, Stored, refuse_nan
from upstreams.pretraining.mel import LogMel

NAME = "emotion2vec"  # of the method, in the header of our files
HOLDERS = ("model", "state_dict", "model_state_dict")  # where the official files and FunASR keep the weights
AUDIO = "modality_encoders.AUDIO."
DECODER = AUDIO + "decoder."

# What a training program leaves in a file beside the weights. They become empty shells: nothing of them is imported.
FOREIGN_PACKAGES = {"argparse", "examples", "fairseq", "hydra", "numpy", "omegaconf", "pathlib", "typing"}
FOREIGN_NAMES = {
    f"{module}.{name}"
    for module in ("builtins", "__builtin__")
    for name in ("bool", "dict", "float", "int", "list", "object", "set", "str", "tuple")
} | {"_codecs.encode", "collections.defaultdict"}


@dataclass(frozen=True)
class Checkpoint:
    """A network's configuration and weights (float32, by the official names), and `facts` of their origin."""

    config: ModelConfig
    weights: dict[str, Tensor]
    facts: Facts = field(default_factory=Facts)

    def build(self) -> Emotion2vec:
        """The network, in eval mode."""
        with torch.device("meta"):
            model = Emotion2vec(self.config)
        model.load_state_dict(self.weights, assign=True)
        if self.config.stem == "log_mel":
            model.audio.mel = LogMel()  # its constants are in no checkpoint
        return model.eval()


def read(path: Path, config: ModelConfig | None = None) -> Checkpoint:
    """A checkpoint of ours, or an official file, whose configuration follows from its shapes.

    config: what it has to be; the decoder may be absent as a whole.
    Raises UpstreamError that names the file: damaged, no checkpoint, or another model's, with every missing, surplus
    and misshapen name.
    """
    start = _start(path)
    facts: Facts = {}
    if start[8:9] == b"{":  # of safetensors, after its header's length, whose first byte may be any
        own, weights, facts = _safetensors(path)
    elif start.startswith((b"PK\x03\x04", b"\x80")):
        weights = _official(_unpickle(path, legacy=start.startswith(b"\x80")), path)
        own = _recognise(weights, path, config)
    else:
        raise UpstreamError(f"{path} is no checkpoint: expected safetensors or a PyTorch file{_what(start)}")
    if not any(name.startswith(DECODER) for name in weights):
        own, config = replace(own, decoder_depth=0), config and replace(config, decoder_depth=0)
    _match(weights, config or own, path)
    refuse_nan(weights, path)
    return Checkpoint(own, weights, facts)


def write(
    path: Path,
    config: ModelConfig,
    weights: Mapping[str, Tensor],
    facts: Facts,
    dtype: torch.dtype = torch.float32,
) -> None:
    """A safetensors file, its configuration and facts in the header. Raises UpstreamError if it cannot be written."""
    checkpoints.write(path, Stored(NAME, asdict(config), dict(weights), facts), dtype)


def without_decoder(whole: Stored) -> Stored:
    """A checkpoint without its decoder, which only training uses."""
    encoder = {name: tensor for name, tensor in whole.weights.items() if not name.startswith(DECODER)}
    return Stored(whole.method, {**whole.config, "decoder_depth": 0}, encoder, whole.facts)


def _start(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(64)
    except OSError as error:
        raise UpstreamError(f"{path} cannot be read ({error.strerror or error}); expected a checkpoint") from error


def _what(start: bytes) -> str:
    text = start.lstrip().lower()
    if not start:
        return "; it is empty: download it again"
    if text.startswith(b"<"):
        return "; it is a web page, so the download went wrong: download the file itself"
    if text.startswith(b"version https://git-lfs"):
        return "; it is a pointer of git-lfs: run `git lfs pull`, or download the file itself"
    return f"; it begins with {start[:8]!r}"


def _safetensors(path: Path) -> tuple[ModelConfig, dict[str, Tensor], Facts]:
    stored = checkpoints.read(path, NAME)
    try:
        if strange := set(stored.config) - {item.name for item in fields(ModelConfig)}:
            raise ValueError(f"unknown settings {sorted(strange)}")
        return ModelConfig(**stored.config), stored.weights, stored.facts  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise UpstreamError(f"{path}: the configuration in its header cannot be read ({error})") from error


def _unpickle(path: Path, legacy: bool) -> object:
    """The content of a torch.save file. Nothing in it is executed; foreign settings become empty shells."""
    try:
        if legacy:
            return torch.load(path, map_location="cpu", weights_only=True)
        with _shells(path):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        # torch wraps what it found in advice to load the file without restrictions
        reason = str(error.__context__ or error).partition("\n")[0].partition(". Please")[0]
        raise UpstreamError(
            f"{path}: refused, as it is damaged or holds more than weights and settings ({reason}); take the file from "
            "where the model was published"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        reason = str(error).partition("\n")[0]
        raise UpstreamError(f"{path} is damaged, or no PyTorch checkpoint ({reason}); download it again") from error


@contextmanager
def _shells(path: Path) -> Iterator[None]:
    """Let torch's restricted unpickler accept classes of training programs by their names, as empty shells."""
    names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    refused = [n for n in names if n.partition(".")[0] not in FOREIGN_PACKAGES and n not in FOREIGN_NAMES]
    if refused:
        raise UpstreamError(
            f"{path}: refused, as it asks for {some(sorted(refused))}, which is neither weights nor the settings of a "
            "training program; take the file from where the model was published"
        )
    with torch.serialization.safe_globals([(type("Shell", (Shell,), {}), name) for name in names]):
        yield


class Shell:
    """Stands for an object of a class that is not imported; keeps nothing of what a pickle gives it."""

    def __new__(cls, *_: object) -> Shell:
        return object.__new__(cls)

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def _official(content: object, path: Path) -> dict[str, Tensor]:
    """The weights in a file's content, without anything else (settings, optimiser, `_ema`: an average's weights)."""
    if not isinstance(content, Mapping):
        raise UpstreamError(f"{path}: holds a {type(content).__name__}; expected a dict with the weights under `model`")
    weights = next((content[key] for key in HOLDERS if isinstance(content.get(key), Mapping)), content)
    weights = {str(name): value for name, value in weights.items() if str(name).partition(".")[0] != "_ema"}
    if strange := [name for name, value in weights.items() if not isinstance(value, Tensor)]:
        raise UpstreamError(
            f"{path}: no weights under {', '.join(HOLDERS)}, or other things among them: {some(strange)}"
        )
    if weights and all(name.startswith("module.") for name in weights):  # saved from torch's data parallelism
        weights = {name.removeprefix("module."): tensor for name, tensor in weights.items()}
    return {name: tensor.float() for name, tensor in weights.items()}


def _recognise(weights: Mapping[str, Tensor], path: Path, config: ModelConfig | None) -> ModelConfig:
    """Which of the published configurations it is: base or large, how many tokens and classes."""
    tokens, proj = weights.get(AUDIO + "extra_tokens"), weights.get("proj.weight")
    presets = {preset.dim: preset for preset in (BASE, LARGE)}
    width = tokens.shape[-1] if tokens is not None and tokens.ndim == 3 else 0
    preset = presets.get(width, config)
    if tokens is None or preset is None:
        instead = f"the width {width}" if width else f"names such as {some(sorted(weights), 3)}"
        raise UpstreamError(
            f"{path}: another model's file; expected {AUDIO}extra_tokens of width {' or '.join(map(str, presets))}, "
            f"found {instead}"
        )
    return replace(preset, tokens=tokens.shape[1], classes=0 if proj is None else len(proj))


def _match(weights: Mapping[str, Tensor], config: ModelConfig, path: Path) -> None:
    """Raises UpstreamError where names or shapes are not those of the configuration."""
    with torch.device("meta"):
        expected = {name: tuple(tensor.shape) for name, tensor in Emotion2vec(config).state_dict().items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    faults = {
        "missing": [name for name in expected if name not in shapes],
        "surplus": [name for name in shapes if name not in expected],
        "misshapen": [
            f"{name} {shapes[name]}, expected {shape}"
            for name, shape in expected.items()
            if shapes.get(name, shape) != shape
        ],
    }
    if any(faults.values()):
        listed = "".join(f"\n  {kind} ({len(names)}): {', '.join(names)}" for kind, names in faults.items() if names)
        raise UpstreamError(f"{path} does not hold the emotion2vec that is asked for:{listed}")
