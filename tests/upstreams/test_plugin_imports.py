"""The modules beside a user's file: its own alone, whenever they are imported, and part of its fingerprint."""

import builtins
import importlib
import sys
from pathlib import Path

import pytest
import torch

import upstreams
from commons.errors import Refused
from tests.upstreams.sounds import ROOT, extract, noise, plugin, speak
from upstreams.frozen import Frozen
from upstreams.plugins.namesakes import Namesakes

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


def test_modules_of_folders_that_a_file_puts_on_the_path_are_its_own(tmp_path: Path) -> None:
    """As when a research repository is wrapped: each has its `model.py`, and is part of the fingerprint."""
    names = []
    for scale in (1, 2):
        (repository := tmp_path / f"repository{scale}").mkdir()
        (repository / "model.py").write_text(f"SCALE = {scale}\n")
        first = f"import sys\nsys.path.insert(0, {str(repository)!r})\n"
        names.append(made(tmp_path / f"own{scale}", first + TOP.replace("from scale", "from model"), 0.0))
    one, two = map(upstreams.load, names)
    assert [value(one), value(two), value(one)] == [1, 2, 1] and "model" not in sys.modules
    before = two.fingerprint()
    (tmp_path / "repository2" / "model.py").write_text("SCALE = 3.5\n")
    assert upstreams.load(names[1]).fingerprint() != before


@pytest.mark.parametrize("jobs", [1, 2])
def test_late_imports_work_in_extraction(tmp_path: Path, jobs: int) -> None:
    utterances = speak(tmp_path, [noise(0.1, i) for i in range(4)])
    name = made(tmp_path / "own", LATE, 3)
    features = extract(name, utterances, {"pooled"}, tmp_path / "cache", jobs=jobs, chunk=1)
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


NAMESAKE = f"""
{{early}}
{FACTS}
    def __call__(self, waveforms):
        {{late}}
        return [w.unfold(0, 160, 160).square().mean(1).reshape(1, -1, 1) * 0 + SCALE for w in waveforms]
"""
OURS = ["tasks", "commons", "upstreams", "tests"]
FORMS = {"module": "{name}.py", "package": "{name}/__init__.py", "folder": "{name}/parts.py"}


def namesake(folder: Path, name: str, form: str, late: bool) -> str:
    """An upstream that gives the SCALE, 5, of a module of the user's that is named as a package of ours."""
    place = folder / FORMS[form].format(name=name)
    place.parent.mkdir(parents=True)
    place.write_text("SCALE = 5\n")
    line = f"from {name}{'.parts' if form == 'folder' else ''} import SCALE"
    return plugin(folder, NAMESAKE.format(early="" if late else line, late=line if late else "pass"))


def ours() -> dict[str, object]:
    tops = {*OURS, "downstreams", "cells"}
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] in tops}


@pytest.mark.parametrize("late", [False, True], ids=["at the top", "in the call"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", OURS)
def test_a_users_module_named_like_ours_is_the_users(tmp_path: Path, name: str, form: str, late: bool) -> None:
    importlib.import_module(name)
    before, path, finders = ours(), list(sys.path), list(sys.meta_path)
    upstream = upstreams.load(namesake(tmp_path / "own", name, form, late))
    assert [value(upstream), value(upstream)] == [5, 5]
    assert ours() == before and sys.path == path and sys.meta_path[-len(finders) :] == finders
    place = tmp_path / "own" / FORMS[form].format(name=name)
    fingerprint = upstream.fingerprint()
    place.write_text("SCALE = 6\n")
    changed = upstreams.load(upstream.name)
    assert value(changed) == 6 and changed.fingerprint() != fingerprint and value(upstream) == 5


@pytest.mark.parametrize("name", OURS)
def test_namesakes_work_in_worker_processes(tmp_path: Path, name: str) -> None:
    utterances = speak(tmp_path, [noise(0.1, i) for i in range(4)])
    own = namesake(tmp_path / "own", name, "module", late=True)
    features = extract(own, utterances, {"pooled"}, tmp_path / "cache", jobs=2, chunk=1)
    assert (features.pooled[:, 0] == 5).all() and features.counts["computed"] == 4


def test_what_ours_imports_is_ours_whatever_lies_beside_a_users_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's file is the first to import a module of ours, which imports `commons`, and has a `commons` itself."""
    (tmp_path / "commons").mkdir()
    (tmp_path / "commons" / "__init__.py").touch()
    (tmp_path / "commons" / "scales.py").write_text("SCALE = 5\n")
    source = NAMESAKE.format(
        early="from upstreams.pretraining import processes",
        late="from commons.scales import SCALE; import commons; assert not hasattr(commons, 'errors')",
    )
    ours = "upstreams.pretraining.processes"
    importlib.import_module(ours)
    monkeypatch.delitem(sys.modules, ours)
    monkeypatch.delattr(ours)
    assert value(upstreams.load(plugin(tmp_path, source))) == 5
    assert sys.modules[ours].Refused is Refused


def test_an_error_within_puts_ours_back_too(tmp_path: Path) -> None:
    name = namesake(tmp_path / "own", "tasks", "module", late=True)
    (tmp_path / "own" / "tasks.py").write_text("raise ValueError('broken')\n")
    before, load = ours(), builtins.__import__
    with pytest.raises(upstreams.UpstreamError, match="broken"):
        value(upstreams.load(name))
    assert ours() == before and builtins.__import__ is load


def test_a_users_file_in_our_own_folder_imports_ours() -> None:
    assert not Namesakes(ROOT).names
