"""s3prl beside today's torchaudio: its repairs, its numbers, and what cannot be had of it."""

import argparse
import importlib
import sys
import types
from pathlib import Path

import pytest
import torch

import upstreams
from studies.s3prl_checkpoints import for_s3prl
from tests.upstreams.sounds import ENERGY, extract, noise, plugin, speak
from upstreams import UnknownName, UpstreamError, fingerprints, s3prl
from upstreams.checks import check
from upstreams.huggingface import factories
from upstreams.huggingface.named_encoders import LAYER_NORM
from upstreams.huggingface.weights import Seeded
from upstreams.torchaudio_repair import repair, repair_for_s3prl

LITTLE = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64} | {
    "conv_dim": [32] * 7
}


@pytest.fixture
def local(tmp_path: Path) -> str:
    """The name of a small HuBERT as s3prl loads it."""
    encoder = factories.FAMILIES["Hubert"](Seeded("Hubert", LITTLE, 1), "", {})
    return for_s3prl("Hubert", encoder.build(), tmp_path / "hubert.pt")


def test_what_s3prl_gives_is_what_its_expert_gives_alone(local: str) -> None:
    upstream = upstreams.load(local)
    waves = [torch.from_numpy(noise(seconds)) for seconds in (0.3, 0.9)]
    import s3prl.hub

    expert = s3prl.hub.hubert_local(ckpt=local.partition("@")[2]).eval()
    with torch.inference_mode():
        for wave, ours in zip(waves, upstream(waves), strict=True):
            assert torch.equal(ours, torch.cat(expert([wave])["hidden_states"]))
    assert (upstream.depth, upstream.audio.hop, upstream.width, upstream.seen) == (3, 320, 48, "unknown")
    assert not any(module.training for module in upstream.model.network().modules())


def test_it_passes_the_check(local: str) -> None:
    lines = list(check(local))
    assert any("fine-tuning: a step trains" in line for line in lines)
    assert any("cannot be fine-tuned" in line for line in check("s3prl:mel"))


def test_it_can_be_fine_tuned(local: str, tmp_path: Path) -> None:
    """Features and gradients; networks of it do not share anything."""
    features = extract(local, speak(tmp_path, [noise(0.3), noise(0.9)]), {"pooled", "live"}, tmp_path / "cache")
    live = features.live
    network, twin = live.network(), live.network()
    before = [output.detach() for output in live.frames(twin, [0, 1])]
    for output, frozen in zip(before, features.pooled[:], strict=True):
        assert torch.allclose(output.mean(1), torch.from_numpy(frozen[0]), atol=1e-5)
    front = {id(own) for own in live.front(network)}
    assert sum(own.dim() == 3 for own in live.front(network)) == 7, "convolutions"
    sum(output.square().sum() + output[..., 0].sum() for output in live.frames(network, [0, 1])).backward()
    reached = [own for own in network.parameters() if own.grad is not None and own.grad.abs().max() > 0]
    assert len([own for own in reached if id(own) not in front]) > 20
    torch.optim.SGD(network.parameters(), 0.1).step()
    assert not torch.allclose(live.frames(network, [0])[0], before[0])
    assert all(torch.equal(one, other) for one, other in zip(before, live.frames(twin, [0, 1]), strict=True))


def test_a_fingerprint_follows_the_checkpoint(local: str) -> None:
    before = upstreams.load(local).fingerprint()
    assert upstreams.load(local).fingerprint() == before
    path = Path(local.partition("@")[2])
    content = torch.load(path, weights_only=True)
    content["model_weight"]["encoder.layer_norm.bias"][0] += 1e-6
    torch.save(content, path)
    assert upstreams.load(local).fingerprint() != before


class Halves(torch.nn.Module):
    """An expert with a frame every two samples."""

    def forward(self, waves: list[torch.Tensor]) -> dict[str, list[torch.Tensor]]:
        return {"hidden_states": [torch.stack(waves).unfold(1, 2, 2)]}

    def get_downsample_rates(self, key: str) -> int:
        return 2


@pytest.mark.parametrize(
    ("name", "follows"),
    [("hf_hubert_custom", True), ("hf_wav2vec2_custom", True), ("hubert_local", False), ("fbank", False)],
)
def test_a_fingerprint_follows_transformers_where_the_expert_calls_it(
    name: str, follows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3prl, "_expert", lambda name, checkpoint: Halves())
    upstream = s3prl.S3prl(name)
    before = upstream.fingerprint()
    monkeypatch.setattr(
        s3prl, "version", lambda package: "99" if package == "transformers" else fingerprints.version(package)
    )
    assert (upstream.fingerprint() != before) == follows


def test_filters_were_trained_on_nothing_and_known_models_on_what_their_cards_say() -> None:
    assert upstreams.load("s3prl:fbank").seen == {}
    from upstreams.s3prl import SAME, UNTRAINED

    repair_for_s3prl()
    import s3prl.hub

    assert set(SAME) | set(UNTRAINED) <= set(s3prl.hub.options())
    assert set(SAME.values()) <= set(factories.MODELS)


def test_unknown_names_offer_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"did you mean wavlm.*known: .* and \d{3} more$"):
        upstreams.load("s3prl:wavlm_bse")
    with pytest.raises(UnknownName):  # a helper that s3prl's hub happens to list
        upstreams.load("s3prl:Path")


def test_a_start_warns_of_nothing(recwarn: pytest.WarningsRecorder) -> None:
    torch.set_warn_always(True)
    try:
        upstreams.load("s3prl:fbank")
    finally:
        torch.set_warn_always(False)
    assert not [str(warning.message) for warning in recwarn if "degrees of freedom" in str(warning.message)]


def test_a_local_upstream_without_its_file_says_so() -> None:
    with pytest.raises(UpstreamError, match="s3prl:hubert_local@FILE"):
        upstreams.load("s3prl:hubert_local")
    with pytest.raises(UnknownName, match="checkpoint"):
        upstreams.resolve("s3prl:hubert_local@/nowhere/hubert.pt")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    repair_for_s3prl()
    import s3prl.hub

    def needy(**_: object) -> None:
        import no_such_codec  # noqa: F401

    monkeypatch.setattr(s3prl.hub, "needy", needy, raising=False)
    with pytest.raises(UpstreamError, match="s3prl:needy needs the package no_such_codec; pip install no_such_codec"):
        upstreams.load("s3prl:needy")
    monkeypatch.setitem(sys.modules, "s3prl.hub", None)
    with pytest.raises(UpstreamError, match="needs the package"):
        upstreams.load("s3prl:fbank")


def test_what_cannot_be_fetched_is_named_with_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    repair_for_s3prl()
    from s3prl.util import download

    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(download, "_download_url_to_file", unreachable)
    monkeypatch.setattr(download, "_download_url_to_file_requests", unreachable)
    monkeypatch.setattr(download, "_download_dir", tmp_path)
    with pytest.raises(
        UpstreamError, match=rf"cannot download https://.*wav2vec_small.pt .*copy it here as {tmp_path}"
    ):
        upstreams.load("s3prl:wav2vec2_base_960")


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("went_off"),))


def test_checkpoints_that_are_wrong_say_how(local: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(local.partition("@")[2])
    whole = path.read_bytes()
    torch.save({"model_weight": Bomb(), "task_cfg": {}}, path)
    with pytest.raises(UpstreamError, match=r"hubert\.pt is refused"):
        upstreams.load(local)
    assert not (tmp_path / "went_off").exists()
    path.write_bytes(whole[:5000])
    with pytest.raises(UpstreamError, match=r"cannot be built from .*hubert\.pt"):
        upstreams.load(local)
    other = factories.FAMILIES["Wav2Vec2"](Seeded("Wav2Vec2", LITTLE | LAYER_NORM, 1), "", {})
    for_s3prl("Wav2Vec2", other.build(), path)
    with pytest.raises(UpstreamError, match=r"hubert\.pt.*dictionaries_symbols is missing"):
        upstreams.load(local)


@pytest.mark.parametrize(
    ("family", "key"),
    [("Wav2Vec2", "model_cfg"), ("Hubert", "model_cfg"), ("WavLM", "cfg"), ("Data2VecAudio", "model_cfg")],
)
def test_settings_that_hold_code_are_refused_and_it_does_not_run(
    family: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "local.pt"
    name = for_s3prl(family, factories.FAMILIES[family](Seeded(family, LITTLE, 1), "", {}).build(), path)
    content = torch.load(path, weights_only=True)
    plain = content[key]["conv_feature_layers"]
    for code in (f"(__import__('pathlib').Path('went_off').touch(), {plain})[1]", f"[x for x in {plain}]", "lambda: 1"):
        content[key]["conv_feature_layers"] = code
        torch.save(content, path)
        with pytest.raises(UpstreamError, match=r"local\.pt is refused: it holds .* where lists of numbers belong"):
            upstreams.load(name)
        assert not (tmp_path / "went_off").exists()
    content[key]["conv_feature_layers"] = "[(32,10,5)] + [(32,3,2)] * 4 + [(32,2,2)] * 2"
    torch.save(content, path)
    assert upstreams.load(name).depth == 3
    assert eval("abs(-3)") == 3


def test_settings_in_a_namespace_are_read(tmp_path: Path) -> None:
    """As the checkpoints of TERA, Mockingjay and Audio ALBERT have them."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    rates = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "initializer_range": 0.02}
    rest = {"hidden_act": "gelu", "layer_norm_eps": 1e-12, "share_layer": False, "pre_layer_norm": False}
    config = {
        "transformer": sizes | rates | rest,
        "task": {"sequence_length": 0},
        "audio": {"kaldi": {"feat_type": "fbank", "fbank": {"num_mel_bins": 23}}, "cmvn": {"use_cmvn": False}},
    }
    repair_for_s3prl()
    from s3prl.upstream.mockingjay.model import TransformerConfig, TransformerModel

    model = TransformerModel(TransformerConfig(config["transformer"]), 69)
    path = tmp_path / "tera.ckpt"
    content = {"Settings": {"Config": {}, "Paras": argparse.Namespace(lr=1e-3)}, "Config": config}
    torch.save({**content, "Transformer": model.state_dict()}, path)
    upstream = upstreams.load(f"s3prl:tera_local@{path}")
    assert (upstream.depth, upstream.width, upstream.audio.hop) == (3, 16, 160)
    config["audio"]["kaldi"] = {"feat_type": "fbank.__class__(1)", "fbank.__class__(1)": {}}
    torch.save({**content, "Transformer": model.state_dict()}, path)
    with pytest.raises(UpstreamError, match=r"tera\.ckpt is refused"):
        upstreams.load(f"s3prl:tera_local@{path}")


def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
        monkeypatch.delitem(sys.modules, name)


def package(folder: Path, extension: str, backend: str, effects: bool) -> None:
    """A torchaudio of our own making."""
    (folder / "torchaudio").mkdir(exist_ok=True)
    (folder / "torchaudio" / "__init__.py").write_text(f"from torchaudio import _extension\n{backend}\n")
    (folder / "torchaudio" / "_extension.py").write_text(extension)
    if effects:
        (folder / "torchaudio" / "sox_effects.py").write_text("REAL = True\n")


def test_the_repairs_leave_a_working_torchaudio_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "REAL = True\n", "def set_audio_backend(name): return 'real'", True)
    fresh(monkeypatch)
    monkeypatch.syspath_prepend(str(tmp_path))
    repair_for_s3prl()
    torchaudio = sys.modules["torchaudio"]
    assert torchaudio._extension.REAL and torchaudio.set_audio_backend("sox") == "real"
    assert sys.modules["torchaudio.sox_effects"].REAL
    fresh(monkeypatch)


def test_the_repairs_mend_each_break(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "raise OSError('libc10_cuda.so: cannot open')\n", "", False)
    fresh(monkeypatch)
    monkeypatch.syspath_prepend(str(tmp_path))
    repair()
    importlib.import_module("torchaudio")
    assert sys.modules["torchaudio._extension"]._IS_TORCHAUDIO_EXT_AVAILABLE is False
    repair_for_s3prl()
    torchaudio = sys.modules["torchaudio"]
    assert torchaudio._extension.fail_if_no_align(len) is len
    assert torchaudio.set_audio_backend("sox_io") is None
    assert isinstance(torchaudio.sox_effects, types.ModuleType)
    with pytest.raises(NotImplementedError, match=r"torchaudio<2\.9"):
        torchaudio.sox_effects.apply_effects_tensor(None, 16000, [])
    fresh(monkeypatch)


def test_a_users_file_may_import_a_torchaudio_that_does_not_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "path").mkdir()
    package(tmp_path / "path", "raise OSError('Could not load this library')\n", "", False)
    fresh(monkeypatch)
    monkeypatch.setattr(sys, "meta_path", [f for f in sys.meta_path if "torchaudio_repair" not in type(f).__module__])
    monkeypatch.syspath_prepend(str(tmp_path / "path"))
    assert upstreams.load(plugin(tmp_path, f"import torchaudio\n{ENERGY}")).width == 3
    fresh(monkeypatch)
