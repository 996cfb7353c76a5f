"""The weights of an encoder: from a folder, the hub's cache or the hub, or drawn with a seed."""

from __future__ import annotations

import json
import pickle
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from commons import hashing
from commons.errors import some
from upstreams.errors import REFUSED_PICKLE, UpstreamError
from upstreams.fingerprints import version

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel

ADAPTER = 1  # part of the fingerprint of stored models: raise it when the use of the weights changes
CONFIGURATION, PREPROCESSOR = "config.json", "preprocessor_config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # in order of preference; each may be split, with an index
INDEX = ".index.json"
# Names in older files, and now: of a weight norm, which torch's parametrizations have, and of a layer norm.
RENAMED = {
    ".weight_g": ".parametrizations.weight.original0", ".weight_v": ".parametrizations.weight.original1",
    ".LayerNorm.gamma": ".LayerNorm.weight", ".LayerNorm.beta": ".LayerNorm.bias",
}  # fmt: skip
SHOWN = 6
# What files with the name of weights often hold instead, by its first bytes.
OTHERS = {
    "a pointer of git-lfs (`git lfs pull` fetches the file itself)": (b"version https://git-lfs",),
    "a web page": (b"<!doctype html", b"<html"),
}


class Weights(Protocol):
    """Where the weights of an encoder come from."""

    @property
    def source(self) -> str:
        """A repository and its revision, or the name of a folder; "" if there is neither."""
        ...

    @property
    def origin(self) -> str:
        """The folder of its settings, for error messages."""
        ...

    @property
    def configuration(self) -> dict[str, object]: ...

    @property
    def preprocessor(self) -> dict[str, object]: ...

    @property
    def tokenizer(self) -> Path | None:
        """The folder of the tokenizer of a text encoder; None: there is none."""
        ...

    @property
    def says(self) -> str:
        """What decides how the waveform is prepared, in words."""
        ...

    def fingerprint(self, model: str, normalisation: str) -> str:
        """sha256 (hex) of everything that decides the features of class `model` of transformers."""
        ...

    def fill(
        self,
        model: type[PreTrainedModel],
        configuration: PretrainedConfig,
        prefixes: tuple[str, ...],
        unused: tuple[str, ...],
    ) -> torch.nn.Module:
        """A module of class `model` with its weights. Their names may have a prefix.

        `unused` ones may be missing, or left over.
        """
        ...


@dataclass(frozen=True)
class Seeded:
    """Random weights, as the architecture initialises itself: settings, seed and versions decide them."""

    family: str
    settings: dict[str, object]
    seed: int
    tokenizer: Path | None = None
    source = ""
    origin = "random weights"
    says = "the default of the architecture"

    @property
    def configuration(self) -> dict[str, object]:
        return self.settings

    @property
    def preprocessor(self) -> dict[str, object]:
        return {}

    def fingerprint(self, model: str, normalisation: str) -> str:
        return hashing.of_json(
            {
                "kind": "random weights",
                "family": self.family,
                "settings": self.settings,
                "seed": self.seed,
                "normalisation": normalisation,
                "versions": [version("torch"), version("transformers")],
            }
        )

    def fill(
        self,
        model: type[PreTrainedModel],
        configuration: PretrainedConfig,
        prefixes: tuple[str, ...],
        unused: tuple[str, ...],
    ) -> torch.nn.Module:
        """The weights are drawn on the CPU, so that they are the same on every device."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return model(configuration)


@dataclass(frozen=True)
class Stored:
    """A folder in the layout of `save_pretrained` and of the hub."""

    folder: Path
    source: str

    @property
    def origin(self) -> str:
        return str(self.folder)

    @property
    def tokenizer(self) -> Path:
        return self.folder

    @cached_property
    def configuration(self) -> dict[str, object]:
        """The content of config.json. Raises UpstreamError: there is none, or it is not JSON."""
        if not (self.folder / CONFIGURATION).is_file():
            held = sorted(path.name for path in self.folder.iterdir())[:SHOWN]
            raise UpstreamError(
                f"{self.folder} has no {CONFIGURATION} (it holds {', '.join(held) or 'nothing'}); expected a folder as "
                f"the hub has it: {CONFIGURATION}, {PREPROCESSOR} or a tokenizer, and {' or '.join(WEIGHTS)}"
            )
        return _json(self.folder / CONFIGURATION)

    @cached_property
    def preprocessor(self) -> dict[str, object]:
        path = self.folder / PREPROCESSOR
        return _json(path) if path.is_file() else {}

    @property
    def says(self) -> str:
        return f"its {PREPROCESSOR}" if self.preprocessor else f"transformers' default, as there is no {PREPROCESSOR}"

    @cached_property
    def files(self) -> list[Path]:
        """The files of weights: one, or the parts that an index names. Raises UpstreamError where there is none."""
        for name in WEIGHTS:
            if (self.folder / name).is_file():
                return [self.folder / name]
            if (self.folder / (name + INDEX)).is_file():
                parts = _parts(self.folder / (name + INDEX))
                if lacking := [part for part in parts if not (self.folder / part).is_file()]:
                    raise UpstreamError(f"{self.folder} lacks {', '.join(lacking[:SHOWN])}, which {name}{INDEX} names")
                return [self.folder / part for part in parts]
        raise UpstreamError(f"{self.folder} has no weights; expected {' or '.join(WEIGHTS)} in it")

    def fingerprint(self, model: str, normalisation: str) -> str:
        return hashing.of_json(
            {
                "kind": "stored weights",
                "adapter": ADAPTER,
                "model": model,
                "transformers": version("transformers"),
                "configuration": digest(self.folder / CONFIGURATION),
                "weights": [digest(file) for file in self.files],
                "normalisation": normalisation,
            }
        )

    def fill(
        self,
        model: type[PreTrainedModel],
        configuration: PretrainedConfig,
        prefixes: tuple[str, ...],
        unused: tuple[str, ...],
    ) -> torch.nn.Module:
        """A module with the weights of the folder. Weights of a larger model that lie outside the encoder are ignored.

        Raises UpstreamError: lists weights that are missing, left over or of another shape.
        """
        import torch

        with torch.device("meta"):
            module = model(configuration)
        wanted = module.state_dict()
        held, over = _read(self.files, ("", f"{model.base_model_prefix}.", *prefixes), wanted)
        over = [name for name in over if not name.endswith(unused)]
        missing = sorted(wanted.keys() - held.keys() - set(unused))
        misshapen = [
            f"{name} {tuple(held[name].shape)}, expected {tuple(wanted[name].shape)}"
            for name in sorted(held)
            if held[name].shape != wanted[name].shape and name not in unused
        ]
        if missing or misshapen or over:
            raise UpstreamError(
                f"{self.folder} holds the weights of another model than its {CONFIGURATION} says ({model.__name__}): "
                + "; ".join(
                    _listed("missing", missing) + _listed("of another shape", misshapen) + _listed("left over", over)
                )
            )
        filled = {
            name: held[name].float() if name in held and name not in unused else torch.zeros(tensor.shape)
            for name, tensor in wanted.items()
        }
        module.load_state_dict(filled, assign=True)
        return module


def _listed(what: str, names: list[str]) -> list[str]:
    return [f"{len(names)} {what}: {some(names, SHOWN)}"] if names else []


def _read(
    files: list[Path], prefixes: tuple[str, ...], wanted: Collection[str]
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The tensors by their names in the module, and the names of further tensors inside its parts."""
    held: dict[str, torch.Tensor] = {}
    others: list[str] = []
    used: set[str] = set()
    for file in files:
        for name, tensor in _tensors(file):
            for old, new in RENAMED.items():
                if name.endswith(old):
                    name = name.removesuffix(old) + new
            for prefix in prefixes:
                if name.startswith(prefix) and name.removeprefix(prefix) in wanted:
                    held[name.removeprefix(prefix)] = tensor
                    used.add(prefix)
                    break
            else:
                others.append(name)
    parts = {name.split(".")[0] for name in wanted if "." in name}
    within = tuple(f"{prefix}{part}." for prefix in used for part in parts)
    return held, sorted(name for name in others if name.startswith(within))


def _tensors(file: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and tensors of a file.

    Raises UpstreamError: truncated, not what its name says, or pickled with code in it.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    with open(file, "rb") as opened:
        start = opened.read(64).lstrip().lower()
    for what, signs in OTHERS.items():
        if start.startswith(signs):
            raise UpstreamError(f"{file} is {what}, not weights; download the file itself")
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, "pt") as tensors:
                yield from ((name, tensors.get_tensor(name)) for name in tensors.keys())  # noqa: SIM118
            return
        state = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UpstreamError(f"{file} {REFUSED_PICKLE}; ask for a .safetensors file") from error
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise UpstreamError(f"{file} is truncated or damaged ({error}); download it again") from error
    if not isinstance(state, dict):
        raise UpstreamError(f"{file} holds a {type(state).__name__}; expected weights by name")
    yield from ((name, value) for name, value in state.items() if isinstance(value, torch.Tensor))


def _parts(index: Path) -> list[str]:
    """The files that an index names. Raises UpstreamError."""
    files = _json(index).get("weight_map")
    if not isinstance(files, dict) or not files or not all(isinstance(file, str) for file in files.values()):
        raise UpstreamError(f"{index} names no files: its weight_map must give one for each tensor; download it again")
    return sorted({Path(file).name for file in files.values()})


def _json(path: Path) -> dict[str, object]:
    """The JSON object in a file. Raises UpstreamError."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UpstreamError(f"{path} cannot be read as JSON ({error}); download it again") from error
    if not isinstance(content, dict):
        raise UpstreamError(f"{path} holds a {type(content).__name__}; expected a JSON object")
    return content


def digest(path: Path) -> str:
    """sha256 of a file, computed once in a process unless its size or time stamp changes."""
    state = path.stat()
    return _hash(path, state.st_size, state.st_mtime_ns)


@cache
def _hash(path: Path, size: int, modified: int) -> str:
    return hashing.of_file(path)
