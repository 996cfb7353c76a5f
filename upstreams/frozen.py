"""`Frozen`: an upstream as this room uses it: its facts and outputs are checked, and its gradients are off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from commons.commands import asked_to_stop
from commons.device import out_of_memory
from commons.errors import EmorepError
from upstreams import facts, fingerprints
from upstreams.errors import UpstreamError, described
from upstreams.inputs.audio import AudioFormat, Segment, load
from upstreams.inputs.text import Text
from upstreams.plugins.isolation import Isolation
from upstreams.plugins.neighbours import Neighbours

if TYPE_CHECKING:
    import torch

PRECISIONS = ("fp32", "bf16")
MOVE_ALL = "its `to(device)` must move everything it holds, and its call must leave the features there"
SHORT = 1.0  # s; where a call with shorter audio fails, the message speaks of min_samples


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
        isolation: Isolation | None = None,
    ) -> None:
        if precision not in PRECISIONS:
            raise UpstreamError(f"precision {precision!r} is unknown; expected one of {', '.join(PRECISIONS)}")
        if not callable(model):
            raise UpstreamError(
                f"{name}: needs a call, `def __call__(self, waveforms)` or, of texts, `def __call__(self, texts)`; "
                f"found {type(model).__name__}"
            )
        self.name, self.source, self.checkpoint = name, source, checkpoint
        self._model: Callable[[Sequence[Sized]], Sequence[torch.Tensor]] = model
        self._neighbours, self._isolation = neighbours, isolation or Isolation(name, foreign=source is not None)
        self.isolated = source is not None or type(model).__module__.startswith("upstreams.s3prl")
        with self.asked("a fact"):
            self._read_facts(model)
        self.precision = precision if self.movable else "fp32"
        self.device = "cpu"
        self._autocast = self.precision == "bf16" and not self._ask("bf16")
        self._ask("eval")
        self.to(device)

    def _read_facts(self, model: object) -> None:
        name = self.name
        self.modality = facts.modality(model, name)
        self.takes = facts.takes(model, name)
        self.depth, self.width = facts.count(model, name, "depth"), facts.count(model, name, "width")
        self.seen = facts.seen(model, name)
        self.title, self.normalisation = facts.words(model, "title"), facts.words(model, "normalisation")
        self.display_name, self.licence = facts.words(model, "label"), facts.words(model, "licence")
        self.weights = facts.words(model, "source")
        self._padded_to = facts.padded_to(model, name)
        self.ragged = bool(getattr(model, "ragged", False))
        self.movable = callable(getattr(model, "to", None))

    def costs(self, lengths: np.ndarray, longest: float | None) -> np.ndarray:
        """(N,) what computing utterances of these lengths takes: seconds of audio, with what the model pads, or
        characters of text. `longest`: of audio, the first so many seconds are computed; None: all of it."""
        if self.modality == "text":
            return lengths
        own = lengths if longest is None else np.minimum(lengths, longest)
        return np.ceil(own / self._padded_to) * self._padded_to if self._padded_to else own

    def value_names(self) -> list[str] | None:
        """What its values are called; None where it does not say. Raises UpstreamError where they do not fit it."""
        with self.asked("its value_names"):
            return facts.value_names(self._model, self.name, self.width)

    @property
    def audio(self) -> AudioFormat:
        """The audio that it takes. Raises UpstreamError: it reads texts."""
        if isinstance(self.takes, AudioFormat):
            return self.takes
        raise UpstreamError(f"{self.name} reads {self.modality}, and was asked for the audio that it takes")

    @property
    def model(self) -> object:
        """The model itself, as its factory gave it."""
        return self._model

    @contextmanager
    def within(self) -> Iterator[None]:
        """A context for running code of the model: the modules beside a user's file can be imported in it, and the
        settings of the process that the code changes are restored after it."""
        with self._neighbours.within() if self._neighbours else nullcontext(), self._isolation.within():
            yield

    @contextmanager
    def asked(self, what: str) -> Iterator[None]:
        """The same context, in which an error of the model's code becomes an UpstreamError that names `what`. Signals
        and errors about the GPU's memory stay as they are."""
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
            _exact_convolutions()
        self._ask("to", device)
        self.device = device

    @property
    def parameters(self) -> int | None:
        """Number of values in the torch modules that it is or holds in attributes; None: there are none.

        A module that is built at the first call counts from then on. Buffers count, because a weight that was computed
        once from its parts is stored as one.
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
            weights = own() if callable(own) else fingerprints.hash_weights(self._model)
        if not (isinstance(weights, str) and weights):
            raise UpstreamError(
                f"{self.name}: fingerprint() gave {type(weights).__name__}; expected a text that changes with whatever "
                "decides its features, such as a hexdigest()"
            )
        files = [path for path in (self.source, self.checkpoint) if path]
        beside = (self._neighbours.folder, self._neighbours.files()) if self._neighbours else None
        return fingerprints.of_upstream(weights, files, beside, self.takes, self.depth, self.width)

    def windows(self, texts: Sequence[Text]) -> list[list[Sized]]:
        """Each text as the model is called with it: the model's own windows of it, or the text as it is.

        Raises UpstreamError: `windows` of the model fails, or gives none.
        """
        split = getattr(self._model, "windows", None)
        if not callable(split):
            return [[one.text] for one in texts]
        made: list[list[Sized]] = []
        current = ""
        try:
            with self.asked("windows()"):
                for one in texts:
                    current = one.name
                    made.append(list(split(one.text)))
        except UpstreamError as error:
            raise UpstreamError(f"{error} [on {current}]") from error
        if none := [one.name for one, windows in zip(texts, made, strict=True) if not windows]:
            raise UpstreamError(f"{self.name}: windows() gave none [on {none[0]}]; every text has at least one")
        whole = (all(isinstance(window, Sized) for window in windows) for windows in made)
        if odd := [one.name for one, right in zip(texts, whole, strict=True) if not right]:
            raise UpstreamError(
                f"{self.name}: windows() gave no list of windows [on {odd[0]}]; expected a list of lists of numbers, "
                "one a window"
            )
        return made

    def loaded(self, one: Segment | Text, longest: float | None = None) -> list[Sized]:
        """The windows of an utterance, or of its first `longest` s of audio, as it is called with them, on the CPU.

        Raises UpstreamError: none can be made.
        """
        import torch

        if isinstance(one, Text):
            return self.windows([one])[0]
        # Copied, so that a waveform begins where products of matrices want it: else rounding depends on the place.
        return [torch.tensor(samples) for samples in load(one, self.audio, longest)]

    def __call__(self, inputs: Sequence[Sized]) -> list[torch.Tensor]:
        """Waveforms (1-D float32, CPU), or texts as `windows` gives them -> a (L, T, D) tensor for each.

        The tensors are on the upstream's device. Lengths may differ: an upstream that is not `ragged` then gets one
        input at a time.

        Raises UpstreamError: the model raises, or its output contradicts its facts. Errors about the GPU's memory stay
        as they are.
        """
        import torch

        from commons.bf16 import autocast, right_convolutions

        if not self.ragged and not self.takes.alike(inputs):
            return [self([one])[0] for one in inputs]
        if self.device != "cpu":
            inputs = [x.to(self.device, non_blocking=True) if isinstance(x, torch.Tensor) else x for x in inputs]
        own = right_convolutions(self.device, self.precision == "bf16" and not self._autocast)
        with torch.inference_mode(), autocast(self.device, self._autocast), own:
            return self.run(self._model, inputs)

    def run(
        self,
        model: Callable[[Sequence[Sized]], Sequence[torch.Tensor]],
        inputs: Sequence[Sized],
        isolated: bool = True,
    ) -> list[torch.Tensor]:
        """The checked features of inputs by `model`, which is the upstream's own or a copy; errors as in a call.

        isolated: what the code changes of the process is restored after it; then one thread at a time may call this.
        """
        import torch

        try:
            with self.within() if isolated else nullcontext():
                outputs = [torch.as_tensor(output) for output in model(inputs)]
        except EmorepError:
            raise
        except BaseException as error:
            if asked_to_stop(error) or out_of_memory(error):
                raise
            hint = self._short(min(len(one) for one in inputs))
            raise UpstreamError(f"{self.name} failed: {described(error, self.source)}{hint}") from error
        if len(outputs) != len(inputs):
            kind = "texts" if self.modality == "text" else "waveforms"
            raise UpstreamError(f"{self.name} gave {len(outputs)} outputs for {len(inputs)} {kind}")
        for output in outputs:
            self._check(output)
        return outputs

    def _short(self, samples: int) -> str:
        if self.modality == "text":
            return ""
        rate = self.audio.sample_rate
        if samples >= SHORT * rate:
            return ""
        return (
            f"; its input had {samples} samples ({samples / rate:.3g} s). If that is too short for it, set "
            f"min_samples (now {self.audio.min_samples}) to its receptive field; shorter audio is then padded"
        )

    def _check(self, output: torch.Tensor) -> None:
        shape, one = tuple(output.shape), self.takes.one_frame
        if len(shape) != 3 or shape[0] != self.depth or shape[2] != self.width or (one and shape[1] != 1):
            raise UpstreamError(
                f"{self.name} gave features of shape {shape}; expected (depth, frames, width) = "
                f"({self.depth}, {'1' if one else 'T'}, {self.width})"
            )
        if shape[1] == 0:
            mend = "set its min_samples to its receptive field in samples"
            mend = "every text has at least one" if self.modality == "text" else mend
            raise UpstreamError(f"{self.name} gave no frame; {mend}")
        if (device := output.device.type) not in ("cpu", self.device.partition(":")[0]):
            raise UpstreamError(f"{self.name} gives features on {device}, and was moved to {self.device}; {MOVE_ALL}")
        if not output.is_floating_point():
            raise UpstreamError(f"{self.name} gave {output.dtype} features; expected floating point")


def _exact_convolutions() -> None:
    """Set cuDNN to compute fp32 convolutions in fp32; torch's default is TF32, which keeps 10 bits of the mantissa."""
    import torch

    torch.backends.cudnn.allow_tf32 = False
