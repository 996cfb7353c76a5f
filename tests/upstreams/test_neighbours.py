"""The modules beside a user's file: its own alone, whenever they are imported, and part of its fingerprint."""

import sys
from pathlib import Path

import pytest
import torch

import upstreams
from tests.upstreams.sounds import noise, plugin, speak
from upstreams import extraction
from upstreams.contract import Frozen

FACTS = """
class Energy:
    sample_rate, hop, depth, width, min_samples = 16000, 160, 1, 1, 160
"""
TOP = f"""
from scale import SCALE
{FACTS}
    def __call__(self, waveforms):
        return [w.unfold(0, 160, 160).square().mean(1).reshape(1, -1, 1) * 0 + SCALE for w in waveforms]
"""
LATE = f"""
{FACTS}
    def __call__(self, waveforms):
        from scale import SCALE
        return [w.unfold(0, 160, 160).square().mean(1).reshape(1, -1, 1) * 0 + SCALE for w in waveforms]
"""
PACKAGE = LATE.replace("from scale", "from parts.scale")


def made(folder: Path, source: str, scale: float) -> str:
    """An upstream that gives the SCALE of the module beside it."""
    (folder / "parts").mkdir(parents=True)
    (folder / "scale.py").write_text(f"SCALE = {scale}\n")
    (folder / "parts" / "__init__.py").touch()
    (folder / "parts" / "scale.py").write_text("from .deep import SCALE\n")
    (folder / "parts" / "deep.py").write_text(f"SCALE = {scale}\n")
    return plugin(folder, source)


def value(upstream: Frozen) -> float:
    return float(upstream([torch.ones(1600)])[0][0, 0, 0])


@pytest.mark.parametrize("source", [TOP, LATE, PACKAGE], ids=["at the top", "in the call", "a package"])
def test_neighbours_of_one_name_are_told_apart(tmp_path: Path, source: str) -> None:
    path, before = list(sys.path), set(sys.modules)
    one, two = (upstreams.load(made(tmp_path / f"p{scale}", source, scale)) for scale in (1, 2))
    assert [value(one), value(two), value(one)] == [1, 2, 1]
    assert sys.path == path
    left = {
        name for name in set(sys.modules) - before if str(tmp_path) in str(getattr(sys.modules[name], "__file__", ""))
    }
    assert not left


@pytest.mark.parametrize("jobs", [1, 2])
def test_late_imports_work_in_extraction(tmp_path: Path, jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "CHUNK_UTTERANCES", 1)
    utterances = speak(tmp_path, [noise(0.1, i) for i in range(4)])
    name = made(tmp_path / "own", LATE, 3)
    features = upstreams.extract(name, utterances, {"pooled"}, tmp_path / "cache", device="cpu", jobs=jobs)
    assert (features.pooled[:, 0] == 3).all()


@pytest.mark.parametrize(
    ("source", "file"),
    [(TOP, "scale.py"), (LATE, "scale.py"), (PACKAGE, "parts/scale.py"), (PACKAGE, "parts/deep.py"),
     (PACKAGE, "parts/__init__.py")],
)  # fmt: skip
def test_a_changed_neighbour_is_another_upstream(tmp_path: Path, source: str, file: str) -> None:
    name = made(tmp_path / "own", source, 1)
    before = upstreams.load(name).fingerprint()
    (tmp_path / "own" / "bystander.py").write_text("X = 1\n")
    assert upstreams.load(name).fingerprint() == before
    path = tmp_path / "own" / file
    path.write_text(path.read_text() + "# changed\n")
    assert upstreams.load(name).fingerprint() != before


def test_a_fingerprint_does_not_change_when_late_imports_come_to_pass(tmp_path: Path) -> None:
    upstream = upstreams.load(made(tmp_path / "own", PACKAGE, 1))
    before = upstream.fingerprint()
    value(upstream)
    assert upstream.fingerprint() == before


def test_a_loaded_package_of_a_neighbours_name_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = upstreams.load(made(tmp_path / "own", TOP, 1))
    other = type(sys)("scale")
    monkeypatch.setitem(sys.modules, "scale", other)
    assert value(upstream) == 1 and sys.modules["scale"] is other
