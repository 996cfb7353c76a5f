"""What all encoders of transformers have in common."""

from __future__ import annotations

import copy
import re
from abc import ABC, abstractmethod
from collections.abc import Sized
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from commons.errors import EmorepError
from upstreams.errors import UpstreamError
from upstreams.huggingface.config_file import ConfigFile
from upstreams.huggingface.weights import CONFIGURATION, PREPROCESSOR, Weights
from upstreams.torchaudio_repair import repair

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel
    from transformers.utils import ModelOutput

    from upstreams.halves import Halves
    from upstreams.huggingface.named_encoders import Seen
    from upstreams.pretraining.checkpoints import Facts


Piece = TypeVar("Piece", bound=Sized)  # what one call gets of an utterance: a waveform, or numbers of word pieces


class Encoder(ABC, Generic[Piece]):
    """A frozen encoder. Its facts come from its configuration alone; weights are loaded at the first call.

    Layers: the input of the first block and the output of each block. The last is taken behind the final layer norm if
    the encoder has one, as in s3prl and transformers 4; `hidden_states` of transformers 5 lacks that norm.
    """

    ragged = True
    depth: int
    width: int
    model: ClassVar[str]  # the class in transformers, and that of its configuration
    configuration: ClassVar[str]
    prefixes: ClassVar[tuple[str, ...]] = ()  # of its weights in a file of a larger model, beside the library's own
    unused: ClassVar[tuple[str, ...]] = ("masked_spec_embed",)  # weights that no feature depends on
    folders: ClassVar[str] = "hf:"  # before a folder in the name of an upstream of this class; "": none reads one

    def __init__(self, weights: Weights, title: str, seen: Seen, licence: str = "") -> None:
        self.weights, self.title, self.seen, self.licence = weights, title, seen, licence
        self.source = weights.source
        self._device, self._bf16 = "cpu", False
        self._module: torch.nn.Module | None = None
        self._configuration = f"{weights.origin}/{CONFIGURATION}"
        self.set_facts(ConfigFile(self._configuration, weights.configuration))

    @abstractmethod
    def set_facts(self, configuration: ConfigFile) -> None:
        """Set depth, width and the other facts. Raises UpstreamError: settings that are not supported here."""

    @abstractmethod
    def fingerprint(self) -> str: ...

    @abstractmethod
    def mend(self, module: torch.nn.Module) -> None:
        """Change the parts of a new module that padding would reach, or that are not wanted here."""

    @abstractmethod
    def to_bf16(self, module: torch.nn.Module) -> None:
        """Convert the weights to bf16, except where that is slower or less exact."""

    @abstractmethod
    def encode(self, module: torch.nn.Module, inputs: list[Piece]) -> list[torch.Tensor]:
        """Inputs of any lengths -> (L, T, D) each."""

    def to(self, device: str) -> None:
        self._device = device
        if self._module is not None:
            self._module.to(device)

    def bf16(self) -> None:
        """Run in bf16: called before the first input."""
        self._bf16 = True

    def network(self) -> torch.nn.Module:
        """The module, on the device to which the encoder was moved. It is built at the first call."""
        if self._module is None:
            module = self.build()
            self.mend(module)
            if self._bf16:
                self.to_bf16(module)
            self._module = module.to(self._device)
        return self._module

    def __call__(self, inputs: list[Piece]) -> list[torch.Tensor]:
        return self.encode(self.network(), inputs)

    def trainable(self) -> torch.nn.Module:
        """A new module on the CPU, in fp32, that is called as the encoder is; what the library freezes, such as fixed
        positions, takes no gradients. Errors are those of `build`."""
        from upstreams.trainable import Trainable

        own = copy.copy(self)  # an encoder stores the padding of the batch that its module runs
        own._module = None
        module = own._built().eval()
        own.mend(module)
        return Trainable(module, own.encode, own.front(module), own.split)

    def write_tuned(self, module: torch.nn.Module, folder: Path, facts: Facts) -> str:
        """Write the module of `trainable()` into a folder that hf:FOLDER reads; returns "" where nothing does."""
        if not self.folders:
            return ""
        from upstreams.huggingface import tuned_folder

        configuration = {**self.weights.configuration, "model_type": self.library_configuration().model_type}
        tuned_folder.write(folder, self.weights, configuration, _with_weights(self.build(), module), self.unused, facts)
        return self.folders

    def split(self, module: torch.nn.Module, top: int) -> Halves[Piece]:
        """Both halves of a module, of which the `top` last blocks are the upper one.

        Raises:
            UpstreamError: this family does not offer it.
        """
        raise UpstreamError(
            f"{self.title}: the top blocks of a {self.model} alone cannot be fine-tuned; leave `top` out"
        )

    def front(self, module: torch.nn.Module) -> list[str]:
        """Names of the modules of the convolutional front end; none where the encoder has none."""
        return []

    def build(self) -> torch.nn.Module:
        """The module of the library, frozen, on the CPU, in eval mode.

        Raises UpstreamError: the library refuses the configuration, or the weights do not fit it.
        """
        return self._built().eval().requires_grad_(False)

    def _built(self) -> torch.nn.Module:
        """The module as the library makes it, with the weights."""
        repair()  # transformers imports torchaudio wherever it is installed
        import torch

        try:
            configuration = self.library_configuration()
            with torch.inference_mode(False):
                return self.weights.fill(self.library_class(), configuration, self.prefixes, self.unused)
        except EmorepError:
            raise
        except Exception as error:  # a wrong value may raise anything in the library
            keys = [key for key, value in self.weights.configuration.items() if _named(repr(value), str(error))]
            raise UpstreamError(
                f"{self._configuration}: transformers cannot build {self.model} from it: "
                f"{type(error).__name__}: {error}" + (f" (see {', '.join(keys)})" if keys else "")
            ) from error

    def library_configuration(self) -> PretrainedConfig:
        """The configuration as the library takes it."""
        import transformers

        configuration = getattr(transformers, self.configuration).from_dict(self.weights.configuration)
        configuration.add_adapter = False  # of speech: layers behind the encoder, with another frame rate
        configuration.return_dict = True  # outputs are read by their names
        return configuration

    def library_class(self) -> type[PreTrainedModel]:
        """The class of transformers that `model` names."""
        import transformers

        return getattr(transformers, self.model)


def _named(value: str, message: str) -> bool:
    """Whether a message names a value, not as a part of another."""
    return re.search(rf"(?<![\w.]){re.escape(value)}(?![\w.])", message) is not None


class SpeechEncoder(Encoder["torch.Tensor"]):
    """A frozen encoder of waveforms."""

    sample_rate, max_seconds = 16000, 30.0
    hop: int | None
    min_samples: int

    def set_facts(self, configuration: ConfigFile) -> None:
        self.configure(configuration, ConfigFile(f"{self.weights.origin}/{PREPROCESSOR}", self.weights.preprocessor))

    @abstractmethod
    def configure(self, configuration: ConfigFile, preprocessor: ConfigFile) -> None:
        """Set the facts. Raises UpstreamError: settings that are not supported here."""

    @property
    @abstractmethod
    def preparation(self) -> str:
        """What is done to the waveform before the model, in words; part of the fingerprint."""

    @property
    def normalisation(self) -> str:
        return f"{self.preparation}: {self.weights.says}"

    def fingerprint(self) -> str:
        return self.weights.fingerprint(self.model, self.preparation)


def _with_weights(library: torch.nn.Module, module: torch.nn.Module) -> torch.nn.Module:
    """The library's own module with the weights of one that was mended."""
    import torch
    from torch.nn.utils.parametrize import is_parametrized

    from upstreams.huggingface.padding import library_names

    with torch.no_grad(), torch.inference_mode(False):
        for name, tensor in library_names(module).items():
            above, _, last = name.rpartition(".")
            owner = library.get_submodule(above)
            if is_parametrized(owner, last):  # a weight norm, which computes its parts from the weight
                setattr(owner, last, tensor)
            else:
                getattr(owner, last).copy_(tensor)
    return library


def layers(output: ModelOutput) -> torch.Tensor:
    """A model's output -> (B, L, T, D)."""
    import torch

    return torch.stack([*output.hidden_states[:-1], output.last_hidden_state], dim=1)
