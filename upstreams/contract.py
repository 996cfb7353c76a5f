"""What an upstream is, and the form in which extraction meets every one of them.

A stranger's upstream is a class with four facts and a call:

    class Energy:
        sample_rate, hop, depth, width = 16000, 160, 1, 1
        min_samples = 160

        def __call__(self, waveforms):
            return [w.unfold(0, 160, 160).square().mean(1).log1p().reshape(1, -1, 1) for w in waveforms]
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from upstreams.errors import UpstreamError
from upstreams.neighbours import Neighbours

if TYPE_CHECKING:
    import torch

CONTRACT = 1  # part of every fingerprint: raise it when windows, padding or checks change what features are
PRECISIONS = ("fp32", "bf16")
SEEN = ("audio", "labels")
REGISTERED = ("_parameters", "_buffers", "_modules")  # of a torch module: in its state_dict
NO_MEMORY = ("CUDA out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
SHORT = 1.0  # s; a failure on less may well be for want of min_samples


class Upstream(Protocol):
    """A frozen model. Required: the four facts and the call.

    Optional attributes, with their defaults:
        title                 what it is, in one line, for lists and records
        label ""              what tables and pictures call it in place of its name
        seen "unknown"        corpora it was trained on: {corpus: "audio" | "labels"}, {} for none,
                              "unknown" or None where that is not known
        min_samples 1         receptive field in samples: shorter audio is zero-padded before the call, and counted
        max_seconds 30.0      longer audio comes in windows, whose frames are joined, and is counted; None: any length
        ragged False          it takes waveforms of different lengths in one call, and what it gives one of them depends
                              on no other; without it, one call holds one length
        source ""             where its weights came from, for records: a repository and its revision
        licence ""            that of the weights or the library, in words
        normalisation ""      what it does to a waveform first, in words
        to(device)            it can move; waveforms then come on that device. Without it, it stays on the CPU in fp32
        bf16()                it can run in bf16 by itself, and gives features of any float type; without it, what can
                              move runs under autocast
        fingerprint()         str, changes with anything that changes its features. A file's upstream needs none: its
                              source and checkpoint are hashed in any case, with the modules beside the file that
                              it imports; and without a fingerprint of its own its weights: modules and tensors it
                              holds, in lists and dicts too
    """

    sample_rate: int  # Hz
    hop: int | None  # samples between frames; None: one frame an utterance
    depth: int  # L, layers
    width: int  # D, values a frame

    def __call__(self, waveforms: list[torch.Tensor]) -> Sequence[torch.Tensor]:
        """1-D float32 waveforms in [-1, 1], of one length unless `ragged` -> for each a (L, T, D) tensor."""
        ...


class Frozen:
    """An upstream ready for extraction: defaults filled in, gradients off, every output checked."""

    def __init__(
        self,
        model: Any,
        name: str,
        device: str = "cpu",
        precision: str = "fp32",
        source: Path | None = None,
        checkpoint: Path | None = None,
        neighbours: Neighbours | None = None,
    ) -> None:
        if precision not in PRECISIONS:
            raise UpstreamError(f"precision {precision!r} is unknown; expected one of {', '.join(PRECISIONS)}")
        self.name, self.source, self.checkpoint = name, source, checkpoint
        self._model, self._neighbours = model, neighbours
        self.sample_rate: int = self._count("sample_rate")
        self.hop: int | None = self._count("hop", none=True)
        self.depth: int = self._count("depth")
        self.width: int = self._count("width")
        self.min_samples: int = self._count("min_samples", default=1)
        self.max_seconds: float | None = self._seconds()
        self.seen: dict[str, str] | str = self._seen()
        self.title: str = getattr(model, "title", "")
        self.label, self.licence = self._words("label"), self._words("licence")
        self.weights: str = getattr(model, "source", "")
        self.normalisation: str = getattr(model, "normalisation", "")
        self.ragged = bool(getattr(model, "ragged", False))
        self.movable = callable(getattr(model, "to", None))
        self.precision = precision if self.movable else "fp32"
        self._autocast = self.precision == "bf16"
        if self._autocast and callable(getattr(model, "bf16", None)):
            with self._within():
                model.bf16()
            self._autocast = False
        self.device = "cpu"
        if callable(getattr(model, "eval", None)):
            with self._within():
                model.eval()
        if device != "cpu":
            self.to(device)

    def _words(self, fact: str) -> str:
        value = getattr(self._model, fact, "")
        return value if isinstance(value, str) else ""  # a network may well hold something of that name

    def _count(self, fact: str, default: int | None = None, none: bool = False) -> Any:
        value = getattr(self._model, fact, default)
        if (none and value is None and hasattr(self._model, fact)) or (
            isinstance(value, int) and not isinstance(value, bool) and value >= 1
        ):
            return value
        found = "it has none" if value is None else f"found {value!r}"
        raise UpstreamError(f"{self.name}: needs `{fact}`, a whole number of at least 1; {found}")

    def _seconds(self) -> float | None:
        value = getattr(self._model, "max_seconds", 30.0)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UpstreamError(
                f"{self.name}: max_seconds is a number, or None for audio of any length; found {value!r}"
            )
        if value * self.sample_rate < 2 * self.min_samples:
            raise UpstreamError(f"{self.name}: max_seconds {value} is less than two times min_samples")
        return value

    def _seen(self) -> dict[str, str] | str:
        """`seen` with corpora in lower case."""
        value = getattr(self._model, "seen", None)
        if value is None or value == "unknown":
            return "unknown"
        if isinstance(value, Mapping) and all(isinstance(c, str) and how in SEEN for c, how in value.items()):
            return {corpus.casefold(): how for corpus, how in value.items()}
        raise UpstreamError(
            f"{self.name}: `seen` names the corpora it was trained on, such as {{'iemocap': 'audio'}} or, where their "
            f"labels were used, {{'iemocap': 'labels'}}; {{}} for none, 'unknown' if not known; found {value!r}"
        )

    def _within(self) -> AbstractContextManager[None]:
        return self._neighbours.within() if self._neighbours else nullcontext()

    def to(self, device: str) -> None:
        """Move it, where it can."""
        if self.movable:
            if device != "cpu":
                import torch

                torch.backends.cudnn.allow_tf32 = False  # torch's default, by which convolutions in fp32 are not
            with self._within():
                self._model.to(device)
            self.device = device

    @property
    def parameters(self) -> int | None:
        """Values in the states of the torch modules that it is or holds in attributes; None where there are none, or
        not yet. Buffers count: a weight that was put together of its parts once, to be fast, is one."""
        held = (self._model, *getattr(self._model, "__dict__", {}).values())
        networks = [value for value in held if hasattr(value, "named_parameters")]
        tensors = [
            tensor for network in networks for tensor in network.state_dict().values() if hasattr(tensor, "numel")
        ]
        return sum({tensor.data_ptr(): tensor.numel() for tensor in tensors}.values()) or None

    def fingerprint(self) -> str:
        """sha256 (hex) over everything that decides its features: source, weights or recipe, facts, contract."""
        own = getattr(self._model, "fingerprint", None)
        with self._within():
            parts = [own() if callable(own) else hash_weights(self._model)]
        parts += [hash_path(path) for path in (self.source, self.checkpoint) if path]
        if self._neighbours and (files := self._neighbours.files()):
            folder = self._neighbours.folder
            parts.append(recipe(files=[(os.path.relpath(file, folder), hash_path(file)) for file in files]))
        facts = (self.sample_rate, self.hop, self.depth, self.width, self.min_samples, self.max_seconds)
        return recipe(contract=CONTRACT, parts=parts, facts=facts)

    def __call__(self, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        """Waveforms (1-D float32, CPU) -> a (L, T, D) tensor for each, on the upstream's device.

        Lengths may differ: what is not `ragged` then gets one waveform at a time.

        Raises UpstreamError where the model raises or breaks its own facts; running out of GPU memory passes through.
        """
        import torch

        if not self.ragged and len({len(waveform) for waveform in waveforms}) > 1:
            return [self([waveform])[0] for waveform in waveforms]
        if self.device != "cpu":
            waveforms = [w.to(self.device, non_blocking=True) for w in waveforms]
        kind = torch.device(self.device).type
        bf16 = torch.autocast(kind, dtype=torch.bfloat16, enabled=self._autocast)
        try:
            with self._within(), torch.inference_mode(), bf16:
                outputs = [torch.as_tensor(output) for output in self._model(waveforms)]
        except UpstreamError:
            raise
        except (Exception, SystemExit) as error:
            if out_of_memory(error):
                raise
            hint = self._short(min(len(waveform) for waveform in waveforms))
            raise UpstreamError(f"{self.name} failed: {describe_error(error, self.source)}{hint}") from error
        if len(outputs) != len(waveforms):
            raise UpstreamError(f"{self.name} gave {len(outputs)} outputs for {len(waveforms)} waveforms")
        for output in outputs:
            self._check(output)
        return outputs

    def _short(self, samples: int) -> str:
        if samples >= SHORT * self.sample_rate:
            return ""
        return (
            f"; it was given {samples} samples ({samples / self.sample_rate:.3g} s): if that is too short for it, set "
            f"min_samples (now {self.min_samples}) to its receptive field, and shorter audio is padded"
        )

    def _check(self, output: torch.Tensor) -> None:
        shape = tuple(output.shape)
        frames = "1" if self.hop is None else "T"
        if len(shape) != 3 or shape[0] != self.depth or shape[2] != self.width or (self.hop is None and shape[1] != 1):
            raise UpstreamError(
                f"{self.name} gave features of shape {shape}; expected (depth, frames, width) = "
                f"({self.depth}, {frames}, {self.width})"
            )
        if shape[1] == 0:
            raise UpstreamError(f"{self.name} gave no frame; set its min_samples to its receptive field in samples")
        if not output.is_floating_point():
            raise UpstreamError(f"{self.name} gave {output.dtype} features; expected floating point")


def out_of_memory(error: BaseException) -> bool:
    """The GPU's memory ran out: torch's own error, or what its libraries raise where they find none."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in NO_MEMORY)
    )


def recipe(**facts: object) -> str:
    """sha256 (hex) of plain facts: the fingerprint of what follows from settings and versions alone."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def version(package: str) -> str:
    """A package's installed version without its build tag (2.13.0+cpu -> 2.13.0), read without importing it."""
    return metadata.version(package).split("+")[0]


def hash_path(path: Path) -> str:
    """sha256 (hex) of a file's bytes, or of a folder's file names and bytes."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return recipe(files=[(file.relative_to(path).as_posix(), hash_path(file)) for file in files])
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_error(error: BaseException, source: Path | None) -> str:
    """An exception in one line, with the line of the user's file where it arose."""
    calls = traceback.extract_tb(error.__traceback__)
    own = [call for call in calls if source and Path(call.filename) == source]
    place = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {error}{place}"


def hash_weights(model: Any) -> str:
    """sha256 over the modules, tensors and arrays that an object holds: itself, its attributes, lists and dicts."""
    digest = hashlib.sha256()
    for name, tensor in _weights(model):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def _weights(model: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(model, "state_dict"):
        yield from _held("", model, set())
    else:
        yield from _held("", dict(getattr(model, "__dict__", {})), set())


def _held(name: str, value: Any, above: set[int]) -> Iterator[tuple[str, Any]]:
    """Named tensors of a module, a tensor, or a container of such; `above`: what it lies in, lest that be a circle."""
    if id(value) in above:
        return
    above = above | {id(value)}
    if hasattr(value, "state_dict"):
        yield from ((f"{name}.{key}", v) for key, v in sorted(value.state_dict().items()) if hasattr(v, "dtype"))
        if hasattr(value, "named_modules"):  # what lies in plain attributes is in no state_dict
            for path, module in value.named_modules():
                plain = {key: v for key, v in vars(module).items() if key not in REGISTERED}
                yield from _held(f"{name}.{path}", plain, above)
    elif hasattr(value, "dtype") and hasattr(value, "shape"):
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in sorted(value.items(), key=lambda pair: str(pair[0])):
            yield from _held(f"{name}.{key}", item, above)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _held(f"{name}.{index}", item, above)


def _bytes(tensor: Any) -> Any:
    """The raw bytes of a torch tensor (of any dtype) or numpy array."""
    if hasattr(tensor, "detach"):
        import torch

        return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return tensor.tobytes()
