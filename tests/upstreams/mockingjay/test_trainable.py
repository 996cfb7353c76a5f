"""Networks over spectra can be fine-tuned: their copies give the same features, with gradients."""

from __future__ import annotations

import pytest
import torch

import upstreams
from tests.upstreams.sounds import noise


@pytest.mark.parametrize("name", ["random:mockingjay_small", "random:npc_small"])
def test_a_trainable_copy_gives_the_same_and_takes_gradients(name: str) -> None:
    upstream = upstreams.load(name)
    waves = [torch.from_numpy(noise(seconds)) for seconds in (0.4, 0.7)]
    network = upstream.model.trainable().requires_grad_(True)
    for ours, theirs in zip(network(waves), upstream(waves), strict=True):
        torch.testing.assert_close(ours.detach(), theirs, atol=1e-5, rtol=1e-5)
    sum(output[-1].square().sum() for output in network(waves)).backward()
    of_first = next(network.parameters()).grad
    assert of_first is not None and of_first.abs().sum() > 0
    assert all(not p.requires_grad for p in upstream.model.network().parameters())
