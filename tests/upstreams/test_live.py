"""Live networks: what fine-tuning trains gives what extraction gives, and takes gradients."""

import errno
import os
import re
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from commons.bf16 import autocast
from tests.upstreams.sounds import ENERGY, extract, noise, plugin, speak, with_init
from upstreams import UpstreamError
from upstreams.checks import check
from upstreams.extraction.models import Models
from upstreams.live import Live

TINY = """
from upstreams.huggingface.factories import random

def tiny():
    return random({name!r}, small=True)
"""
MODULE = """
import torch

class Energy(torch.nn.Module):
    sample_rate, hop, depth, width, min_samples, max_seconds = 16000, 160, 1, 4, 160, 1

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.layer = torch.nn.Linear(160, 4)

    def forward(self, waveforms):
        from scale import SCALE

        frames = torch.stack([w.unfold(0, 160, 160) for w in waveforms])
        return list(SCALE * self.layer(frames)[:, None])
"""
NAMES = ["random:emotion2vec", "wav2vec2_base", "wavlm_base", "hubert_large", "whisper_tiny", "module"]


@pytest.fixture
def utterances(tmp_path: Path) -> pd.DataFrame:
    return speak(tmp_path, [noise(0.5), noise(0.8, 1), noise(0.01, 2), noise(2.3, 3)])


def made(name: str, folder: Path) -> str:
    """The name of an upstream: as it is, a tiny encoder's, or that of a user's module."""
    if name.startswith("random:"):
        return name
    (folder / "scale.py").write_text("SCALE = 2.0\n")
    return plugin(folder, MODULE) if name == "module" else plugin(folder, TINY.format(name=name), "tiny")


@pytest.mark.parametrize("name", NAMES)
def test_a_live_network_gives_the_frozen_features(name: str, tmp_path: Path, utterances: pd.DataFrame) -> None:
    features = extract(made(name, tmp_path), utterances, {"pooled", "frames:all", "live"}, tmp_path / "cache")
    live = features.live
    assert len(live) == 4 and (live.depth, live.width) == (features.depth, features.width)
    for rows in ([0, 1, 2, 3], [3, 0], [1]):
        frames = live.frames(live.network(), rows)
        for row, output in zip(rows, frames, strict=True):
            assert output.shape == (features.depth, len(features.frames[row]), features.width)
            means, atol = output.detach().mean(1), 1e-5 * max(1.0, float(output.detach().abs().max()))
            np.testing.assert_allclose(means.numpy(), features.pooled[row, 0], rtol=1e-5, atol=atol)


@pytest.mark.parametrize("name", [*NAMES, "w2v_bert_2", "data2vec_base"])
def test_a_network_runs_in_bf16_as_in_fp32(name: str, tmp_path: Path, utterances: pd.DataFrame) -> None:
    live = extract(made(name, tmp_path), utterances, {"live"}, tmp_path / "cache").live
    network = live.network()
    whole = live.frames(network, [0, 1, 2, 3])
    with autocast("cpu", True, cache=False):
        rough = live.frames(network, [0, 1, 2, 3])
    for one, own in zip(rough, whole, strict=True):
        assert float((one.float() - own).detach().norm() / own.detach().norm()) < 0.05
    sum(one.float().square().mean() for one in rough).backward()


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_the_first_parameters_and_leave_other_copies_alone(
    name: str, tmp_path: Path, utterances: pd.DataFrame
) -> None:
    live = extract(made(name, tmp_path), utterances, {"live"}, tmp_path / "cache").live
    network, twin = live.network(), live.network()
    assert all(parameter.device.type == "cpu" for parameter in network.parameters())
    fixed = {called for called, parameter in network.named_parameters() if not parameter.requires_grad}
    assert fixed == ({"network.embed_positions.weight"} if name == "whisper_tiny" else set())  # as in transformers
    before = [output.detach() for output in live.frames(twin, [0, 1])]
    # Of a norm over channels the plain sum is constant.
    sum(output.square().sum() + output[..., 0].sum() for output in live.frames(network, [0, 1])).backward()
    used = [parameter for parameter in network.parameters() if parameter.grad is not None]
    first = next(p for called, p in network.named_parameters() if "masked_spec_embed" not in called)  # of training
    assert first.grad is not None and float(first.grad.abs().max()) > 0
    assert sum(float(parameter.grad.abs().max()) > 0 for parameter in used) > len(used) / 2
    torch.optim.SGD(network.parameters(), 0.1).step()
    after = [output.detach() for output in live.frames(network, [0, 1])]
    assert not torch.allclose(before[0], after[0])
    for one, other in zip(before, live.frames(twin, [0, 1]), strict=True):
        assert torch.equal(one, other.detach())


@pytest.mark.parametrize("name", ["random:emotion2vec", "wav2vec2_base", "whisper_tiny"])
def test_a_padded_batch_has_the_loss_and_the_gradients_of_its_utterances_alone(
    name: str, tmp_path: Path, utterances: pd.DataFrame
) -> None:
    live = extract(made(name, tmp_path), utterances, {"live"}, tmp_path / "cache").live
    together, alone = live.network(), live.network()
    direction = torch.randn(live.width, generator=torch.Generator().manual_seed(0)) / live.width

    def backward(network: torch.nn.Module, rows: list[int]) -> float:
        loss = sum((output.mean((0, 1)) @ direction) for output in live.frames(network, rows))
        loss.backward()
        return float(loss.detach())

    whole, parts = backward(together, [0, 1, 2, 3]), [backward(alone, [row]) for row in (0, 1, 2, 3)]
    assert whole == pytest.approx(sum(parts), rel=1e-5, abs=1e-5)
    largest = max(float(own.grad.abs().max()) for own in alone.parameters() if own.grad is not None)
    for (called, own), other in zip(alone.named_parameters(), together.parameters(), strict=True):
        if own.grad is not None:
            assert float((other.grad - own.grad).abs().max()) < 1e-5 * max(1.0, largest), called


@pytest.mark.parametrize(
    ("freeze", "taking"), [("", {"layer.weight"}), (".requires_grad_(False)", {"layer.weight", "layer.bias"})]
)
def test_what_a_trainable_froze_beside_others_stays_so(
    tmp_path: Path, utterances: pd.DataFrame, freeze: str, taking: set[str]
) -> None:
    (tmp_path / "scale.py").write_text("SCALE = 2.0\n")
    own = f"""
    def trainable(self):
        made = Energy(){freeze}
        made.layer.bias.requires_grad_(False)
        return made
"""
    live = extract(plugin(tmp_path, MODULE + own), utterances, {"live"}, tmp_path / "cache").live
    assert {called for called, one in live.network().named_parameters() if one.requires_grad} == taking


@pytest.mark.parametrize(
    ("returned", "shared"),
    [
        ("KEPT", True),
        ("self", True),
        ("torch.nn.Sequential(KEPT)", True),
        ("copy.deepcopy(KEPT)", False),
        ("torch.nn.Sequential(copy.deepcopy(KEPT), KEPT.requires_grad_(False))", False),
    ],
)
def test_a_trainable_that_returns_the_same_weights_is_refused(
    tmp_path: Path, utterances: pd.DataFrame, returned: str, shared: bool
) -> None:
    """Folds would train each other's; what it froze beside others may be shared."""
    (tmp_path / "scale.py").write_text("SCALE = 2.0\n")
    own = f"\n    def trainable(self):\n        return {returned}\n\n\nKEPT = Energy()\n"
    name = plugin(tmp_path, "import copy\n" + MODULE + own)
    live = extract(name, utterances, {"live"}, tmp_path / "cache").live
    words = r"trainable\(\) returns the same weights each time"
    if not shared:
        assert all(isinstance(live.network(), torch.nn.Module) for _ in range(2))
        return
    with pytest.raises(UpstreamError, match=words):
        live.network()
    if returned == "KEPT":
        assert any(re.search(words, line) for line in check(name))


@pytest.mark.parametrize("name", ["random:emotion2vec", "random:mockingjay_small", "random:npc_small", "wavlm_base"])
def test_networks_of_our_own_share_no_weights(name: str, tmp_path: Path, utterances: pd.DataFrame) -> None:
    live = extract(made(name, tmp_path), utterances, {"live"}, tmp_path / "cache").live
    one, other = live.network(), live.network()
    places = [{own.data_ptr() for own in network.parameters()} for network in (one, other)]
    assert places[0].isdisjoint(places[1])


FRONTS = {
    "random:emotion2vec": 2,  # modules that hold parameters: convolutions, each with a norm
    "wav2vec2_base": 7,
    "wavlm_base": 7,
    "hubert_large": 7,
    "whisper_tiny": 2,
    "module": 0,
}


@pytest.mark.parametrize("name", NAMES)
def test_the_front_end_holds_the_convolutions(name: str, tmp_path: Path, utterances: pd.DataFrame) -> None:
    live = extract(made(name, tmp_path), utterances, {"live"}, tmp_path / "cache").live
    network = live.network()
    front = live.front(network)
    held = {id(own) for own in front}
    assert sum(own.dim() == 3 for own in front) == FRONTS[name]
    assert all("conv" in called for called, own in network.named_parameters() if id(own) in held)
    for own in front:
        own.requires_grad_(False)
    sum(output.square().sum() for output in live.frames(network, [0])).backward()
    assert all(own.grad is None for own in front)


def with_front(folder: Path, utterances: pd.DataFrame, front: str) -> Live:
    """A network of a user's with this attribute `front`."""
    (folder / "scale.py").write_text("SCALE = 2.0\n")
    source = MODULE.replace(
        "        torch.manual_seed(3)", f"        self.front = {front}\n        torch.manual_seed(3)"
    )
    live = extract(plugin(folder, source), utterances, {"live"}, folder / "cache").live
    assert live is not None
    return live


def test_a_front_that_is_not_there_is_named(tmp_path: Path, utterances: pd.DataFrame) -> None:
    live = with_front(tmp_path, utterances, "'stem'")
    with pytest.raises(UpstreamError, match="`front` names 'stem', and the network has no module of that name"):
        live.front(live.network())


@pytest.mark.parametrize("module", ["torch.nn.Linear(2, 2)", "torch.nn.Sequential(torch.nn.Linear(2, 2))"])
def test_a_module_that_is_called_front_is_trained_with_the_rest(
    tmp_path: Path, utterances: pd.DataFrame, module: str
) -> None:
    live = with_front(tmp_path, utterances, module)
    assert live.front(live.network()) == []


def test_the_first_seconds_are_those_of_a_shorter_file(tmp_path: Path, utterances: pd.DataFrame) -> None:
    live = extract("random:emotion2vec", utterances, {"live"}, tmp_path / "cache").live
    (tmp_path / "cut").mkdir()
    shorter = speak(tmp_path / "cut", [noise(2.3, 3)[:16000]])
    cut = extract("random:emotion2vec", shorter, {"live"}, tmp_path / "cache").live
    assert live.lengths.tolist() == pytest.approx([0.5, 0.8, 0.01, 2.3])
    [one], [other] = live.frames(live.network(), [3], 1.0), cut.frames(cut.network(), [0])
    assert torch.equal(one, other)


@pytest.mark.parametrize("name", NAMES)
def test_costs_are_seconds_with_what_the_network_pads(name: str, tmp_path: Path) -> None:
    """Whisper computes 30 s whatever the length, and each window of a longer file."""
    utterances = speak(tmp_path, [noise(0.5), noise(31, 1)])
    live = extract(made(name, tmp_path), utterances, {"live"}, tmp_path / "cache").live
    padded = name == "whisper_tiny"
    tops = [live.top(1)] if name in TOPS else []
    for own in (live, *tops):
        assert own.costs().tolist() == ([30.0, 60.0] if padded else [0.5, 31.0])
        assert own.costs(2.0).tolist() == ([30.0, 30.0] if padded else [0.5, 2.0])


@pytest.mark.parametrize("wrong", ["'30'", "-1.0", "float('nan')", "True"])
def test_a_wrong_padding_is_named(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(UpstreamError, match="padded_to is a number of seconds, 0 where no input is padded; it is"):
        list(
            check(plugin(tmp_path, ENERGY.replace("min_samples = 160", f"min_samples = 160\n    padded_to = {wrong}")))
        )


TOPS = ["random:emotion2vec", "wav2vec2_base", "wavlm_base", "wavlm_large", "hubert_large", "whisper_tiny"]


@pytest.mark.parametrize("name", TOPS)
def test_top_blocks_on_what_those_below_gave_are_the_network_with_them_frozen(
    name: str, tmp_path: Path, utterances: pd.DataFrame
) -> None:
    """Frames, and gradients of the top block's parameters."""
    live = extract(made(name, tmp_path), utterances, {"live"}, tmp_path / "cache").live
    top = live.top(1)
    whole, upper = live.network(), top.network()
    assert (len(top), top.depth, top.width) == (4, 1, live.width) and top.lengths.tolist() == live.lengths.tolist()
    for rows in ([0, 1, 2, 3], [3, 0], [1]):
        expected = live.frames(whole, rows)
        frames = top.frames(upper, rows)
        for one, other in zip(frames, expected, strict=True):
            assert one.shape == (1, *other.shape[1:])
            assert (one[0] - other[-1]).abs().max() < 1e-4 * max(1, float(other[-1].detach().abs().max()))
    kept = {id(own) for own in top.front(upper)}
    for network, outputs in ((whole, expected), (upper, frames)):
        network.zero_grad()
        sum(output[-1].square().sum() + output[-1, ..., 0].sum() for output in outputs).backward()
    gradients = sorted(
        float(own.grad.norm()) for own in upper.parameters() if own.grad is not None and id(own) not in kept
    )
    assert len(gradients) > 4
    theirs = [float(own.grad.norm()) for own in whole.parameters() if own.grad is not None]
    for own in gradients:
        assert min(abs(own - other) for other in theirs) < 1e-3 * max(1, own)


@pytest.mark.parametrize("name", ["random:emotion2vec", "wav2vec2_base", "whisper_tiny"])
def test_what_lower_blocks_give_is_in_fp32_whoever_asks_first(
    name: str, tmp_path: Path, utterances: pd.DataFrame
) -> None:
    live = extract(made(name, tmp_path), utterances, {"live"}, tmp_path / "cache").live
    rows, tops = [0, 1], [live.top(1), live.top(1)]
    networks = [top.network() for top in tops]
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
            rough = tops[0].frames(networks[0], rows)
        several = [top.frames(network, rows) for top, network in zip(tops, networks, strict=True)]
    assert all(torch.equal(one, other) for one, other in zip(*several, strict=True))
    assert any(not torch.equal(one.float(), other) for one, other in zip(rough, several[0], strict=True)), "bf16 above"


def test_top_blocks_of_audio_of_several_windows(tmp_path: Path) -> None:
    """Joined as in extraction; with `longest`, what the whole network gives of the first seconds, however long."""
    live = extract("random:emotion2vec", speak(tmp_path, [noise(31)]), {"live"}, tmp_path / "cache").live
    top, whole = live.top(2), live.network()
    upper = top.network()
    with torch.no_grad():
        for longest in (None, 30.5, 1.0):
            [expected], [frames] = live.frames(whole, [0], longest), top.frames(upper, [0], longest)
            assert torch.allclose(frames[0], expected[-1], atol=1e-4), longest


def test_what_lower_blocks_give_lies_in_the_cache_and_leaves_nothing(
    tmp_path: Path, utterances: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no room, the folder is named, and how much all utterances need."""
    cache = tmp_path / "cache"
    live = extract("random:emotion2vec", utterances, {"live"}, cache).live
    top, made, of_folder = live.top(1), [], tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: made.append(dir) or of_folder(dir=dir))
    upper, rows = top.network(), [0, 1, 2, 3]
    with torch.no_grad():
        first, again = top.frames(upper, rows), top.frames(upper, rows)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert made == [cache] and not any(cache.iterdir())
    needed = top._end

    def full(*given: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(UpstreamError, match=r"cache: what the lower blocks .*No space left.* MB: make room") as refused:
        live.top(1).frames(upper, [3])
    said = float(re.search(r"([\d,]+) MB", str(refused.value))[1].replace(",", ""))
    assert abs(said - needed / 2**20) <= 1


def test_top_blocks_that_are_not_there_are_named(tmp_path: Path, utterances: pd.DataFrame) -> None:
    live = extract("random:emotion2vec", utterances, {"live"}, tmp_path / "cache").live
    with pytest.raises(UpstreamError, match="has 4 blocks, and the top 5 are asked for"):
        live.top(5)
    own = extract(made("module", tmp_path), utterances, {"live"}, tmp_path / "cache").live
    with pytest.raises(UpstreamError, match="top blocks alone cannot be fine-tuned"):
        own.top(1)


def test_training_a_copy_changes_no_frozen_feature(tmp_path: Path, utterances: pd.DataFrame) -> None:
    held, name = Models(), made("wav2vec2_base", tmp_path)
    features = extract(name, utterances, {"pooled", "live"}, tmp_path / "a", models=held)
    network = features.live.network().train()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1)
    again = extract(name, utterances, {"pooled"}, tmp_path / "b", models=held)
    np.testing.assert_array_equal(again.pooled[:], features.pooled[:])


def test_live_alone_needs_no_store(tmp_path: Path, utterances: pd.DataFrame) -> None:
    features = extract("random:emotion2vec", utterances, {"live"}, tmp_path / "cache")
    assert features.pooled is None and features.frames is None and features.counts == {}
    assert not (tmp_path / "cache").exists()
    assert extract("fbank", utterances, {"pooled"}, tmp_path / "cache").live is None


def test_without_gradients_a_live_network_runs_too(tmp_path: Path, utterances: pd.DataFrame) -> None:
    live = extract("random:emotion2vec", utterances, {"live"}, tmp_path / "cache").live
    with torch.no_grad():
        assert not live.frames(live.network(), [0])[0].requires_grad


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (ENERGY, "not a torch module with parameters, and has no `trainable"),
        (with_init("def trainable(self): return 3"), r"trainable\(\) returned int; expected a torch module"),
        (MODULE.replace("self.layer(frames)", "self.layer(frames).detach()"), "its features carry no gradient"),
    ],
)
def test_what_cannot_be_trained_says_why(tmp_path: Path, utterances: pd.DataFrame, source: str, words: str) -> None:
    (tmp_path / "scale.py").write_text("SCALE = 2.0\n")
    name = plugin(tmp_path, source)

    with pytest.raises(UpstreamError, match=words):
        live = extract(name, utterances, {"live"}, tmp_path / "cache").live
        live.frames(live.network(), [0])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("", "", r"fine-tuning: a step trains 644 values in 2 of 2 tensors"),
        ("self.layer(frames)", "self.layer(frames).detach()", "cannot be fine-tuned: its features carry no gradient"),
        ("self.layer(frames)", "(self.layer(frames) * 0)", "no parameter gets a gradient other than 0"),
        ("self.layer(frames)", "(self.layer(frames) * 0).sqrt()", "a gradient is not finite; look for a root"),
        (
            "        return list(SCALE * self.layer(frames)",
            "        made = self.layer(frames).exp()\n        made += made.detach()\n        return list(made",
            r"torch computes no gradient: .*inplace operation.*write `x = x \+ y`",
        ),
    ],
)
def test_check_tries_a_training_step(tmp_path: Path, old: str, new: str, words: str) -> None:
    (tmp_path / "scale.py").write_text("SCALE = 2.0\n")
    assert old in MODULE
    lines = list(check(plugin(tmp_path, MODULE.replace(old, new) if old else MODULE)))
    assert any(re.search(words, line) for line in lines), lines


def test_check_says_where_there_is_nothing_to_train(tmp_path: Path) -> None:
    lines = list(check(plugin(tmp_path, ENERGY)))
    assert any("cannot be fine-tuned: it is not a torch module with parameters" in line for line in lines)
    assert any("of its convolutional front end stay" in line for line in check("random:emotion2vec"))


def test_fixed_features_cannot_be_trained(tmp_path: Path, utterances: pd.DataFrame) -> None:
    with pytest.raises(UpstreamError, match="fbank cannot be fine-tuned"):
        extract("fbank", utterances, {"live"}, tmp_path / "cache")
