"""A speaker embedding computed from WavLM: a control for speaker identity (Snyder et al., ICASSP 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upstreams.huggingface.config_file import ConfigFile
from upstreams.huggingface.waveform import WavLM

if TYPE_CHECKING:
    import torch

KERNELS, DILATIONS = (5, 3, 3, 1, 1), (1, 2, 3, 1, 1)


class WavLMForXVector(WavLM):
    """One vector for each utterance. The speaker head runs on the frames of the utterance without padding.

    transformers counts these frames without the dilation, so in its padded batches some padding is pooled too.
    """

    model, folders = "WavLMForXVector", ""
    unused = ("masked_spec_embed", "objective.weight", "classifier.weight", "classifier.bias")

    def configure(self, configuration: ConfigFile, preprocessor: ConfigFile) -> None:
        super().configure(configuration, preprocessor)
        layers = configuration.pairs(("tdnn_kernel", "tdnn_dilation"), (KERNELS, DILATIONS))
        lost = sum((kernel - 1) * dilation for kernel, dilation in layers)
        assert self.hop is not None
        self.min_samples += (lost + 1) * self.hop  # two frames are left: enough for a standard deviation
        self.hop, self.depth = None, 1
        self.width = configuration.count("xvector_output_dim", 512)

    def encoder(self, module: torch.nn.Module) -> torch.nn.Module:
        return module.wavlm

    def encode(self, module: torch.nn.Module, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        import torch

        output, counts = self.run(module.wavlm, inputs)
        if module.config.use_weighted_layer_sum:
            weights = module.layer_weights.softmax(0)
            hidden = torch.einsum("l,lbtd->btd", weights, torch.stack(output.hidden_states).float())
        else:
            hidden = output.last_hidden_state.float()
        embeddings = []
        for one, count in zip(hidden, counts, strict=True):
            frames = module.projector(one[None, :count])
            for layer in module.tdnn:
                frames = layer(frames)
            statistics = torch.cat([frames.mean(1), frames.std(1)], dim=1)
            embeddings.append(module.feature_extractor(statistics)[None])
        return embeddings
