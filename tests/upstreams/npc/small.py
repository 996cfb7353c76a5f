"""A recipe small enough to train in a second, and s3prl's checkpoints."""

from __future__ import annotations

import copy
from argparse import Namespace
from pathlib import Path

import torch

from tests.upstreams.pretraining.training import AUDIO
from upstreams.pretraining import recipe
from upstreams.pretraining.recipe_sections import Recipe
from upstreams.torchaudio_repair import repair_for_s3prl

TINY: dict[str, object] = {
    "method": "npc",
    "model": {"dim": 32, "codes": 8},
    "audio": AUDIO,
    "batch": {"seconds": 3.0, "micro_batches": 3, "equal_lengths": False},
    "optimiser": {"steps": 20, "rate": 3e-3, "schedule": "constant", "warmup": 0},
    "collapse": {"prediction": 0},
    "precision": "fp32", "log_every": 5, "save_every": 10, "checkpoints": 2,
}  # fmt: skip
STILL = ("model.dropout=0", "model.codes=0")
PARAS = {
    "kernel_size": 15, "mask_size": 5, "n_blocks": 4, "hidden_size": 64, "dropout": 0.1, "residual": True,
    "batch_norm": True, "activate": "relu", "disable_cross_layer": False,
    "vq": {"codebook_size": [64] * 4, "code_dim": [16] * 4, "gumbel_temperature": 1.0},
}  # fmt: skip
AUDIO_SETTINGS = {"feat_type": "fbank", "feat_dim": 80, "frame_length": 25, "frame_shift": 10, "decode_wav": False,
                  "cmvn": True}  # fmt: skip


def tiny(*changes: str) -> Recipe:
    return recipe.check(recipe.apply(TINY, changes), "tiny")


def of_s3prl(path: Path, paras: dict[str, object] | None = None, audio: dict | None = None, **more: object) -> Path:
    """A checkpoint as s3prl's pre-training saves it, with random weights and running statistics."""
    repair_for_s3prl()
    from s3prl.upstream.npc.npc import NPC

    torch.manual_seed(1)
    paras = PARAS | (paras or {})
    network = NPC(80, **copy.deepcopy(paras))
    for name, tensor in network.state_dict().items():
        if name.endswith(("running_mean", "bn1.bias", "bn2.bias")):
            tensor.normal_(std=0.3)
        elif name.endswith(("running_var", "bn1.weight", "bn2.weight")):
            tensor.uniform_(0.5, 2)
    settings = {"data": {"audio": AUDIO_SETTINGS | (audio or {})}, "model": {"paras": paras}}
    torch.save({"model": network.state_dict(), "config": settings, "Upstream_Config": settings,
                "Settings": {"Paras": Namespace(seed=1337)}, **more}, path)  # fmt: skip
    return path
