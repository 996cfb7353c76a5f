"""Fine-tuned networks: written as upstreams again; adapters; blocks that are computed again for gradients."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import upstreams
from commons.bf16 import autocast
from commons.corridors.features import Live
from tests.upstreams.sounds import extract, noise, plugin, speak, words
from tests.upstreams.test_live import MODULE, TINY
from tests.upstreams.text_copies import store_text
from upstreams import UpstreamError, adapters

AUDIO = ("random:emotion2vec", "wav2vec2_base", "wavlm_base", "data2vec_base", "w2v_bert_2", "random:mockingjay_small")
TOPS = ("random:emotion2vec", "wavlm_base", "hubert_large", "whisper_tiny", "text")
ADAPTED = ("random:emotion2vec", "w2v_bert_2", "whisper_tiny", "text")
CASES = [*((name, "whole") for name in (*AUDIO, "text")), *((name, "top") for name in TOPS),
         *((name, "adapted") for name in ADAPTED)]  # fmt: skip


def made(name: str, folder: Path) -> tuple[str, pd.DataFrame]:
    """The name of a small upstream, and utterances that it reads."""
    if name == "text":
        return f"hf:{store_text('bert', folder / 'bert')}", words(["Why?", "What a lovely day it is, is it not?"])
    table = speak(folder, [noise(0.5), noise(0.8, 1)])
    if name.startswith("random:"):
        return name, table
    return plugin(folder, TINY.format(name=name), "tiny"), table


def moved(live: Live, how: str) -> torch.nn.Module:
    """A network of this kind whose trained values are others than before."""
    network, draws = live.network(), torch.Generator().manual_seed(1)
    if how == "adapted":
        live.adapt(network, 2, draws)
    for own in live.front(network):
        own.requires_grad_(False)
    with torch.no_grad():
        for own in network.parameters():
            if own.requires_grad:
                own.add_(0.02 * torch.randn(own.shape, generator=draws))
    return network


@pytest.mark.parametrize(("name", "how"), CASES)
def test_what_is_written_is_an_upstream_with_the_features_of_the_network(tmp_path: Path, name: str, how: str) -> None:
    called, table = made(name, tmp_path)
    before = upstreams.identify(upstreams.resolve(called))
    live = extract(called, table, {"live"}, tmp_path / "cache").live
    live = live.top(1) if how == "top" else live
    network = moved(live, how)
    with torch.no_grad():
        wanted = live.frames(network, [0, 1])
    folder = tmp_path / "tuned"
    form = live.write(live.merged(network), folder, {"EmoDB": "labels"})
    assert form == (f"{name.partition(':')[2].partition('_')[0]}@" if name.startswith("random:") else "hf:")

    features = extract(f"{form}{folder}", table, {"frames:all"}, tmp_path / "cache")
    identity = upstreams.identify(upstreams.resolve(f"{form}{folder}"))
    assert identity.seen == {**({"unknown": "audio"} if before.seen == "unknown" else before.seen), "emodb": "labels"}
    assert identity.title == f"{before.title}, fine-tuned" and identity.fingerprint != before.fingerprint
    live_again = extract(f"{form}{folder}", table, {"live"}, tmp_path / "cache").live
    with torch.no_grad():
        again = live_again.frames(live_again.network(), [0, 1])
    old = extract(called, table, {"frames:all"}, tmp_path / "cache")
    for row, (one, other) in enumerate(zip(wanted, again, strict=True)):
        one = one[-1].numpy()
        largest = max(1.0, float(np.abs(one).max()))
        assert np.abs(one - other[-1].numpy()).max() < 1e-5 * largest
        assert np.abs(one - features.frames[row][:, -1]).max() < 1e-3 * largest  # float16
        assert np.abs(one - old.frames[row][:, -1]).max() > 1e-3 * largest


def test_a_users_module_has_no_such_form_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "scale.py").write_text("SCALE = 2.0\n")
    live = extract(plugin(tmp_path, MODULE), speak(tmp_path, [noise(0.5)]), {"live"}, tmp_path / "cache").live
    assert live.write(live.network(), tmp_path / "tuned", {}) == "" and not (tmp_path / "tuned").exists()
    network = live.network()
    with pytest.raises(UpstreamError, match="name them in an attribute `feed_forward`"):
        live.adapt(network, 2, torch.Generator())
    network.feed_forward = "layer"
    live.adapt(network, 2, torch.Generator())
    assert {name for name, own in network.named_parameters() if own.requires_grad} == {
        "layer.lora_A.default.weight", "layer.lora_B.default.weight"}  # fmt: skip


def test_without_peft_one_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = extract("random:emotion2vec", speak(tmp_path, [noise(0.5)]), {"live"}, tmp_path / "cache").live
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UpstreamError, match=r"LoRA needs peft .*: pip install 'emorep\[lora\]'"):
        live.adapt(live.network(), 2, torch.Generator())


@pytest.mark.parametrize("adapted", [False, True])
@pytest.mark.parametrize("name", ["random:emotion2vec", "wavlm_base", "whisper_tiny"])
def test_gradients_of_blocks_that_are_computed_again_are_the_same_and_less_is_kept(
    tmp_path: Path, name: str, adapted: bool
) -> None:
    called, table = made(name, tmp_path)
    live = extract(called, table, {"live"}, tmp_path / "cache").live

    def gradients(network: torch.nn.Module) -> tuple[dict[str, torch.Tensor], int]:
        """The gradients of some loss, and how many values were kept for them."""
        kept: list[int] = []
        for own in live.front(network):
            own.requires_grad_(False)

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            kept.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = sum(output[-1].square().mean() for output in live.frames(network, [0, 1]))
        loss.backward()
        return {name: own.grad for name, own in network.named_parameters() if own.grad is not None}, sum(kept)

    plain, again = live.network(), live.network()
    for network in (plain, again) if adapted else ():
        live.adapt(network, 2, torch.Generator().manual_seed(0))
    live.checkpoint(again)
    (wanted, all_kept), (made_again, fewer) = gradients(plain), gradients(again)
    assert wanted.keys() == made_again.keys() and fewer < 0.8 * all_kept
    assert max(float((own - made_again[name]).abs().max()) for name, own in wanted.items()) < 1e-6
    assert len(adapters.blocks(plain, name)) == live.depth - 1


def test_so_are_those_in_bf16_where_a_block_has_a_convolution_that_is_computed_in_fp32() -> None:
    grown = []
    for again in (False, True):
        torch.manual_seed(0)
        network = torch.nn.Module()
        network.layers = torch.nn.ModuleList([torch.nn.Sequential(torch.nn.Conv1d(8, 8, 16), torch.nn.Linear(5, 5))])
        network.feed_forward = "layers.0.1"
        if again:
            adapters.checkpoint(network, "a network")
        with autocast("cpu", True):
            loss = network.layers[0](torch.randn(2, 8, 20)).float().square().mean()
        loss.backward()
        grown.append([own.grad for own in network.parameters()])
    assert all(torch.equal(one, two) for one, two in zip(*grown, strict=True))
