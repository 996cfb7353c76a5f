"""Checkpoints: files made as the official ones are, and all that must not be loaded."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pickle
import random
import stat
import sys
import types
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file

import upstreams
from tests.upstreams.emotion2vec.recipes import TINY, TINY_MEL, golden_weights, noise, tiny
from upstreams import UpstreamError
from upstreams.emotion2vec import checkpoint
from upstreams.emotion2vec.config import BASE, LARGE, ModelConfig
from upstreams.emotion2vec.model import Emotion2vec
from upstreams.pretraining import checkpoints

CLASSES = replace(TINY, classes=9)
MODULE = "modality_encoders.AUDIO."


def weights(config: ModelConfig = TINY) -> dict[str, torch.Tensor]:
    return golden_weights(tiny(config))


def saved(path: Path, content: object, **how: bool) -> Path:
    torch.save(content, path, **how)
    return path


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], type]:
    """Make a class of a package that is not installed when the file is read."""

    def make(module: str, name: str) -> type:
        for i in range(1, module.count(".") + 2):
            part = ".".join(module.split(".")[:i])
            monkeypatch.setitem(sys.modules, part, types.ModuleType(part))
        made = type(name, (), {"__module__": module, "__qualname__": name})
        setattr(sys.modules[module], name, made)
        return made

    return make


def test_a_training_program_s_file_loads_without_the_program(
    tmp_path: Path, foreign: Callable[[str, str], type], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = foreign("omegaconf.dictconfig", "DictConfig")()
    config.__dict__.update(_content={"model": {"normalize": True}}, _metadata=foreign("omegaconf.base", "Metadata")())
    task = foreign("fairseq.dataclass.configs", "FairseqConfig")()
    content = {
        "cfg": config,
        "args": argparse.Namespace(task=task, path=Path("x")),
        "model": weights() | {"_ema": {"x": torch.zeros(2)}, "_ema.y": torch.zeros(3)},
        "last_optimizer_state": {"state": {0: {"exp_avg": torch.zeros(3, dtype=torch.float64)}}},
        "extra_state": {"epoch": 3},
    }
    path = saved(tmp_path / "a.pt", content)
    for module in [name for name in sys.modules if name.partition(".")[0] in ("omegaconf", "fairseq")]:
        monkeypatch.delitem(sys.modules, module)
    loaded = checkpoint.read(path, TINY)
    assert loaded.config == TINY and "fairseq" not in sys.modules
    assert all(torch.equal(loaded.weights[name], tensor) for name, tensor in weights().items())
    assert loaded.weights.keys() == weights().keys()


@pytest.mark.parametrize(
    "content",
    [
        weights(),
        {"state_dict": weights()},
        {"model_state_dict": weights()},
        {"model": {f"module.{name}": tensor.double() for name, tensor in weights().items()}},
    ],
    ids=["bare", "state_dict", "model_state_dict", "module., float64"],
)
def test_other_containers_load(tmp_path: Path, content: object) -> None:
    loaded = checkpoint.read(saved(tmp_path / "a.pt", content), TINY).weights
    assert all(torch.equal(loaded[name], tensor) for name, tensor in weights().items())


def test_a_file_from_before_zip_loads(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", {"model": weights()}, _use_new_zipfile_serialization=False)
    assert checkpoint.read(path, TINY).config == TINY


def test_the_published_shapes_are_recognised(tmp_path: Path) -> None:
    """Full-size files in half precision of the base models and data2vec 2.0 (one token); large by its names alone."""
    for name, config in {"base": BASE, "plus": replace(BASE, classes=9, decoder_depth=0)}.items():
        with torch.device("meta"):
            shapes = Emotion2vec(config).state_dict()
        content = {k: torch.zeros((), dtype=torch.bfloat16).expand(v.shape).clone() for k, v in shapes.items()}
        path = saved(tmp_path / f"{name}.pt", {"model": content})
        assert checkpoint.read(path).config == config
        path.unlink()
    with torch.device("meta"):
        large = Emotion2vec(replace(LARGE, classes=9)).state_dict()
    assert checkpoint._recognise(large, Path("large.pt"), None) == replace(LARGE, classes=9)


def test_the_decoder_may_be_absent_as_a_whole_and_not_in_part(tmp_path: Path) -> None:
    decoder = [name for name in weights() if name.startswith(checkpoint.DECODER)]
    without = {name: tensor for name, tensor in weights().items() if name not in decoder}
    loaded = checkpoint.read(saved(tmp_path / "a.pt", {"model": without}), TINY)
    assert loaded.config == replace(TINY, decoder_depth=0)
    wave = noise(8000)[None]
    with torch.inference_mode():
        assert torch.equal(loaded.build()(wave)[0].hidden[-1], tiny()(wave)[0].hidden[-1])
    partly = without | {decoder[0]: weights()[decoder[0]]}
    with pytest.raises(UpstreamError, match=r"missing \(5\)") as refused:
        checkpoint.read(saved(tmp_path / "b.pt", {"model": partly}), TINY)
    assert all(name in str(refused.value) for name in decoder[1:]) and decoder[0] not in str(refused.value)


def test_missing_surplus_and_misshapen_names_are_all_listed(tmp_path: Path) -> None:
    content = weights()
    content["blocks.9.norm1.bias"] = content.pop("blocks.0.norm1.bias")
    content["blocks.1.mlp.fc1.bias"] = torch.zeros(3)
    with pytest.raises(UpstreamError) as refused:
        checkpoint.read(saved(tmp_path / "a.pt", {"model": content}), TINY)
    lines = str(refused.value).splitlines()
    assert lines[0].startswith(str(tmp_path / "a.pt"))
    assert lines[1:] == [
        "  missing (1): blocks.0.norm1.bias",
        "  surplus (1): blocks.9.norm1.bias",
        "  misshapen (1): blocks.1.mlp.fc1.bias (3,), expected (128,)",
    ]


@pytest.mark.parametrize(("asked", "there"), [(TINY, CLASSES), (CLASSES, TINY)])
def test_a_model_with_classes_is_not_one_without(tmp_path: Path, asked: ModelConfig, there: ModelConfig) -> None:
    with pytest.raises(UpstreamError, match=r"proj\.weight, proj\.bias"):
        checkpoint.read(saved(tmp_path / "a.pt", {"model": weights(there)}), asked)


class Evil:
    def __init__(self, call: Callable[..., object], *arguments: object) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call, self.arguments


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("call", "named"), [(os.system, "system"), (eval, "eval"), (getattr, "getattr"), (open, "open")]
)
def test_a_pickle_that_acts_is_refused_and_does_nothing(
    tmp_path: Path, call: Callable[..., object], named: str, zipped: bool
) -> None:
    trace = tmp_path / "trace"
    argument = {"system": f"touch {trace}", "eval": f"open({str(trace)!r}, 'w')", "open": str(trace)}.get(named, "")
    content = {"model": weights(), "cfg": Evil(call, argument, *(["w"] if named == "open" else []))}
    path = saved(tmp_path / "a.pt", content, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UpstreamError, match=f"refused.*{named}"):
        checkpoint.read(path, TINY)
    assert not trace.exists()


def test_a_shell_of_an_admitted_name_runs_nothing(tmp_path: Path) -> None:
    """Even where the package is installed: numpy's own loader of pickles would read what it is given."""
    import numpy as np

    inner = tmp_path / "inner.npy"
    np.save(inner, np.array([{"a": 1}]), allow_pickle=True)
    path = saved(tmp_path / "a.pt", {"model": weights(), "cfg": Evil(np.load, str(inner))})
    assert checkpoint.read(path, TINY).config == TINY
    path = saved(tmp_path / "b.pt", {"model": weights() | {"blocks.0.norm1.bias": Evil(np.load, str(inner))}})
    with pytest.raises(UpstreamError, match=r"among them: blocks\.0\.norm1\.bias"):
        checkpoint.read(path, TINY)


def _truncated(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: _truncated(saved(p, {"model": weights()}), 0.6), "damaged"),
        (lambda p: _truncated(saved(p, {"model": weights()}, _use_new_zipfile_serialization=False), 0.6), "damaged"),
        (lambda p: p.write_bytes(b""), "empty"),
        (lambda p: p.write_text("\n<!DOCTYPE html><html>Not found</html>"), "web page"),
        (lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "git-lfs"),
        (lambda p: p.write_bytes(bytes(range(200))), "no checkpoint"),
        (lambda p: zipfile.ZipFile(p, "w").writestr("a.txt", "a"), "damaged|no PyTorch"),
        (lambda p: p.write_bytes(pickle.dumps([1, 2], protocol=2)), "damaged"),
        (lambda p: saved(p, [1, 2]), "holds a list"),
        (lambda p: saved(p, {"model": {}}), "another model"),
        (lambda p: saved(p, {"epoch": 3}), "epoch"),
        (lambda p: saved(p, {"encoder.layers.0.weight": torch.zeros(2)}), r"another model.*encoder\.layers\.0\.weight"),
        (lambda p: saved(p, weights() | {"blocks.0.norm1.bias": torch.full((32,), torch.nan)}), "NaN"),
        (lambda p: save_file(weights(), p), "another program"),
        (lambda p: save_file(weights(), p, header("{]")), "damaged"),
        (lambda p: save_file(weights(), p, header('{"format": "emotion2vec 2"}')), "another program or version"),
        (lambda p: save_file(weights(), p, header('{"format": "emotion2vec 1"}')), "configuration"),
        (
            lambda p: save_file(weights(), p, header('{"format": "emotion2vec 1", "config": {"a": 1}, "facts": {}}')),
            r"unknown settings \['a'\]",
        ),
        (
            lambda p: save_file(weights(), p, header('{"format": "emotion2vec 1", "config": {}, "facts": [1]}')),
            "expected JSON objects",
        ),
        (lambda p: _truncated(written(p), 0.6), "damaged"),
        (lambda p: p.mkdir(), "cannot be read"),
        (lambda p: None, "cannot be read"),
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_said_in_words(tmp_path: Path, make: Callable[[Path], object], words: str) -> None:
    path = tmp_path / "model.pt"
    make(path)
    with pytest.raises(UpstreamError, match=rf"(?s)model\.pt.*({words})"):
        checkpoint.read(path, TINY)


def header(text: str) -> dict[str, str]:
    return {checkpoints.HEADER: text}


def written(path: Path, config: ModelConfig = TINY) -> Path:
    checkpoint.write(path, config, weights(config), {"step": 7, "seen": {"demo": "audio"}})
    return path


@pytest.mark.parametrize("config", [TINY, TINY_MEL, CLASSES], ids=["waveform", "log_mel", "classes"])
def test_what_is_written_is_read_back(tmp_path: Path, config: ModelConfig) -> None:
    loaded = checkpoint.read(written(tmp_path / "a.safetensors", config))
    assert (loaded.config, loaded.facts) == (config, {"step": 7, "seen": {"demo": "audio"}})
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
    wave = noise(8000)[None]
    with torch.inference_mode():
        assert torch.equal(loaded.build()(wave)[0].hidden[-1], tiny(config)(wave)[0].hidden[-1])


def test_a_disk_that_is_full_leaves_what_stood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.safetensors")
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(UpstreamError, match="No space left"):
        written(path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_what_is_written_is_for_whom_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        assert stat.S_IMODE(written(tmp_path / "a.safetensors").stat().st_mode) == 0o640
    finally:
        os.umask(before)


def test_a_folder_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match=r"the folder .*none does not exist"):
        written(tmp_path / "none" / "a.safetensors")


def test_the_same_content_is_the_same_file(tmp_path: Path) -> None:
    assert written(tmp_path / "a.safetensors").read_bytes() == written(tmp_path / "b.safetensors").read_bytes()


def test_a_header_of_any_length_is_read(tmp_path: Path) -> None:
    """One length in 32 makes a safetensors file begin as a pickle does."""
    path = tmp_path / "a.safetensors"
    for length in range(0, 256, 8):
        checkpoint.write(path, TINY, weights(), {"note": "x" * length})
        if path.read_bytes()[0] == 0x80:
            break
    assert path.read_bytes()[0] == 0x80 and checkpoint.read(path).config == TINY


def test_a_flipped_bit_is_noticed_wherever_it_is(tmp_path: Path) -> None:
    """All but those that change nothing: in JSON, a key that no older file had either."""
    path = written(tmp_path / "a.safetensors")
    whole, before = path.read_bytes(), checkpoint.read(path)
    draw = random.Random(0)
    places = [*range(8, 2000, 7), *(draw.randrange(len(whole)) for _ in range(100)), len(whole) - 1]
    for place in places:
        content = bytearray(whole)
        content[place] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        with contextlib.suppress(UpstreamError):
            after = checkpoint.read(path)
            assert (after.config, after.facts) == (before.config, before.facts), place
            assert all(torch.equal(after.weights[name], tensor) for name, tensor in before.weights.items()), place


def test_flipped_facts_are_noticed_without_reading_the_weights(tmp_path: Path) -> None:
    path = written(tmp_path / "a.safetensors")
    path.write_bytes(path.read_bytes().replace(b"demo", b"demn"))
    with pytest.raises(UpstreamError, match="is damaged: its content is not what its header's sha256 says"):
        upstreams.load(f"emotion2vec@{path}")


def test_a_file_from_before_hashes_is_read(tmp_path: Path) -> None:
    about = {"format": checkpoints.written_by("emotion2vec"), "config": asdict(TINY), "facts": {"step": 7}}
    content = save({k: v.contiguous() for k, v in weights(TINY).items()}, header(json.dumps(about)))
    (tmp_path / "old.safetensors").write_bytes(content)
    assert checkpoint.read(tmp_path / "old.safetensors").facts == {"step": 7}
