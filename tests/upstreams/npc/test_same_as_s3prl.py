"""On s3prl's checkpoints our features and predictions are those of s3prl's own modules; other files are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import upstreams
from tests.upstreams.npc.small import PARAS, of_s3prl
from tests.upstreams.sounds import noise
from upstreams import UpstreamError
from upstreams.checks import check
from upstreams.npc import checkpoint
from upstreams.npc.config import ModelConfig
from upstreams.npc.model import Npc


@pytest.mark.parametrize("paras", [{}, {"mask_size": 3, "kernel_size": 13}, {"n_blocks": 2, "vq": None}])
def test_features_are_those_of_s3prl(paras: dict[str, object], tmp_path: Path) -> None:
    file = of_s3prl(tmp_path / "states.ckpt", paras)
    ours, theirs = upstreams.load(f"npc@{file}"), upstreams.load(f"s3prl:npc_local@{file}")
    blocks = int(str((PARAS | paras)["n_blocks"]))
    assert (ours.depth, ours.width) == (theirs.depth, theirs.width) == (2 * blocks + 1, 64)
    for seed, seconds in enumerate((0.5, 1.9)):
        wave = torch.from_numpy(noise(seconds, seed))
        torch.testing.assert_close(ours([wave])[0], theirs([wave])[0], atol=1e-4, rtol=0)


def test_predictions_are_those_of_s3prl(tmp_path: Path) -> None:
    file, wave = of_s3prl(tmp_path / "states.ckpt"), torch.from_numpy(noise(1.2, 3))
    network, expert = checkpoint.build(file), upstreams.load(f"s3prl:npc_local@{file}").model.network()
    with torch.inference_mode():
        spectrum = network.config.acoustic.measure(wave)
        torch.testing.assert_close(spectrum, expert.preprocessor(wave[None]))
        theirs, _ = expert.model(spectrum[None], testing=True)
        quantised, _ = network.quantise(network(spectrum[None])[-1][0])
        torch.testing.assert_close(network.predict(quantised), theirs[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("mask", [3, 5, 7])
def test_a_prediction_does_not_depend_on_the_frames_of_the_mask(mask: int) -> None:
    torch.manual_seed(0)
    network = Npc(ModelConfig(dim=16, mask=mask, blocks=3)).eval()
    spectra = torch.randn(1, 61, 80, requires_grad=True)
    network(spectra)[-1][0, 30].sum().backward()
    assert spectra.grad is not None
    reached = spectra.grad[0].abs().sum(1).nonzero().flatten() - 30
    assert reached.abs().min() == mask // 2 + 1 and reached.abs().max() == 7 + 3


class Foreign:
    pass


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"paras": {"activate": "tanh"}}, "activate is 'tanh'"),
        ({"audio": {"low_freq": 40}}, "low_freq, which cannot be computed"),
        ({"Optimizer": Foreign()}, "pickle of more than plain weights"),
        ({"model": {"conv.weight": torch.zeros(3)}}, "conv.weight, which this network has not"),
        ({"model": 3}, "no NPC of s3prl"),
        ({"config": {"data": 3}}, "no section data"),
    ],
)
def test_other_files_are_refused_by_name(changes: dict, said: str, tmp_path: Path) -> None:
    file = of_s3prl(tmp_path / "states.ckpt", **changes)
    with pytest.raises(UpstreamError, match=said) as error:
        upstreams.load(f"npc@{file}")
    assert str(file) in str(error.value)


def test_it_passes_the_check(tmp_path: Path) -> None:
    assert "the same alone" in "".join(check(f"npc@{of_s3prl(tmp_path / 'states.ckpt')}"))
    assert "the same alone" in "".join(check("random:npc_small"))
