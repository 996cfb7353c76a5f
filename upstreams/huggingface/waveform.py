"""wav2vec 2.0 and the models built like it: convolutions over the waveform, then a transformer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from upstreams.huggingface.config_file import ConfigFile
from upstreams.huggingface.encoder import SpeechEncoder, layers

if TYPE_CHECKING:
    import torch
    from transformers.utils import ModelOutput

    from upstreams.halves import Halves

KERNELS = (10, 3, 3, 3, 3, 2, 2)  # of the first convolutions, unless a configuration says otherwise
STRIDES = (5, 2, 2, 2, 2, 2, 2)


class Waveform(SpeechEncoder):
    """The model, after the waveform got zero mean and unit variance if preprocessor_config.json says so."""

    def configure(self, configuration: ConfigFile, preprocessor: ConfigFile) -> None:
        self._windows = configuration.pairs(("conv_kernel", "conv_stride"), (KERNELS, STRIDES))
        self.hop, self.min_samples = 1, 1
        for kernel, stride in self._windows:
            self.min_samples += (kernel - 1) * self.hop
            self.hop *= stride
        self.depth = configuration.count("num_hidden_layers", 12) + 1
        self.width = configuration.count("hidden_size", 768)
        preprocessor.agree(sampling_rate=self.sample_rate, feature_size=1)
        self._normalise = preprocessor.flag("do_normalize", True)

    @property
    def preparation(self) -> str:
        return "zero mean, unit variance" if self._normalise else "none"

    def mend(self, module: torch.nn.Module) -> None:
        from torch import nn
        from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

        from upstreams.huggingface.padding import ConvolutionOwnFrames, GroupNormOwnFrames, OwnFrames

        self._own = OwnFrames()
        encoder = self.encoder(module)
        first = encoder.feature_extractor.conv_layers[0]
        if isinstance(getattr(first, "layer_norm", None), nn.GroupNorm):
            first.layer_norm = GroupNormOwnFrames(first.layer_norm, self._own)
        embedding = encoder.encoder.pos_conv_embed
        for layer in getattr(embedding, "layers", [embedding]):
            if is_parametrized(layer.conv):  # the weight norm is computed once, not in every call
                remove_parametrizations(layer.conv, "weight")
            layer.conv = ConvolutionOwnFrames(layer.conv, self._own)

    def to_bf16(self, module: torch.nn.Module) -> None:
        import torch

        encoder = self.encoder(module).to(torch.bfloat16)
        # On a CPU a convolution of one channel is many times slower in bf16 than in fp32.
        first = encoder.feature_extractor.conv_layers[0].float()
        first.register_forward_hook(lambda *call: call[-1].to(torch.bfloat16))

    def encoder(self, module: torch.nn.Module) -> torch.nn.Module:
        """The encoder within the module."""
        return module

    def split(self, module: torch.nn.Module, top: int) -> Halves[torch.Tensor]:
        from upstreams.halves import Given, Halves, input_of, load_each
        from upstreams.huggingface.top import TopOfEncoder

        encoder = self.encoder(module)
        block = encoder.encoder.layers[-top]

        def lower(waveforms: list[torch.Tensor]) -> list[Given]:
            inputs = [input_of(block, partial(self.run, encoder, [waveform]))[0] for waveform in waveforms]
            return [Given(x, len(x)) for x in inputs]

        def join(whole: torch.nn.Module, upper: torch.nn.Module) -> None:
            own = self.encoder(whole).encoder
            load_each(own.layers[-top:], upper.encoder.layers)
            load_each([own.layer_norm], [upper.encoder.layer_norm])  # one before all blocks was taken out

        return Halves(lower, TopOfEncoder(encoder.encoder, top), join)

    def front(self, module: torch.nn.Module) -> list[str]:
        own = self.encoder(module).feature_extractor
        return [name for name, part in module.named_modules() if part is own]

    def encode(self, module: torch.nn.Module, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        output, counts = self.run(self.encoder(module), inputs)
        return [one[:, :count] for one, count in zip(layers(output), counts, strict=True)]

    def run(self, encoder: torch.nn.Module, waveforms: list[torch.Tensor]) -> tuple[ModelOutput, list[int]]:
        """The output of the encoder for a batch, and the number of frames of each utterance without padding."""
        from upstreams.huggingface.padding import mask, together

        batch, lengths = together([_normal(w) for w in waveforms] if self._normalise else waveforms)
        counts = [self.frames(len(w)) for w in waveforms]
        if lengths is None:
            return encoder(batch, output_hidden_states=True), counts
        kernel, stride = self._windows[0]
        self._own.first = (lengths - kernel) // stride + 1
        self._own.last = lengths.new_tensor(counts)
        try:
            attended = mask(lengths, batch.shape[1])
            return encoder(batch, attention_mask=attended, output_hidden_states=True), counts
        finally:
            self._own.first = self._own.last = None

    def frames(self, samples: int) -> int:
        """How many frames the convolutions give for so many samples."""
        for kernel, stride in self._windows:
            samples = (samples - kernel) // stride + 1
        return samples


def _normal(waveform: torch.Tensor) -> torch.Tensor:
    centred = waveform - waveform.mean()
    return centred / (centred.square().mean() + 1e-7).sqrt()


class Wav2Vec2(Waveform):
    model, configuration = "Wav2Vec2Model", "Wav2Vec2Config"


class Hubert(Waveform):
    model, configuration = "HubertModel", "HubertConfig"


class WavLM(Waveform):
    model, configuration = "WavLMModel", "WavLMConfig"


class Data2VecAudio(Waveform):
    model, configuration = "Data2VecAudioModel", "Data2VecAudioConfig"


class UniSpeech(Waveform):
    model, configuration = "UniSpeechModel", "UniSpeechConfig"


class UniSpeechSat(Waveform):
    model, configuration = "UniSpeechSatModel", "UniSpeechSatConfig"
