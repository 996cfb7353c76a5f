"""NPC's checkpoints: ours, and s3prl's, which are pickles: of these only weights and settings are taken."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from commons.errors import some
from upstreams.acoustic import Acoustic, config_of_file
from upstreams.errors import UpstreamError
from upstreams.npc.config import ModelConfig
from upstreams.npc.model import Npc
from upstreams.pretraining import checkpoints, s3prl_files
from upstreams.pretraining.checkpoints import Stored
from upstreams.pretraining.s3prl_files import refuse, section, setting

NAME = "npc"  # of the method, in the header of our files
HEADS: tuple[str, ...] = ("logits.", "codes.", "head.", "score_head.")  # behind the features that are read out
RENAMED = (  # of s3prl's names; the first that fits
    (r"blocks\.(\d+)\.bn([12])\.running_mean$", r"blocks.\1.norm\2.mean"),
    (r"blocks\.(\d+)\.bn([12])\.running_var$", r"blocks.\1.norm\2.variance"),
    (r"blocks\.(\d+)\.bn([12])\.", r"blocks.\1.norm\2."),
    (r"blocks\.(\d+)\.(conv|linear)\.", r"blocks.\1.\2."),
    (r"masked_convs\.(\d+)\.conv\.", r"masked.\1."),
    (r"vq_layers\.(\d+)\.vq_logits\.", r"logits.\1."),
    (r"vq_layers\.(\d+)\.codebook_CxE\.", r"codes.\1."),
    (r"postnet\.", "head."),
)
UNUSED = re.compile(r".*\.(num_batches_tracked|conv_mask)")  # counters, and the zeros that are left out here


def read(path: Path) -> Stored:
    """A checkpoint of ours or of s3prl, its weights under our names. Raises UpstreamError that names the file."""
    return _theirs(path) if s3prl_files.is_pickle(path) else checkpoints.read(path, NAME)


def build(path: Path) -> Npc:
    """The network of a checkpoint, in eval mode. Raises UpstreamError that names the file."""
    stored = read(path)
    model = Npc(config_of_file(ModelConfig, stored.config, path))
    checkpoints.fill(model, stored.weights, path)
    return model.eval()


def without_heads(whole: Stored) -> Stored:
    """A checkpoint without what only training uses."""
    encoder = {name: tensor for name, tensor in whole.weights.items() if not name.startswith(HEADS)}
    return Stored(whole.method, {**whole.config, "target": 0, "codes": 0, "score": "off"}, encoder, whole.facts)


def _theirs(path: Path) -> Stored:
    content = s3prl_files.load(path)
    weights, settings = content.get("model"), content.get("config")
    if not isinstance(weights, Mapping) or not isinstance(settings, Mapping):
        raise UpstreamError(
            f"{path}: no NPC of s3prl; expected weights under `model` and settings under `config`; it holds "
            f"{some([str(key) for key in content])}"
        )
    config = _config(settings, path)
    renamed = s3prl_files.renamed({n: t for n, t in weights.items() if not UNUSED.fullmatch(n)}, RENAMED, path)
    for block in range(config.blocks):
        name = f"masked.{block}.weight"
        if name in renamed:
            renamed[name] = _outer(renamed[name], config.taps(block))
    checkpoints.refuse_nan(renamed, path)
    return Stored(NAME, asdict(config), renamed)


def _outer(weight: Tensor, taps: int) -> Tensor:
    """(C, C, kernel) -> (C, C, 2 taps): the first and the last ones."""
    return torch.cat([weight[..., :taps], weight[..., -taps:]], dim=-1)


def _config(settings: Mapping[str, object], path: Path) -> ModelConfig:
    """The configuration that s3prl's settings name. Raises UpstreamError for what is not built here."""
    audio = section(section(settings, "data", path), "audio", path)
    of = section(section(settings, "model", path), "paras", path)
    refuse(audio, {"feat_type": "fbank"}, path)
    if strange := sorted(set(audio) - {"feat_type", "feat_dim", "frame_length", "frame_shift", "decode_wav", "cmvn"}):
        raise UpstreamError(f"{path}: its audio has the settings {', '.join(strange)}, which cannot be computed here")
    refuse(audio, {"frame_length": 25, "frame_shift": 10}, path)
    refuse(of, {"residual": True, "batch_norm": True, "activate": "relu", "disable_cross_layer": False}, path)
    refuse(of, {"dim_bottleneck": None}, path)
    bins, dim = setting(audio, "feat_dim", int, path), setting(of, "hidden_size", int, path)
    vq = of.get("vq")
    codes, groups, temperature = 0, 1, 1.0
    if isinstance(vq, Mapping):
        sizes, widths = vq.get("codebook_size"), vq.get("code_dim")
        if not isinstance(sizes, list) or widths != [dim // len(sizes)] * len(sizes) or len(set(sizes)) != 1:
            raise UpstreamError(f"{path}: vq has codebooks {sizes} of widths {widths}; expected several of one size")
        codes, groups, temperature = sizes[0], len(sizes), setting(vq, "gumbel_temperature", float, path)
    normalise = setting({"cmvn": True, **audio}, "cmvn", bool, path)
    return ModelConfig(
        acoustic=Acoustic("fbank", bins, "hamming", 0, normalise),
        blocks=setting(of, "n_blocks", int, path),
        dim=dim,
        kernel=setting(of, "kernel_size", int, path),
        mask=setting(of, "mask_size", int, path),
        dropout=setting(of, "dropout", float, path),
        groups=groups,
        codes=codes,
        temperature=temperature,
        target=bins,
    )
