"""Copies of encoders as the hub holds them: folders with a configuration and weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from tests.upstreams.sounds import noise
from upstreams.huggingface import factories

WAVE = [torch.from_numpy(noise(0.4))]


def store(name: str, folder: Path, normalise: bool = False) -> Path:
    """Write a very small model of a named encoder's kind, with random weights, as `save_pretrained` does."""
    factories.random(name, small=True).build().save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": normalise}))
    return folder
