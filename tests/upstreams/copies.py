"""Copies of encoders as the hub holds them: folders with a configuration and weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from tests.upstreams.sounds import noise
from upstreams.huggingface import factories

WAVE = [torch.from_numpy(noise(0.4))]


def store(name: str, place: Path) -> Path:
    """A named encoder's small sister with random weights, as `save_pretrained` writes it."""
    encoder = factories.random(name, small=True)
    encoder.build().save_pretrained(place)
    (place / "preprocessor_config.json").write_text(json.dumps({"do_normalize": False}))
    return place
