"""FunASR's emotion2vec base as a worker of emotion2vec_inference.py; runs in an interpreter that has `funasr`."""

import os
import sys
import time
import types

import torch

SETTINGS = {  # the released base configuration, as far as inference reads it
    **{"depth": 8, "embed_dim": 768, "num_heads": 12, "mlp_ratio": 4.0, "norm_eps": 1e-5, "norm_affine": True},
    **{"layer_norm_first": False, "end_of_block_targets": False, "clone_batch": 8, "average_top_k_layers": 8},
    **{"encoder_dropout": 0.1, "attention_dropout": 0.1, "activation_dropout": 0.0, "post_mlp_drop": 0.1},
    **{"dropout_input": 0.0, "layerdrop": 0.05, "start_drop_path_rate": 0.0, "end_drop_path_rate": 0.0},
    **{"loss_beta": 0, "loss_scale": None, "normalize": True},
    "modalities": {
        "audio": {
            "type": "AUDIO",
            "feature_encoder_spec": "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2",
            **{"extractor_mode": "layer_norm", "local_grad_mult": 1.0, "projection_layers": 1, "projection_ratio": 1.0},
            **{"conv_pos_depth": 5, "conv_pos_width": 95, "conv_pos_groups": 16, "conv_pos_pre_ln": False},
            **{"prenet_depth": 4, "prenet_dropout": 0.1, "prenet_layerdrop": 0.05, "model_depth": 8},
            **{"start_drop_path_rate": 0.0, "end_drop_path_rate": 0.0, "num_extra_tokens": 10},
            **{"init_extra_token_zero": True, "use_alibi_encoder": True, "num_alibi_heads": 12, "alibi_scale": 1.0},
            **{"learned_alibi": False, "learned_alibi_scale": True, "learned_alibi_scale_per_head": True},
            **{"learned_alibi_scale_per_layer": False, "alibi_max_pos": None, "encoder_zero_mask": True},
            **{"mask_prob": 0.5, "mask_prob_adjust": 0.05, "mask_prob_min": None, "mask_length": 5},
            **{"mask_noise_std": 0.01, "mask_dropout": 0.0, "mask_channel_prob": 0.0, "mask_channel_length": 64},
            **{"inverse_mask": False, "add_masks": False, "remove_masks": False, "keep_masked_pct": 0.0},
            **{"ema_local_encoder": False},
            "decoder": {
                **{"decoder_dim": 384, "decoder_groups": 16, "decoder_kernel": 7, "decoder_layers": 4},
                **{"input_dropout": 0.1, "decoder_residual": True, "projection_layers": 1, "projection_ratio": 2.0},
                **{"add_positions_masked": False, "add_positions_all": False},
            },
        }
    },
}


def stub_torchaudio() -> None:
    """FunASR imports torchaudio, whose compiled part does not load beside a torch without CUDA; none of it is used."""
    stub = types.ModuleType("torchaudio._extension")
    stub._IS_TORCHAUDIO_EXT_AVAILABLE = stub._IS_ALIGN_AVAILABLE = False
    stub._check_cuda_version = lambda: None
    stub.fail_if_no_align = lambda function: function
    sys.modules["torchaudio._extension"] = stub


def main() -> None:
    if not torch.cuda.is_available():
        stub_torchaudio()
    from funasr.models.emotion2vec.model import Emotion2vec

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model = Emotion2vec(model_conf=SETTINGS).eval()
    for line in sys.stdin:
        batch, samples = map(int, line.split())
        waveforms = torch.randn(batch, samples)
        started = time.perf_counter()
        with torch.inference_mode():
            model.extract_features(torch.nn.functional.layer_norm(waveforms, waveforms.shape[1:]), padding_mask=None)
        print("took", time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
