"""w2v-BERT 2.0: a conformer over log-mel energies, whose frames of 10 ms are stacked in pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upstreams.huggingface.config_file import ConfigFile
from upstreams.huggingface.encoder import SpeechEncoder, layers

if TYPE_CHECKING:
    import torch

WINDOW, MEL_HOP, STRIDE, BANDS = 400, 160, 2, 80


class Wav2Vec2Bert(SpeechEncoder):
    """Its convolutions are causal and its attention is masked, so padding behind an utterance has no effect."""

    model, configuration = "Wav2Vec2BertModel", "Wav2Vec2BertConfig"
    preparation = "log-mel, zero mean and unit variance a band"

    def configure(self, configuration: ConfigFile, preprocessor: ConfigFile) -> None:
        preprocessor.agree(sampling_rate=self.sample_rate, feature_size=BANDS, num_mel_bins=BANDS, stride=STRIDE)
        self.hop, self.min_samples = STRIDE * MEL_HOP, WINDOW + (STRIDE - 1) * MEL_HOP
        self.depth = configuration.count("num_hidden_layers", 24) + 1
        self.width = configuration.count("hidden_size", 1024)

    def mend(self, module: torch.nn.Module) -> None:
        from transformers import SeamlessM4TFeatureExtractor

        self._spectrogram = SeamlessM4TFeatureExtractor(feature_size=BANDS, num_mel_bins=BANDS, stride=STRIDE)

    def to_bf16(self, module: torch.nn.Module) -> None:
        import torch

        module.to(torch.bfloat16)

    def encode(self, module: torch.nn.Module, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        samples = [waveform.cpu().numpy() for waveform in inputs]
        mel = self._spectrogram(samples, sampling_rate=self.sample_rate, return_tensors="pt")
        device, dtype = inputs[0].device, module.feature_projection.projection.weight.dtype
        mask = mel["attention_mask"].to(device)
        output = module(mel["input_features"].to(device, dtype), attention_mask=mask, output_hidden_states=True)
        return [one[:, :count] for one, count in zip(layers(output), mask.sum(1).tolist(), strict=True)]
