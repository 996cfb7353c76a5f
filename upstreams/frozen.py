"""What an upstream is, and the form in which extraction meets every one of them.

A stranger's upstream is a class with four facts and a call:

    class Energy:
        sample_rate, hop, depth, width = 16000, 160, 1, 1
        min_samples = 160

        def __call__(self, waveforms):
            return [w.unfold(0, 160, 160).square().mean(1).log1p().reshape(1, -1, 1) for w in waveforms]
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from commons import hashing
from commons.commands import asked_to_stop
from commons.corridors.utterances import Modality
from commons.errors import EmorepError
from upstreams import process
from upstreams.errors import UpstreamError, described
from upstreams.fingerprints import hash_weights, recipe
from upstreams.neighbours import Neighbours
from upstreams.reach import Reach

if TYPE_CHECKING:
    import torch

    from commons.corridors.record import Seen

CONTRACT = 1  # part of every fingerprint: raise it when windows, padding or checks change what features are
PRECISIONS = ("fp32", "bf16")
MODALITIES: tuple[Modality, ...] = ("audio",)
SEEN = ("audio", "labels")
NO_MEMORY = ("CUDA out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
SHORT = 1.0  # s; a failure on less may well be for want of min_samples


class Upstream(Protocol):
    """A frozen model of audio. Required: the four facts and the call.

    Optional attributes, with their defaults:
        modality "audio"      what it reads of an utterance; nothing else can be named so far
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
        trainable()           a new torch module on the CPU with the same weights, in fp32 and eval mode, whose
                              parameters take gradients; its call takes and gives what this one's does. An upstream
                              that is a torch module needs none: it is copied
    """

    sample_rate: int  # Hz
    hop: int | None  # samples between frames; None: one frame an utterance
    depth: int  # L, layers
    width: int  # D, values a frame

    def __call__(self, waveforms: list[torch.Tensor]) -> Sequence[torch.Tensor]:
        """1-D float32 waveforms in [-1, 1], of one length unless `ragged` -> for each a (L, T, D) tensor."""
        ...


@dataclass(frozen=True)
class Audio:
    """How an upstream takes audio.

    Attributes:
        sample_rate: Hz.
        hop: samples between frames; None: one frame an utterance.
        min_samples: receptive field in samples; shorter audio is zero-padded.
        max_seconds: longer audio is cut into windows, s; None: it takes any length.
    """

    sample_rate: int
    hop: int | None
    min_samples: int
    max_seconds: float | None


class Frozen:
    """An upstream ready for extraction: defaults filled in, gradients off, every output checked.

    Raises:
        UpstreamError: the model lacks a fact, or one is of the wrong kind.
    """

    def __init__(
        self,
        model: object,
        name: str,
        device: str = "cpu",
        precision: str = "fp32",
        source: Path | None = None,
        checkpoint: Path | None = None,
        neighbours: Neighbours | None = None,
        reach: Reach | None = None,
    ) -> None:
        if precision not in PRECISIONS:
            raise UpstreamError(f"precision {precision!r} is unknown; expected one of {', '.join(PRECISIONS)}")
        if not callable(model):
            raise UpstreamError(f"{name}: needs a call, `def __call__(self, waveforms)`; found {type(model).__name__}")
        self.name, self.source, self.checkpoint = name, source, checkpoint
        self._model: Callable[[list[torch.Tensor]], Sequence[torch.Tensor]] = model
        self._neighbours, self._reach = neighbours, reach or Reach(name, foreign=source is not None)
        with self.asked("a fact"):
            self._read_facts(model)
        self.precision = precision if self.movable else "fp32"
        self.device = "cpu"
        self._autocast = self.precision == "bf16" and not self._ask("bf16")
        self._ask("eval")
        self.to(device)

    def _read_facts(self, model: object) -> None:
        name = self.name
        self.modality: Modality = _modality(model, name)
        self.audio = _audio(model, name)
        self.depth, self.width = _count(model, name, "depth"), _count(model, name, "width")
        self.seen = _seen(model, name)
        self.title, self.normalisation = _words(model, "title"), _words(model, "normalisation")
        self.label, self.licence = _words(model, "label"), _words(model, "licence")
        self.weights = _words(model, "source")
        self.ragged = bool(getattr(model, "ragged", False))
        self.movable = callable(getattr(model, "to", None))

    @property
    def model(self) -> object:
        """The model itself, as its factory gave it."""
        return self._model

    @contextmanager
    def within(self) -> Iterator[None]:
        """In which code of the model runs: the modules beside a user's file can be imported, and what it changes of
        the process is put back."""
        with self._neighbours.within() if self._neighbours else nullcontext(), self._reach.within():
            yield

    @contextmanager
    def asked(self, what: str) -> Iterator[None]:
        """The same, in which whatever the model's code raises becomes an UpstreamError that names `what`; a signal
        and the end of the GPU's memory pass through."""
        try:
            with self.within():
                yield
        except EmorepError:
            raise
        except BaseException as error:
            if asked_to_stop(error) or out_of_memory(error):
                raise
            raise UpstreamError(f"{self.name}: {what} of it failed: {described(error, self.source)}") from error

    def _ask(self, method: str, *arguments: str) -> bool:
        """Call a method of the model; False where it has none."""
        with self.asked(f"{method}()"):
            call = getattr(self._model, method, None)
            if not callable(call):
                return False
            call(*arguments)
        return True

    def to(self, device: str) -> None:
        """Move it, where it can."""
        if not self.movable or device == self.device:
            return
        if device != "cpu":
            process.exact_convolutions()
        self._ask("to", device)
        self.device = device

    @property
    def parameters(self) -> int | None:
        """Number of values in the states of the torch modules that it is or holds in attributes; None: there are none.

        A module that is built at the first call does not count before. Buffers count: a weight that was computed from
        its parts once, to be fast, is one.
        """
        held = (self._model, *getattr(self._model, "__dict__", {}).values())
        with self.asked("state_dict()"):
            networks = [value for value in held if hasattr(value, "named_parameters")]
            tensors = [
                tensor for network in networks for tensor in network.state_dict().values() if hasattr(tensor, "numel")
            ]
        return sum({tensor.data_ptr(): tensor.numel() for tensor in tensors}.values()) or None

    def fingerprint(self) -> str:
        """sha256 (hex) over everything that decides its features: source, weights or recipe, facts, contract."""
        with self.asked("fingerprint()"):
            own = getattr(self._model, "fingerprint", None)
            parts = [own() if callable(own) else hash_weights(self._model)]
        parts += [hashing.of_path(path) for path in (self.source, self.checkpoint) if path]
        if self._neighbours and (files := self._neighbours.files()):
            folder = self._neighbours.folder
            parts.append(recipe(files=[(os.path.relpath(file, folder), hashing.of_path(file)) for file in files]))
        audio = self.audio
        facts = (audio.sample_rate, audio.hop, self.depth, self.width, audio.min_samples, audio.max_seconds)
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
        with torch.inference_mode(), bf16:
            return self.run(self._model, waveforms)

    def run(
        self, model: Callable[[list[torch.Tensor]], Sequence[torch.Tensor]], waveforms: list[torch.Tensor]
    ) -> list[torch.Tensor]:
        """The checked features of waveforms by `model`: the upstream's own, or a copy of it; errors as in a call."""
        import torch

        try:
            with self.within():
                outputs = [torch.as_tensor(output) for output in model(waveforms)]
        except EmorepError:
            raise
        except BaseException as error:
            if asked_to_stop(error) or out_of_memory(error):
                raise
            hint = self._short(min(len(waveform) for waveform in waveforms))
            raise UpstreamError(f"{self.name} failed: {described(error, self.source)}{hint}") from error
        if len(outputs) != len(waveforms):
            raise UpstreamError(f"{self.name} gave {len(outputs)} outputs for {len(waveforms)} waveforms")
        for output in outputs:
            self._check(output)
        return outputs

    def _short(self, samples: int) -> str:
        rate = self.audio.sample_rate
        if samples >= SHORT * rate:
            return ""
        return (
            f"; it was given {samples} samples ({samples / rate:.3g} s): if that is too short for it, set "
            f"min_samples (now {self.audio.min_samples}) to its receptive field, and shorter audio is padded"
        )

    def _check(self, output: torch.Tensor) -> None:
        shape, hop = tuple(output.shape), self.audio.hop
        if len(shape) != 3 or shape[0] != self.depth or shape[2] != self.width or (hop is None and shape[1] != 1):
            raise UpstreamError(
                f"{self.name} gave features of shape {shape}; expected (depth, frames, width) = "
                f"({self.depth}, {'1' if hop is None else 'T'}, {self.width})"
            )
        if shape[1] == 0:
            raise UpstreamError(f"{self.name} gave no frame; set its min_samples to its receptive field in samples")
        if (place := output.device.type) not in ("cpu", self.device.partition(":")[0]):
            raise UpstreamError(
                f"{self.name} gives features on {place}, and was put on {self.device}; its `to(device)` must move all "
                "it holds, and its call leave its features there"
            )
        if not output.is_floating_point():
            raise UpstreamError(f"{self.name} gave {output.dtype} features; expected floating point")


def _modality(model: object, name: str) -> Modality:
    value = _words(model, "modality") or "audio"
    for modality in MODALITIES:
        if value == modality:
            return modality
    raise UpstreamError(
        f"{name}: its modality is {value!r}, and upstreams read {' or '.join(MODALITIES)} only so far; leave "
        "`modality` out where it takes waveforms"
    )


def _audio(model: object, name: str) -> Audio:
    none = getattr(model, "hop", 0) is None
    audio = Audio(
        _count(model, name, "sample_rate"),
        None if none else _count(model, name, "hop"),
        _count(model, name, "min_samples", default=1),
        getattr(model, "max_seconds", 30.0),
    )
    limit = audio.max_seconds
    if limit is None:
        return audio
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not math.isfinite(limit):
        raise UpstreamError(f"{name}: max_seconds is a number, or None for audio of any length; found {limit!r}")
    if limit * audio.sample_rate < 2 * audio.min_samples:
        raise UpstreamError(f"{name}: max_seconds {limit} is less than two times min_samples")
    return audio


def _count(model: object, name: str, fact: str, default: int | None = None) -> int:
    value = getattr(model, fact, default)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    found = "it has none" if value is None else f"found {value!r}"
    raise UpstreamError(f"{name}: needs `{fact}`, a whole number of at least 1; {found}")


def _seen(model: object, name: str) -> Seen:
    """`seen` with corpora in lower case."""
    value = getattr(model, "seen", None)
    if value is None or value == "unknown":
        return "unknown"
    if isinstance(value, Mapping) and all(isinstance(c, str) and how in SEEN for c, how in value.items()):
        return {corpus.casefold(): "labels" if how == "labels" else "audio" for corpus, how in value.items()}
    raise UpstreamError(
        f"{name}: `seen` names the corpora it was trained on, such as {{'iemocap': 'audio'}} or, where their "
        f"labels were used, {{'iemocap': 'labels'}}; {{}} for none, 'unknown' if not known; found {value!r}"
    )


def _words(model: object, fact: str) -> str:
    value = getattr(model, fact, "")
    return str(value) if isinstance(value, str) else ""  # a network may well hold something of that name


def out_of_memory(error: BaseException) -> bool:
    """The GPU's memory ran out: torch's own error, or what its libraries raise where they find none."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in NO_MEMORY)
    )
