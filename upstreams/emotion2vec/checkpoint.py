"""Checkpoints: safetensors of our own, and the official fairseq-style files, which are pickles read without trust."""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TypedDict

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from commons import files, hashing
from upstreams.emotion2vec.config import BASE, FORMAT, HEADER, LARGE, ModelConfig, header_is_whole
from upstreams.emotion2vec.model import Emotion2vec, LogMel
from upstreams.errors import UpstreamError

HOLDERS = ("model", "state_dict", "model_state_dict")  # where the official files and FunASR keep the weights
AUDIO = "modality_encoders.AUDIO."
DECODER = AUDIO + "decoder."
ANEW = "make or download it again"

# What a training program leaves in a file beside the weights. They become empty shells: nothing of them is imported.
FOREIGN_PACKAGES = {"argparse", "examples", "fairseq", "hydra", "numpy", "omegaconf", "pathlib", "typing"}
FOREIGN_NAMES = {
    f"{module}.{name}"
    for module in ("builtins", "__builtin__")
    for name in ("bool", "dict", "float", "int", "list", "object", "set", "str", "tuple")
} | {"_codecs.encode", "collections.defaultdict"}


class Facts(TypedDict, total=False):
    """What a checkpoint of ours says of its origin; nothing is computed from it."""

    step: int  # of the run
    part: str  # student or teacher
    recipe: dict[str, object]
    hours: float  # of speech
    audio: str  # hash of the speech
    seen: dict[str, str]  # corpora of the benchmark among the speech -> "audio"
    average_of: list[str]  # names of checkpoints
    released_from: str  # name of a checkpoint
    imported: str  # name of an official file
    sha256: str  # of that file


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
    Raises UpstreamError that names the file: damaged, no checkpoint, another model's; it lists every missing, surplus
    and misshapen name.
    """
    start = _start(path)
    facts: Facts = {}
    if start[8:9] == b"{":  # of safetensors, after its header's length, whose first byte may be any
        found, weights, facts = _safetensors(path)
    elif start.startswith((b"PK\x03\x04", b"\x80")):
        weights = _official(_unpickle(path, legacy=start.startswith(b"\x80")), path)
        found = _recognise(weights, path, config)
    else:
        raise UpstreamError(f"{path} is no checkpoint: expected safetensors or a PyTorch file{_what(start)}")
    if not any(name.startswith(DECODER) for name in weights):
        found, config = replace(found, decoder_depth=0), config and replace(config, decoder_depth=0)
    _match(weights, config or found, path)
    if unfit := [name for name, tensor in weights.items() if not tensor.isfinite().all()]:
        raise UpstreamError(f"{path}: NaN or infinite weights in {_some(unfit)}; take an earlier or whole file")
    return Checkpoint(found, weights, facts)


def write(
    path: Path,
    config: ModelConfig,
    weights: Mapping[str, Tensor],
    facts: Mapping[str, object],
    dtype: torch.dtype = torch.float32,
) -> None:
    """A safetensors file with configuration and facts (plain values) in its header; written aside and renamed."""
    if not path.parent.is_dir():
        raise UpstreamError(f"{path}: the folder {path.parent} does not exist; make it, or name another place")
    whole = {name: tensor.detach().cpu().to(dtype).contiguous() for name, tensor in weights.items()}
    about = {"format": FORMAT, "config": asdict(config), "facts": dict(facts), "weights": _digest(whole)}
    header = {HEADER: json.dumps(about | {"sha256": hashing.of_json(about)})}
    try:
        files.write(path, save(whole, header))  # safetensors' own writer ignores the umask and does not flush
    except (OSError, SafetensorError) as error:
        raise UpstreamError(f"{path} cannot be written ({error}); make room, or name another place") from error


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
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get(HEADER, "null"))
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UpstreamError(f"{path} is damaged or not whole ({error}); make or download it again") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise UpstreamError(
            f"{path}: safetensors of another program or version; expected one that `python -m upstreams import` or "
            f"pre-training wrote ({FORMAT!r} under {HEADER!r} in its header)"
        )
    if not header_is_whole(header) or header.get("weights", "") not in ("", _digest(stored)):
        raise UpstreamError(f"{path} is damaged: its content is not what its header's sha256 says; {ANEW}")
    try:
        config = header["config"]
        facts: Facts = header["facts"]
        if not isinstance(config, dict) or not isinstance(facts, dict):
            raise TypeError("expected JSON objects as config and facts")
        if strange := set(config) - {item.name for item in fields(ModelConfig)}:
            raise ValueError(f"unknown settings {sorted(strange)}")
        return ModelConfig(**config), {name: tensor.float() for name, tensor in stored.items()}, facts
    except (KeyError, TypeError, ValueError) as error:
        raise UpstreamError(f"{path}: the configuration in its header cannot be read ({error})") from error


def _digest(weights: Mapping[str, Tensor]) -> str:
    """sha256 (hex) of tensors on the CPU, with their names, types and shapes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _unpickle(path: Path, legacy: bool) -> object:
    """The content of a torch.save file, of which nothing is executed. Foreign settings come back as empty shells."""
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
    """Let torch's restricted unpickler take classes of training programs, by their names, as shells of no content."""
    names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    refused = [n for n in names if n.partition(".")[0] not in FOREIGN_PACKAGES and n not in FOREIGN_NAMES]
    if refused:
        raise UpstreamError(
            f"{path}: refused, as it asks for {_some(sorted(refused))}, which is neither weights nor the settings of a "
            "training program; take the file from where the model was published"
        )
    with torch.serialization.safe_globals([(type("Shell", (Shell,), {}), name) for name in names]):
        yield


class Shell:
    """Stands for an object of a class that is not imported; takes what a pickle gives it and keeps nothing."""

    def __new__(cls, *_: object) -> Shell:
        return object.__new__(cls)

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def _official(content: object, path: Path) -> dict[str, Tensor]:
    """The weights in a file's content. All beside them (settings, optimiser) and `_ema`, an average's, is left out."""
    if not isinstance(content, Mapping):
        raise UpstreamError(f"{path}: holds a {type(content).__name__}; expected a dict with the weights under `model`")
    weights = next((content[key] for key in HOLDERS if isinstance(content.get(key), Mapping)), content)
    weights = {str(name): value for name, value in weights.items() if str(name).partition(".")[0] != "_ema"}
    if strange := [name for name, value in weights.items() if not isinstance(value, Tensor)]:
        raise UpstreamError(
            f"{path}: no weights under {', '.join(HOLDERS)}, or other things among them: {_some(strange)}"
        )
    if weights and all(name.startswith("module.") for name in weights):  # saved from torch's data parallelism
        weights = {name.removeprefix("module."): tensor for name, tensor in weights.items()}
    return {name: tensor.float() for name, tensor in weights.items()}


def _recognise(weights: Mapping[str, Tensor], path: Path, config: ModelConfig | None) -> ModelConfig:
    """Which of the published shapes it is: base or large, how many tokens and classes."""
    tokens, proj = weights.get(AUDIO + "extra_tokens"), weights.get("proj.weight")
    presets = {preset.dim: preset for preset in (BASE, LARGE)}
    width = tokens.shape[-1] if tokens is not None and tokens.ndim == 3 else 0
    preset = presets.get(width, config)
    if tokens is None or preset is None:
        found = f"the width {width}" if width else f"names such as {_some(sorted(weights), 3)}"
        raise UpstreamError(
            f"{path}: another model's file; expected {AUDIO}extra_tokens of width {' or '.join(map(str, presets))}, "
            f"found {found}"
        )
    return replace(preset, tokens=tokens.shape[1], classes=0 if proj is None else len(proj))


def _match(weights: Mapping[str, Tensor], config: ModelConfig, path: Path) -> None:
    with torch.device("meta"):
        expected = {name: tuple(tensor.shape) for name, tensor in Emotion2vec(config).state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    faults = {
        "missing": [name for name in expected if name not in found],
        "surplus": [name for name in found if name not in expected],
        "misshapen": [
            f"{name} {found[name]}, expected {shape}"
            for name, shape in expected.items()
            if found.get(name, shape) != shape
        ],
    }
    if any(faults.values()):
        listed = "".join(f"\n  {kind} ({len(names)}): {', '.join(names)}" for kind, names in faults.items() if names)
        raise UpstreamError(f"{path} does not hold the emotion2vec that is asked for:{listed}")


def _some(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
