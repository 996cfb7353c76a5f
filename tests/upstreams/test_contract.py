"""Upstreams of users: ten lines are enough, and every breach of the contract is put in words."""

import textwrap
from pathlib import Path

import pytest
import torch

import upstreams
from tests.upstreams.sounds import ENERGY, plugin, with_init
from upstreams import UpstreamError, contract
from upstreams.checks import check

MODULE = """
import torch

class Energy(torch.nn.Module):
    sample_rate, hop, depth, width = 16000, 160, 1, 4

    def __init__(self, weights=None):
        super().__init__()
        torch.manual_seed(3)
        self.layer = torch.nn.Linear(160, 4)
        if weights:
            self.load_state_dict(torch.load(weights, weights_only=True))

    def forward(self, waveforms):
        return [self.layer(w.unfold(0, 160, 160))[None] for w in waveforms]
"""


def test_a_strangers_ten_lines_are_enough(tmp_path: Path) -> None:
    name = plugin(
        tmp_path,
        "class Energy:\n"
        "    sample_rate, hop, depth, width = 16000, 160, 1, 1\n"
        "    def __call__(self, waveforms):\n"
        "        return [w.unfold(0, 160, 160).square().mean(1).reshape(1, -1, 1) for w in waveforms]\n",
    )
    upstream = upstreams.load(name)
    assert (upstream.seen, upstream.audio.max_seconds, upstream.audio.min_samples) == ("unknown", 30.0, 1)
    assert upstream([torch.ones(1600)])[0].shape == (1, 10, 1)


@pytest.mark.parametrize("given", ["None", "b'1234'", "''", "7"])
def test_a_fingerprint_is_a_text(tmp_path: Path, given: str) -> None:
    name = plugin(tmp_path, MODULE + f"\n    def fingerprint(self):\n        return {given}\n")
    with pytest.raises(UpstreamError, match=r"fingerprint\(\) gave \w+; expected a text that changes with"):
        upstreams.load(name).fingerprint()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("sample_rate, hop", "rate, hop", r"needs `sample_rate`.*it has none"),
        ("16000, 160, 2, 3", "16000, 160, 0, 3", r"needs `depth`.*it is 0"),
        ("16000, 160, 2, 3", "16000.0, 160, 2, 3", r"needs `sample_rate`.*it is 16000\.0"),
        ("16000, 160, 2, 3", "16000, None, 2, 3", r"expected \(depth, frames, width\) = \(2, 1, 3\)"),
        ("dim=1))", "dim=2))", r"gave features of shape .* expected"),
        ("dim=1))", "dim=1).int())", "expected floating point"),
        ("return list(", "return [1.0] + list(", "gave 2 outputs for 1 waveform"),
        ("return list(", "return len(", "'int' object is not iterable"),
        ("import torch", "import torch\nimport no_such_module", r"cannot be imported: ModuleNotFoundError.*line 3"),
        ("    min_samples", "    def __init__(self): raise OSError('no weights')\n    min_samples", "no weights"),
        ("import torch", "import torch, sys\nsys.exit(3)", r"cannot be imported: SystemExit: 3.*line 3"),
        (
            "    min_samples",
            "    def __init__(self): raise SystemExit('usage')\n    min_samples",
            "built: SystemExit: usage",
        ),
        ("        frames =", "        raise SystemExit(2)\n        frames =", r"failed: SystemExit: 2 .*line 9"),
        ("        frames =", "        raise ValueError('odd')\n        frames =", r"odd .*energy\.py, line 9"),
    ],
)
def test_a_breach_of_the_contract_is_put_in_words(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in ENERGY
    with pytest.raises(UpstreamError, match=words):
        upstreams.load(plugin(tmp_path, ENERGY.replace(old, new)))([torch.zeros(1600)])


def test_too_short_for_one_frame_asks_for_the_receptive_field(tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match="min_samples"):
        upstreams.load(plugin(tmp_path, ENERGY))([torch.zeros(100)])


def test_a_fingerprint_follows_source_weights_and_checkpoint(tmp_path: Path) -> None:
    name = plugin(tmp_path, MODULE)
    first = upstreams.load(name).fingerprint()
    assert first == upstreams.load(name).fingerprint()
    state = upstreams.load(name).model.state_dict()
    checkpoint = tmp_path / "a.pt"
    torch.save(state, checkpoint)
    loaded = upstreams.load(f"{name}@{checkpoint}").fingerprint()
    state["layer.bias"][0] += 1e-6
    torch.save(state, checkpoint)
    changed = upstreams.load(f"{name}@{checkpoint}").fingerprint()
    reseeded = upstreams.load(plugin(tmp_path, MODULE.replace("seed(3)", "seed(4)"))).fingerprint()
    assert len({first, loaded, changed, reseeded}) == 4


MINE = """from helper import SCALE

class Mine:
    sample_rate, hop, depth, width, min_samples, max_seconds = 16000, 160, 1, 1, 160, 7.5

    def __init__(self, file=''):
        self.file = file

    def __call__(self, waveforms):
        return [SCALE * w[None, :, None] for w in waveforms]
"""


def test_fingerprints_are_those_of_earlier_versions(tmp_path: Path) -> None:
    """Else every cell and every stored feature of a user's upstream would be made again."""
    (tmp_path / "helper.py").write_text("SCALE = 2\n")
    (tmp_path / "w.pt").write_bytes(b"weights")
    name = plugin(tmp_path, MINE, "Mine")
    known = {
        name: "9e006f4c9fe8717a9b77c6104e0d80d71c697b9e8de2f03a1ea60862dd2ffc8e",
        f"{name}@{tmp_path / 'w.pt'}": "e18c9b1bf51f36f6ecce10f8121687bfce4e21a84833b469c2219e3ec17ab313",
    }
    assert {one: upstreams.load(one).fingerprint() for one in known} == known


@pytest.mark.parametrize(
    "held",
    [
        "torch.nn.Linear(2, 2)",
        "[torch.nn.Linear(2, 2)]",
        "{'a': (0, [torch.rand(2)])}",
        "torch.rand(2).numpy()",
    ],
)
@pytest.mark.parametrize("module", [False, True], ids=["object", "module"])
def test_weights_count_wherever_they_are_held(tmp_path: Path, held: str, module: bool) -> None:
    source = MODULE.replace("if weights:", f"torch.seed(); self.held = {held}\n        if weights:")
    plain = with_init(f"def __init__(self): self.held = {held}; self.circle = [self.__dict__]")
    name = plugin(tmp_path, source if module else plain)
    assert upstreams.load(name).fingerprint() != upstreams.load(name).fingerprint()  # unseeded: never the same


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("seen = {'IEMOCAP': 'audio', 'meld': 'labels'}", {"iemocap": "audio", "meld": "labels"}),
        ("seen = {}", {}),
        ("seen = None", "unknown"),
        ("seen = 'unknown'", "unknown"),
    ],
)
def test_seen_is_brought_to_one_form(tmp_path: Path, line: str, seen: object) -> None:
    assert upstreams.load(plugin(tmp_path, with_init(line))).seen == seen


@pytest.mark.parametrize(
    "value", ["'iemocap'", "['iemocap']", "{'iemocap': 'yes'}", "{'iemocap': True}", "{1: 'audio'}", "True"]
)
def test_seen_in_another_form_is_refused(tmp_path: Path, value: str) -> None:
    name = plugin(tmp_path, with_init(f"seen = {value}"))
    with pytest.raises(UpstreamError, match=r"`seen` names the corpora .*'iemocap': 'audio'.*it is "):
        list(check(name))


@pytest.mark.parametrize("value", ["'30'", "True", "[30]", "float('nan')", "float('inf')", "-1"])
def test_max_seconds_is_a_number_or_none(tmp_path: Path, value: str) -> None:
    with pytest.raises(UpstreamError, match="max_seconds"):
        upstreams.load(plugin(tmp_path, with_init(f"max_seconds = {value}")))
    assert upstreams.load(plugin(tmp_path, with_init("max_seconds = 7"))).audio.max_seconds == 7


def test_models_are_frozen_and_in_eval_mode(tmp_path: Path) -> None:
    source = MODULE.replace("self.layer =", "self.drop = torch.nn.Dropout(); self.layer =")
    upstream = upstreams.load(plugin(tmp_path, source))
    assert not upstream.model.training
    assert not upstream([torch.ones(1600)])[0].requires_grad


def test_bf16_applies_to_what_can_move_and_to_nothing_else(tmp_path: Path) -> None:
    wave = [torch.linspace(-1, 1, 1600)]
    assert upstreams.load(plugin(tmp_path, MODULE), precision="bf16")(wave)[0].dtype == torch.bfloat16
    assert upstreams.load("fbank", precision="bf16").precision == "fp32"
    with pytest.raises(UpstreamError, match="fp16"):
        upstreams.load("fbank", precision="fp16")


def test_the_check_passes_a_good_upstream_and_finds_a_padding_leak(tmp_path: Path) -> None:
    assert any("finite" in line for line in check(plugin(tmp_path, ENERGY)))
    leak = ENERGY.replace("        values =", "        frames = frames - frames.mean(0)\n        values =")
    with pytest.raises(UpstreamError, match="in a batch"):
        list(check(plugin(tmp_path, leak)))
    slow = ENERGY.replace("16000, 160, 2, 3", "16000, 320, 2, 3")
    with pytest.raises(UpstreamError, match="hop"):
        list(check(plugin(tmp_path, slow)))


def test_the_contracts_own_example_passes_the_check_and_without_min_samples_is_told_of_it(tmp_path: Path) -> None:
    example = textwrap.dedent((contract.__doc__ or "").split("\n\n", 1)[1].rpartition("\n\nin a file")[0])
    assert "min_samples = 160" in example
    assert list(check(plugin(tmp_path, example)))
    with pytest.raises(UpstreamError, match=r"1 samples .*set min_samples \(now 1\) to its receptive field"):
        list(check(plugin(tmp_path, example.replace("    min_samples = 160\n", ""))))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "        values =",
            "        frames = frames / frames.abs().sum((1, 2), True)\n        values =",
            "for silence",
        ),
        ("10 * values", "values.log()", r"not finite for .*logarithm of 0"),
        ("10 * values", "torch.rand_like(values)", "in a batch than alone"),
        ("10 * values], dim=1)", "values], dim=1).to('meta')", "on meta, and was moved to cpu; its `to"),
        ("    min_samples", "    ragged = True\n    min_samples", "failed: RuntimeError"),
    ],
)
def test_the_check_says_what_is_wrong_and_how_to_mend_it(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in ENERGY
    with pytest.raises(UpstreamError, match=words):
        list(check(plugin(tmp_path, ENERGY.replace(old, new))))


def test_the_check_finds_what_a_ragged_upstream_lets_leak(tmp_path: Path) -> None:
    source = """
import torch
from torch.nn.utils.rnn import pad_sequence

class Padded:
    sample_rate, hop, depth, width, ragged = 16000, 160, 1, 1, True
    min_samples = 160

    def __call__(self, waveforms):
        frames = pad_sequence(waveforms, batch_first=True).unfold(1, 160, 160).square().mean(2)
        frames = frames - frames.mean(1, keepdim=True)
        return [f[None, : len(w) // 160, None] for f, w in zip(frames, waveforms)]
"""
    with pytest.raises(UpstreamError, match=r"mixed lengths than alone.*keep padding out of its norms"):
        list(check(plugin(tmp_path, source, "Padded")))


def test_waveforms_of_mixed_lengths_go_one_by_one_to_what_takes_one_length(tmp_path: Path) -> None:
    upstream = upstreams.load(plugin(tmp_path, ENERGY))
    outputs = upstream([torch.ones(1600), torch.ones(320)])
    assert [output.shape[1] for output in outputs] == [10, 2]
