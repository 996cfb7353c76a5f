"""What all encoders of transformers share behind the contract."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from commons.errors import EmorepError
from upstreams.errors import UpstreamError
from upstreams.huggingface.settings import Settings
from upstreams.huggingface.weights import CONFIGURATION, PREPROCESSOR, Weights
from upstreams.torchaudio_repair import repair

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel
    from transformers.utils import ModelOutput

    from upstreams.huggingface.models import Seen


class Encoder(ABC):
    """A frozen encoder. Its facts come from its configuration alone; weights are read when it is first called.

    Layers: the input of the first block and each block's output, the last behind the encoder's final layer norm where
    it has one (as s3prl and transformers 4 give them; transformers 5 leaves that norm out of `hidden_states`).
    """

    sample_rate, max_seconds, ragged = 16000, 30.0, True
    hop: int | None
    depth: int
    width: int
    min_samples: int
    model: ClassVar[str]  # the class in transformers, and that of its configuration
    configuration: ClassVar[str]
    prefixes: ClassVar[tuple[str, ...]] = ()  # its names in the weights of a larger model, beside the library's own
    unused: ClassVar[tuple[str, ...]] = ("masked_spec_embed",)  # weights that no feature depends on

    def __init__(self, weights: Weights, title: str, seen: Seen, licence: str = "") -> None:
        self.weights, self.title, self.seen, self.licence = weights, title, seen, licence
        self.source = weights.source
        self._device, self._bf16 = "cpu", False
        self._module: torch.nn.Module | None = None
        self._configuration = f"{weights.place}/{CONFIGURATION}"
        self.read(
            Settings(self._configuration, weights.configuration),
            Settings(f"{weights.place}/{PREPROCESSOR}", weights.preprocessor),
        )

    @abstractmethod
    def read(self, configuration: Settings, preprocessor: Settings) -> None:
        """Set the facts. Raises UpstreamError: settings that it cannot follow."""

    @property
    @abstractmethod
    def preparation(self) -> str:
        """What is done to the waveform before the model, in words; part of the fingerprint."""

    @property
    def normalisation(self) -> str:
        return f"{self.preparation}: {self.weights.says}"

    @abstractmethod
    def ready(self, module: torch.nn.Module) -> None:
        """Mend a module that was just built: see upstreams.huggingface.padding."""

    @abstractmethod
    def half(self, module: torch.nn.Module) -> None:
        """Weights to bf16, but for what is slower or worse in it."""

    @abstractmethod
    def hear(self, module: torch.nn.Module, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        """1-D waveforms of any lengths -> (L, T, D) each."""

    def fingerprint(self) -> str:
        return self.weights.fingerprint(self.model, self.preparation)

    def to(self, device: str) -> None:
        self._device = device
        if self._module is not None:
            self._module.to(device)

    def bf16(self) -> None:
        """Run in bf16: called before the first waveform."""
        self._bf16 = True

    def __call__(self, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        if self._module is None:
            module = self.build()
            self.ready(module)
            if self._bf16:
                self.half(module)
            self._module = module.to(self._device)
        return self.hear(self._module, waveforms)

    def trainable(self) -> torch.nn.Module:
        """A new module on the CPU, in fp32, that is called with waveforms; errors as in `build`."""
        from upstreams.trainable import Trainable

        own = copy.copy(self)  # running a module notes in its encoder what the batch is padded with
        own._module = None
        module = own.build()
        own.ready(module)
        return Trainable(module, own.hear)

    def build(self) -> torch.nn.Module:
        """The library's own module, on the CPU, in eval mode.

        Raises UpstreamError: a configuration that the library does not take, weights that do not fit it.
        """
        repair()  # transformers imports torchaudio wherever it is installed
        import torch
        import transformers

        try:
            configuration = getattr(transformers, self.configuration).from_dict(self.weights.configuration)
            configuration.add_adapter = False  # layers behind the encoder, of another frame rate
            with torch.inference_mode(False):
                module = self.weights.fill(self.library_class(), configuration, self.prefixes, self.unused)
        except EmorepError:
            raise
        except Exception as error:  # the library raises whatever arises of a wrong value
            keys = [key for key, value in self.weights.configuration.items() if repr(value) in str(error)]
            raise UpstreamError(
                f"{self._configuration}: transformers cannot build {self.model} from it: "
                f"{type(error).__name__}: {error}" + (f" (see {', '.join(keys)})" if keys else "")
            ) from error
        return module.eval().requires_grad_(False)

    def library_class(self) -> type[PreTrainedModel]:
        """The class `model` of transformers."""
        import transformers

        return getattr(transformers, self.model)


def layers(output: ModelOutput) -> torch.Tensor:
    """A model's output -> (B, L, T, D)."""
    import torch

    return torch.stack([*output.hidden_states[:-1], output.last_hidden_state], dim=1)
