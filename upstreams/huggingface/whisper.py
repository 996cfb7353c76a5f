"""Whisper's encoder: each input is padded to 30 s, and only the frames of the utterance are returned."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from upstreams.huggingface.config_file import ConfigFile
from upstreams.huggingface.encoder import SpeechEncoder, layers

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from upstreams.halves import Halves

WINDOW, MEL_HOP = 400, 160
POSITIONS = 1500


class Whisper(SpeechEncoder):
    """The silence behind the utterance takes part in attention, as it did in training."""

    model, configuration = "WhisperEncoder", "WhisperConfig"
    prefixes = ("model.encoder.", "encoder.")
    unused = ()

    def configure(self, configuration: ConfigFile, preprocessor: ConfigFile) -> None:
        self.hop = self.min_samples = 2 * MEL_HOP
        self.depth = configuration.count("encoder_layers", 4) + 1
        self.width = configuration.count("d_model", 384)
        self._mels = configuration.count("num_mel_bins", 80)
        self._chunk = configuration.count("max_source_positions", POSITIONS) * self.hop // self.sample_rate
        self.max_seconds = self.padded_to = float(self._chunk)
        preprocessor.agree(
            sampling_rate=self.sample_rate,
            feature_size=self._mels,
            n_fft=WINDOW,
            hop_length=MEL_HOP,
            chunk_length=self._chunk,
        )

    @property
    def preparation(self) -> str:
        return f"log-mel, {self._mels} bands, at most 8 below the utterance's peak, over {self._chunk} s"

    def mend(self, module: torch.nn.Module) -> None:
        from transformers import WhisperFeatureExtractor

        self._spectrogram = WhisperFeatureExtractor(
            feature_size=self._mels, n_fft=WINDOW, hop_length=MEL_HOP, chunk_length=self._chunk
        )

    def library_class(self) -> type[PreTrainedModel]:
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        return WhisperEncoder

    def split(self, module: torch.nn.Module, top: int) -> Halves[torch.Tensor]:
        from upstreams.halves import Given, Halves, input_of, load_each
        from upstreams.huggingface.top import TopOfWhisper

        block = module.layers[-top]

        def lower(waveforms: list[torch.Tensor]) -> list[Given]:
            inputs = [input_of(block, partial(self.encode, module, [waveform]))[0] for waveform in waveforms]
            assert self.hop is not None
            return [Given(x, -(-len(w) // self.hop)) for x, w in zip(inputs, waveforms, strict=True)]

        def join(whole: torch.nn.Module, upper: torch.nn.Module) -> None:
            load_each([*whole.layers[-top:], whole.layer_norm], [*upper.layers, upper.layer_norm])

        return Halves(lower, TopOfWhisper(module, top), join)

    def front(self, module: torch.nn.Module) -> list[str]:
        return ["conv1", "conv2"]

    def to_bf16(self, module: torch.nn.Module) -> None:
        import torch

        module.to(torch.bfloat16)

    def encode(self, module: torch.nn.Module, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        import torch

        device = inputs[0].device
        samples = [waveform.cpu().numpy() for waveform in inputs]
        with torch.autocast(device.type, enabled=False):  # the library's spectrogram is of fp32 alone
            mel = self._spectrogram(samples, sampling_rate=self.sample_rate, return_tensors="pt", device=str(device))
        features = mel["input_features"].to(device, module.conv1.weight.dtype)
        hidden = layers(module(features, output_hidden_states=True))
        assert self.hop is not None
        return [one[:, : -(-len(w) // self.hop)] for one, w in zip(hidden, inputs, strict=True)]
