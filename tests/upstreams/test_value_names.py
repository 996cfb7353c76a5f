"""What the values of an upstream are called, for pictures of those that a head selects."""

from pathlib import Path

import pytest
import torch

import upstreams
from tests.upstreams.sounds import plugin
from upstreams import UpstreamError

NAMED = """
class Energy:
    sample_rate, hop, depth, width = 16000, None, 1, 2
    value_names = {names}
    def __call__(self, waveforms):
        return [w.new_zeros(1, 1, 2) for w in waveforms]
"""


def names_of(name: str) -> list[str] | None:
    return upstreams.value_names(upstreams.identify(upstreams.resolve(name)))


@pytest.mark.parametrize(("name", "families"), [("opensmile", 7), ("opensmile_compare", 5)])
def test_functionals_have_names_and_families(name: str, families: int) -> None:
    pytest.importorskip("opensmile")
    names = names_of(name)
    assert names is not None and len(set(names)) == upstreams.identify(upstreams.resolve(name)).width
    known = {own.partition(": ")[0] for own in names}
    assert len(known) == families and "other" not in known


def test_a_users_upstream_names_its_values_and_a_fusion_those_of_its_parts(tmp_path: Path) -> None:
    name = plugin(tmp_path, NAMED.format(names=["pitch: mean", "pitch: range"]))
    assert names_of(name) == ["pitch: mean", "pitch: range"]
    fused = names_of(f"{name}+fbank")
    assert fused is not None and len(fused) == 82 and len(set(fused)) == 82
    assert fused[1].endswith(": pitch: range") and fused[2] == "fbank: 0"


def test_who_does_not_say_has_no_names(tmp_path: Path) -> None:
    assert names_of("fbank") is None
    assert names_of(plugin(tmp_path, NAMED.format(names=None))) is None


@pytest.mark.parametrize("names", [["one"], ["one", "one"], "ab", ["one", 2]])
def test_names_that_do_not_fit_are_refused(tmp_path: Path, names: object) -> None:
    upstream = upstreams.load(plugin(tmp_path, NAMED.format(names=repr(names))))
    assert upstream([torch.zeros(1600)])[0].shape == (1, 1, 2)
    with pytest.raises(UpstreamError, match="2 names that differ"):
        upstream.value_names()
