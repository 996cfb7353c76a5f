"""A speaker embedding behind WavLM: the control that hears who speaks (Snyder et al., ICASSP 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upstreams.huggingface.settings import Settings
from upstreams.huggingface.waveform import WavLM

if TYPE_CHECKING:
    import torch

KERNELS, DILATIONS = (5, 3, 3, 1, 1), (1, 2, 3, 1, 1)


class WavLMForXVector(WavLM):
    """One vector an utterance. The head runs on each utterance's own frames.

    (transformers counts them without the dilation, so that in a padded batch some frames of padding join its pooling.)
    """

    model = "WavLMForXVector"
    unused = ("masked_spec_embed", "objective.weight", "classifier.weight", "classifier.bias")

    def read(self, configuration: Settings, preprocessor: Settings) -> None:
        super().read(configuration, preprocessor)
        layers = configuration.pairs(("tdnn_kernel", "tdnn_dilation"), (KERNELS, DILATIONS))
        lost = sum((kernel - 1) * dilation for kernel, dilation in layers)
        assert self.hop is not None
        self.min_samples += (lost + 1) * self.hop  # two frames are left, which have a standard deviation
        self.hop, self.depth = None, 1
        self.width = configuration.count("xvector_output_dim", 512)

    def encoder(self, module: torch.nn.Module) -> torch.nn.Module:
        return module.wavlm

    def hear(self, module: torch.nn.Module, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        import torch

        output, counts = self.run(module.wavlm, waveforms)
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
