"""A recipe small enough to train in a second, s3prl's checkpoints, and frame scores."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
import torch

from tests.upstreams.pretraining.training import AUDIO
from upstreams.pretraining import recipe, scores
from upstreams.pretraining.pack import Pack
from upstreams.pretraining.recipe_sections import Recipe
from upstreams.torchaudio_repair import repair_for_s3prl

TINY: dict[str, object] = {
    "method": "mockingjay",
    "model": {"dim": 32, "heads": 4, "ffn": 64, "layers": 2},
    "audio": AUDIO,
    "batch": {"seconds": 3.0, "micro_batches": 3, "equal_lengths": False},
    "optimiser": {"steps": 20, "rate": 3e-3, "schedule": "linear"},
    "collapse": {"prediction": 0},
    "precision": "fp32", "log_every": 5, "save_every": 10, "checkpoints": 2,
}  # fmt: skip
STILL = ("model.dropout=0", "model.attention_dropout=0")
KALDI = {
    "kaldi": {
        "feat_type": "fbank",
        "fbank": {"frame_length": 25.0, "frame_shift": 10.0, "num_mel_bins": 80, "use_log_fbank": True},
    },
    "delta": {"order": 2, "win_length": 5},
    "cmvn": {"use_cmvn": True},
}
_MEL = {"feat_type": "mel", "channel": 0, "log": True, "delta": 2, "cmvn": True}
ONLINE = {
    "win_ms": 25, "hop_ms": 10, "n_freq": 201, "n_mels": 80, "n_mfcc": 13, "target_level": -25,
    "input": _MEL, "target": {"feat_type": "linear", "channel": 0, "log": True, "delta": 0, "cmvn": True},
}  # fmt: skip
TRANSFORMER = {
    "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_act": "gelu", "intermediate_size": 96,
    "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "initializer_range": 0.02,
    "layer_norm_eps": "1e-12", "share_layer": False, "pre_layer_norm": False,
}  # fmt: skip


def tiny(*changes: str) -> Recipe:
    return recipe.check(recipe.apply(TINY, changes), "tiny")


def of_s3prl(path: Path, audio: dict, longest: int = 1500, transformer: dict = TRANSFORMER, **more: object) -> Path:
    """A checkpoint as s3prl's pre-training saves it, with random weights that differ everywhere."""
    repair_for_s3prl()
    from s3prl.upstream.mockingjay.model import TransformerConfig, TransformerModel, TransformerSpecPredictionHead

    torch.manual_seed(1)
    config = TransformerConfig(transformer)
    modules = {"Transformer": TransformerModel(config, 240), "SpecHead": TransformerSpecPredictionHead(config, 240)}
    for module in modules.values():
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    settings = {"transformer": transformer, "audio": audio, "task": {"sequence_length": longest}}
    content = {name: module.state_dict() for name, module in modules.items()}
    content |= {"Upstream_Config": settings, "Config": {"runner": {}}, "Settings": {"Paras": Namespace(seed=1337)}}
    torch.save({**content, **more}, path)
    return path


def scored(path: Path, pack: Pack, seen: dict[str, str] | None = None, leave_out: str = "") -> Path:
    """A file of frame scores, one every 16 ms: a hump at a place of its own in every file."""
    hashes, lengths = scores.hash_of(pack), dict.fromkeys(pack.names, 0)
    for name, samples in zip(pack.names, pack.lengths, strict=True):
        lengths[name] += int(samples)
    rows = []
    for number, (name, samples) in enumerate(lengths.items()):
        times = np.arange(0.008, samples / 16000, 0.016)
        place = times[-1] * (0.2 + 0.6 * (number % 5) / 4)
        if name != leave_out:
            rows.append(scores.Scored(name, hashes[name], times, np.exp(-(((times - place) / 0.05) ** 2))))
    scores.write(path, rows, seen or {}, "made up")
    return path
