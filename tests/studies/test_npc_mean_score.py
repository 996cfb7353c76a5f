"""A score that is added to the input, and the same in a bias."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

from tests.upstreams.npc.small import tiny
from upstreams.npc.learner import initial

FILE = Path(__file__).resolve().parents[2] / "studies" / "npc_mean_score.py"


def test_a_score_in_the_bias_is_one_that_is_added_to_the_input() -> None:
    """But for the frames that see an end of the utterance: zeros of padding have no score."""
    spec = importlib.util.spec_from_file_location("npc_mean_score", FILE)
    study = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(study)
    network, spectra = initial(tiny()).eval(), torch.randn(2, 60, 80, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        added, plain = network(spectra + 0.4), network(spectra)
        network.load_state_dict(study.shifted(network.state_dict(), 0.4))
        shifted = network(spectra)
    for layer, other, before in zip(added, shifted, plain, strict=True):
        middle = slice(12, -12)
        assert torch.allclose(layer[:, middle], other[:, middle], atol=1e-5)
        assert not torch.allclose(layer[:, middle], before[:, middle], atol=1e-2)
