"""Names: what they resolve to, and that listing and asking for fingerprints costs nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import upstreams
from tests.upstreams.sounds import ENERGY, ROOT, plugin, with_init
from upstreams import UnknownName, UpstreamError, registry


@pytest.mark.parametrize("name", upstreams.names())
def test_every_listed_name_is_canonical_and_loads(name: str) -> None:
    assert upstreams.resolve(name) == name == upstreams.load(name).name


def test_listing_and_fingerprints_import_no_heavy_package() -> None:
    source = (
        "import sys, upstreams; upstreams.describe(); [upstreams.load(n).fingerprint() for n in upstreams.names()];"
        "print(*{'torch', 'transformers', 'pandas', 's3prl', 'sklearn', 'opensmile', 'pyworld'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_unknown_names_offer_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean opensmile"):
        upstreams.resolve("opensmlie")
    with pytest.raises(UnknownName, match="did you mean random:wav2vec2_base"):
        upstreams.resolve("random:wav2vec_base")
    with pytest.raises(UnknownName):
        upstreams.resolve("")
    with pytest.raises(UnknownName, match="random:"):
        upstreams.resolve("random:nope")


def test_what_is_said_of_an_unknown_name_is_short(tmp_path: Path) -> None:
    for i in range(50):
        (tmp_path / f"{i}.pt").touch()
    for name in ("xyzzy", "whisper_tiny@/nope", f"whisper_tiny@{tmp_path}/nope.pt", "hf:/nonexist", "random:xyzzy"):
        with pytest.raises(UnknownName) as refused:
            upstreams.resolve(name)
        assert len(str(refused.value)) < 200 and "50.pt" not in str(refused.value)


def test_a_file_without_a_class_is_told_its_classes(tmp_path: Path) -> None:
    file = plugin(tmp_path, ENERGY).partition(":")[0]
    with pytest.raises(UpstreamError, match=r"energy\.py:Energy$"):
        upstreams.resolve(file)


def test_spellings_of_one_upstream_are_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert upstreams.resolve("FBank") == "fbank"
    assert upstreams.resolve("random:wav2vec2_base@0") == "random:wav2vec2_base"
    assert upstreams.resolve("random:wav2vec2_base@007") == "random:wav2vec2_base@7"
    name = plugin(tmp_path, ENERGY)
    monkeypatch.chdir(tmp_path)
    assert upstreams.resolve(name) == upstreams.resolve("./energy.py:Energy") == "energy.py:Energy"


def test_seeds_and_checkpoints_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UpstreamError, match="no weights"):
        upstreams.resolve("fbank@model.pt")
    with pytest.raises(UpstreamError, match="seed"):
        upstreams.resolve("random:wav2vec2_base@best")
    assert upstreams.resolve(f"random:wav2vec2_base@{2**64 - 1}")
    for seed in (2**64, "9" * 5000):
        with pytest.raises(UpstreamError, match=r"up to 2\*\*64 - 1") as refused:
            upstreams.resolve(f"random:wav2vec2_base@{seed}")
        assert len(str(refused.value)) < 200


def test_labels_hold_no_absolute_path_and_tell_files_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for folder in ("p1", "p2"):
        (tmp_path / folder).mkdir()
        names.append(plugin(tmp_path / folder, ENERGY))
    weights = tmp_path / "p1" / "energy.py2"  # the other's path is part of its own
    weights.touch()
    names.append(f"{names[0]}@{weights}")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    labels = [upstreams.label(name) for name in names]
    assert len(set(labels)) == 3 and labels == [upstreams.label(name) for name in names]
    for label, shown in zip(labels, ["energy.py:Energy"] * 2 + ["energy.py:Energy@energy.py2"], strict=True):
        assert re.fullmatch(rf"{shown}~[0-9a-f]{{8}}", label)
    assert upstreams.load(names[0]).title == labels[0]
    monkeypatch.chdir(tmp_path / "p1")
    assert upstreams.label(names[0]) == "energy.py:Energy"


def test_files_and_classes_that_are_not_there_are_named(tmp_path: Path) -> None:
    plugin(tmp_path, ENERGY)
    with pytest.raises(UnknownName, match=r"energy\.py"):
        upstreams.resolve(f"{tmp_path}/enrgy.py:Energy")
    with pytest.raises(UnknownName, match="did you mean Energy"):
        upstreams.load(f"{tmp_path}/energy.py:Enerji")
    with pytest.raises(UnknownName, match="unknown checkpoint"):
        upstreams.resolve(f"{tmp_path}/energy.py:Energy@{tmp_path}/weights.pt")


def test_a_registered_name_with_weights_takes_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "weighted_upstream.py"
    module.write_text(with_init("def __init__(self, file): self.file = file"))
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = registry.Entry("weighted", "weighted", "", "weighted_upstream:Energy", weights=True)
    monkeypatch.setattr(registry, "ENTRIES", (*registry.ENTRIES, entry))
    weights = tmp_path / "a.pt"
    weights.write_bytes(b"one")
    before = upstreams.load(f"weighted@{weights}").fingerprint()
    weights.write_bytes(b"two")
    assert upstreams.load(f"weighted@{weights}").fingerprint() != before
