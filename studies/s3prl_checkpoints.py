"""An encoder of transformers written as the checkpoint that s3prl's `*_local` upstream of its family reads."""

import re
from pathlib import Path

import torch

from upstreams.torchaudio_repair import repair_for_s3prl

NAMES = (
    (r"^masked_spec_embed$", "mask_emb"),
    (r"^feature_projection\.layer_norm\.", "layer_norm."),
    (r"^feature_projection\.projection\.", "post_extract_proj."),
    (r"\.conv_layers\.(\d)\.conv\.", r".conv_layers.\1.0."),
    (r"\.pos_conv_embed\.conv\.parametrizations\.weight\.original0", ".pos_conv.0.weight_g"),
    (r"\.pos_conv_embed\.conv\.parametrizations\.weight\.original1", ".pos_conv.0.weight_v"),
    (r"\.pos_conv_embed\.conv\.", ".pos_conv.0."),
    (r"\.pos_conv_embed\.layers\.(\d)\.conv\.", r".pos_conv.\1.0."),
    (r"(\.layers\.\d+)\.layer_norm\.", r"\1.self_attn_layer_norm."),
    (r"\.attention\.gru_rel_pos_const", ".self_attn.grep_a"),
    (r"\.attention\.gru_rel_pos_linear\.", ".self_attn.grep_linear."),
    (r"\.attention\.rel_attn_embed\.", ".self_attn.relative_attention_bias."),
    (r"\.attention\.", ".self_attn."),
    (r"\.feed_forward\.intermediate_dense\.", ".fc1."),
    (r"\.feed_forward\.output_dense\.", ".fc2."),
)


def for_s3prl(family: str, module: torch.nn.Module, path: Path) -> str:
    """Write the checkpoint; returns the name of s3prl's upstream for it."""
    repair_for_s3prl()
    from s3prl.upstream.utils import merge_with_parent

    settings = _settings(family, module.config)
    if family == "WavLM":
        content = {"cfg": settings, "model": _renamed(module)}
        torch.save(content, path)
        return f"s3prl:wavlm_local@{path}"
    task = {"normalize": False, "sample_rate": 16000}
    if family == "Hubert":
        from s3prl.upstream.hubert.hubert_model import HubertConfig, HubertModel, HubertPretrainingConfig

        symbols = [["a", "b"]]
        shell = HubertModel(
            merge_with_parent(HubertConfig, settings), merge_with_parent(HubertPretrainingConfig, task), symbols
        )
        extra, name = {"dictionaries_symbols": symbols}, "hubert_local"
    elif family == "Data2VecAudio":
        from s3prl.upstream.data2vec.data2vec_model import Data2VecAudioConfig, Data2VecAudioModel

        shell = Data2VecAudioModel(merge_with_parent(Data2VecAudioConfig, settings))
        shell.remove_pretraining_modules()
        extra, name = {}, "data2vec_local"
    else:
        from s3prl.upstream.wav2vec2.wav2vec2_model import Wav2Vec2Config, Wav2Vec2Model

        shell = Wav2Vec2Model(merge_with_parent(Wav2Vec2Config, settings))
        extra, name = {}, "wav2vec2_local"
    weights, ours = shell.state_dict(), _renamed(module)
    assert not ours.keys() - weights.keys()  # what is left over is for pre-training alone
    content = {"task_cfg": task, "model_cfg": settings, "model_weight": {**weights, **ours}, **extra}
    if family == "Data2VecAudio":
        content["model_weight"]["_ema"] = {}
    torch.save(content, path)
    return f"s3prl:{name}@{path}"


def _settings(family: str, config: object) -> dict[str, object]:
    layered = getattr(config, "feat_extract_norm", "layer") == "layer"
    shapes = zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True)
    settings = {
        "encoder_layers": config.num_hidden_layers,
        "encoder_embed_dim": config.hidden_size,
        "encoder_ffn_embed_dim": config.intermediate_size,
        "encoder_attention_heads": config.num_attention_heads,
        "conv_feature_layers": str(list(shapes)),
        "conv_bias": config.conv_bias,
        "extractor_mode": "layer_norm" if layered else "default",
        "layer_norm_first": getattr(config, "do_stable_layer_norm", False),
        "normalize": False,
    }
    if family == "Hubert":
        settings["label_rate"] = 50.0
    if family == "Data2VecAudio":
        settings |= {"conv_pos": 5 * config.conv_pos_kernel_size, "pos_conv_depth": config.num_conv_pos_embeddings}
    if family == "WavLM":
        settings |= {"relative_position_embedding": True, "gru_rel_pos": True}
        settings |= {"num_buckets": config.num_buckets, "max_distance": config.max_bucket_distance}
    return settings


def _renamed(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    layered = getattr(module.config, "feat_extract_norm", "layer") == "layer"
    renamed = {}
    for name, tensor in module.state_dict().items():
        norm = r".conv_layers.\1.2.1." if layered else r".conv_layers.\1.2."
        for pattern, new in (*NAMES, (r"\.conv_layers\.(\d)\.layer_norm\.", norm)):
            name = re.sub(pattern, new, name)
        renamed[name] = tensor.clone()
    return renamed
