"""On s3prl's checkpoints our features are those of s3prl's own modules; other files are refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import upstreams
from tests.upstreams.mockingjay.small import KALDI, ONLINE, TRANSFORMER, of_s3prl, tiny
from tests.upstreams.sounds import noise
from upstreams import UpstreamError
from upstreams.checks import check
from upstreams.mockingjay import checkpoint
from upstreams.mockingjay.learner import initial
from upstreams.mockingjay.masks import log_energy


@pytest.mark.parametrize("audio", [KALDI, ONLINE], ids=["kaldi", "online"])
@pytest.mark.parametrize("longest", [1500, 50])
def test_features_are_those_of_s3prl(audio: dict, longest: int, tmp_path: Path) -> None:
    file = of_s3prl(tmp_path / "states.ckpt", audio, longest)
    waves = [torch.from_numpy(noise(seconds, seed)) for seed, seconds in enumerate((0.5, 1.9))]
    ours, theirs = upstreams.load(f"mockingjay@{file}"), upstreams.load(f"s3prl:mockingjay_local@{file}")
    assert (ours.depth, ours.width, ours.audio.hop) == (theirs.depth, theirs.width, theirs.audio.hop) == (3, 48, 160)
    assert ours.seen == "unknown"
    for wave in waves:
        torch.testing.assert_close(ours([wave])[0], theirs([wave])[0], atol=1e-4, rtol=0)


def test_spectra_and_their_reconstruction_are_those_of_s3prl(tmp_path: Path) -> None:
    from s3prl.upstream.baseline.extracter import get_extracter
    from s3prl.upstream.mockingjay.builder import PretrainedTransformerWithHead

    file, wave = of_s3prl(tmp_path / "states.ckpt", KALDI), torch.from_numpy(noise(1.2, 3))
    network = checkpoint.build(file)
    torch.testing.assert_close(network.config.acoustic.measure(wave), get_extracter(KALDI)[0](wave))
    options = {"ckpt_file": str(file), "load_pretrain": "True", "no_grad": "True", "dropout": "default",
               "spec_aug": "False", "spec_aug_prev": "True", "output_hidden_states": "False", "select_layer": -1,
               "permute_input": "False"}  # fmt: skip
    theirs = PretrainedTransformerWithHead(options, inp_dim=-1)([wave])
    with torch.inference_mode():
        ours = network.reconstruct(network(network.config.acoustic.measure(wave)[None])[-1])
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_an_early_checkpoint_is_read(tmp_path: Path) -> None:
    """It has its settings under `Config`, and gamma and beta in layer norms."""
    new = of_s3prl(tmp_path / "new.ckpt", KALDI)
    content = torch.load(new, weights_only=False)
    content["Config"] = content.pop("Upstream_Config")
    norm = "LayerNorm."
    content["Transformer"] = {
        name.replace(norm + "weight", norm + "gamma").replace(norm + "bias", norm + "beta"): tensor
        for name, tensor in content["Transformer"].items()
    }
    torch.save(content, tmp_path / "old.ckpt")
    wave = torch.from_numpy(noise(0.7))
    old, new = (upstreams.load(f"mockingjay@{tmp_path / name}.ckpt")([wave])[0] for name in ("old", "new"))
    assert torch.equal(old, new)


class Foreign:
    pass


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Optimizer": Foreign()}, "pickle of more than plain weights"),
        (
            {"Transformer": {"encoder.layers.0.bias": torch.zeros(3)}},
            "encoder.layers.0.bias, which this network has not",
        ),
        ({"Upstream_Config": {}}, "no Mockingjay of s3prl"),
        ({"Transformer": 3}, "no Mockingjay of s3prl"),
    ],
)
def test_other_files_are_refused_by_name(changes: dict[str, object], said: str, tmp_path: Path) -> None:
    file = of_s3prl(tmp_path / "states.ckpt", KALDI, **changes)
    with pytest.raises(UpstreamError, match=said) as error:
        upstreams.load(f"mockingjay@{file}")
    assert str(file) in str(error.value)


@pytest.mark.parametrize(
    ("transformer", "audio", "said"),
    [
        ({"share_layer": True}, {}, "share_layer is True"),
        ({"num_hidden_layers": 3}, {}, "missing: blocks.2"),
        ({}, {"kaldi": {"feat_type": "mfcc", "fbank": {}}}, "feat_type is 'mfcc'"),
        ({}, {"kaldi": {**KALDI["kaldi"], "fbank": {"low_freq": 40}}}, "low_freq, which cannot be computed"),
        ({}, {"cmvn": {}}, "use_cmvn is None"),
    ],
)
def test_networks_and_spectra_that_are_not_built_here_are_refused(
    transformer: dict, audio: dict, said: str, tmp_path: Path
) -> None:
    file = of_s3prl(tmp_path / "states.ckpt", KALDI)
    content = torch.load(file, weights_only=False)
    settings = content["Upstream_Config"]
    settings["transformer"] = TRANSFORMER | transformer
    settings["audio"] = KALDI | audio
    torch.save(content, file)
    with pytest.raises(UpstreamError, match=said):
        upstreams.load(f"mockingjay@{file}")([torch.from_numpy(noise(0.5))])


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    file = of_s3prl(tmp_path / "states.ckpt", KALDI)
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(UpstreamError, match=r"states\.ckpt is damaged"):
        upstreams.load(f"mockingjay@{file}")


def test_a_run_begins_with_a_checkpoint_of_s3prl(tmp_path: Path) -> None:
    file = of_s3prl(tmp_path / "states.ckpt", KALDI)
    fits = (f"init={file}", "model.dim=48", "model.ffn=96")
    begun, given = initial(tiny(*fits)).state_dict(), checkpoint.read(file).weights
    assert begun.keys() == given.keys() and all(torch.equal(begun[name], given[name]) for name in given)
    with pytest.raises(UpstreamError, match=r"init .*states\.ckpt: does not fit the recipe's model \(of another shape"):
        initial(tiny(f"init={file}"))
    with pytest.raises(UpstreamError, match="has heads 4, that of the recipe's model 3"):
        initial(tiny(*fits, "model.heads=3"))
    with pytest.raises(UpstreamError, match=r"has acoustic Acoustic\(kind='log_mel'"):
        initial(tiny(*fits[1:], f"init={of_s3prl(tmp_path / 'online.ckpt', ONLINE)}"))


def test_it_passes_the_check(tmp_path: Path) -> None:
    assert "the same alone" in "".join(check(f"mockingjay@{of_s3prl(tmp_path / 'states.ckpt', KALDI, 120)}"))
    assert "the same alone" in "".join(check("random:mockingjay_small"))


def test_energy_is_that_of_kaldis_frames() -> None:
    wave = noise(0.5) * np.linspace(0, 1, 8000, dtype=np.float32)
    energy = log_energy(wave, 400, 160)
    assert len(energy) == 48 and (np.diff(energy[::8]) > 0).all()
