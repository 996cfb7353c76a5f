"""Names: what they resolve to, and that listing and asking for fingerprints costs nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import upstreams
from commons.errors import Refused, UnknownName
from commons.places import Places
from tests.upstreams.sounds import ENERGY, ROOT, plugin
from upstreams import registry
from upstreams.huggingface.named_encoders import MODELS, Model
from upstreams.pretraining import method as methods
from upstreams.s3prl import SAME


@pytest.mark.parametrize("name", upstreams.names())
def test_every_listed_name_is_canonical_and_loads(name: str) -> None:
    assert upstreams.resolve(name).name == name == upstreams.load(name).name


def test_listing_and_fingerprints_import_no_heavy_package() -> None:
    source = (
        "import sys, upstreams; upstreams.describe(); names = [*upstreams.names(), 'emotion2vec'];"
        "[upstreams.identify(upstreams.resolve(name)) for name in names];"
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
    with pytest.raises(Refused, match=r"energy\.py:Energy$"):
        upstreams.resolve(file)


def test_spellings_of_one_upstream_are_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert upstreams.resolve("FBank").name == "fbank"
    five = [upstreams.resolve(name).name for name in upstreams.expand("random:wav2vec2_base")]
    assert five == ["random:wav2vec2_base", *(f"random:wav2vec2_base@{seed}" for seed in (1, 2, 3, 4))]
    assert upstreams.expand("random:wav2vec2_base@0") == ["random:wav2vec2_base@0"]
    assert upstreams.expand("random:xyzzy") == ["random:xyzzy"] and upstreams.expand("fbank") == ["fbank"]
    assert upstreams.resolve("random:wav2vec2_base@0").name == "random:wav2vec2_base"
    assert upstreams.resolve("random:wav2vec2_base@007").name == "random:wav2vec2_base@7"
    name = plugin(tmp_path, ENERGY)
    monkeypatch.chdir(tmp_path)
    assert upstreams.resolve(name) == upstreams.resolve("./energy.py:Energy")
    assert upstreams.resolve(name).name == "energy.py:Energy"


def test_seeds_and_checkpoints_that_make_no_sense_are_refused() -> None:
    with pytest.raises(Refused, match="no weights"):
        upstreams.resolve("fbank@model.pt")
    with pytest.raises(Refused, match="seed"):
        upstreams.resolve("random:wav2vec2_base@best")
    assert upstreams.resolve(f"random:wav2vec2_base@{2**64 - 1}")
    for seed in (2**64, "9" * 5000):
        with pytest.raises(Refused, match=r"up to 2\*\*64 - 1") as refused:
            upstreams.resolve(f"random:wav2vec2_base@{seed}")
        assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    "name", ["emotion2vec@", "wavlm_base@", "random:emotion2vec@", "fbank@", "s3prl:npc@", "hf:some/one@"]
)
def test_nothing_after_the_sign_is_no_name_of_what_ships(name: str) -> None:
    """As of emotion2vec@$RUN, where RUN is not set."""
    with pytest.raises(Refused, match="nothing stands after @"):
        upstreams.resolve(name)


@pytest.mark.parametrize("name", ["hf:~nobody-of-this-name/x", "features:~nobody-of-this-name/x",
                                  "emotion2vec@~nobody-of-this-name/x", "~nobody-of-this-name"])  # fmt: skip
def test_a_home_that_is_not_there_is_one_line(name: str) -> None:
    with pytest.raises(Refused, match="there is no home of such a user"):
        upstreams.resolve(name)


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
    labels = [upstreams.resolve(name).record_name for name in names]
    assert len(set(labels)) == 3 and labels == [upstreams.resolve(name).record_name for name in names]
    for label, shown in zip(labels, ["energy.py:Energy"] * 2 + ["energy.py:Energy@energy.py2"], strict=True):
        assert re.fullmatch(rf"{shown}~[0-9a-f]{{8}}", label)
    assert upstreams.load(names[0]).title == labels[0]
    monkeypatch.chdir(tmp_path / "p1")
    assert upstreams.resolve(names[0]).record_name == "energy.py:Energy"


def test_files_and_classes_that_are_not_there_are_named(tmp_path: Path) -> None:
    plugin(tmp_path, ENERGY)
    with pytest.raises(UnknownName, match=r"energy\.py"):
        upstreams.resolve(f"{tmp_path}/enrgy.py:Energy")
    with pytest.raises(UnknownName, match="did you mean Energy"):
        upstreams.load(f"{tmp_path}/energy.py:Enerji")
    with pytest.raises(UnknownName, match="unknown checkpoint"):
        upstreams.resolve(f"{tmp_path}/energy.py:Energy@{tmp_path}/weights.pt")


@pytest.mark.parametrize("name", [entry.name for entry in registry.known() if entry.copies == "modelscope"])
def test_the_fingerprint_of_a_name_with_a_checkpoint_follows_the_file(name: str, tmp_path: Path) -> None:
    weights = tmp_path / "a.pt"
    weights.write_bytes(b"one")
    before = upstreams.load(f"{name}@{weights}").fingerprint()
    weights.write_bytes(b"two")
    assert upstreams.load(f"{name}@{weights}").fingerprint() != before


@pytest.mark.parametrize(
    ("name", "lineage"),
    [
        ("fbank", {}),
        ("emotion2vec", {}),
        ("hf:facebook/wav2vec2-base", {}),
        ("random:wav2vec2_base@7", {"base": "wav2vec2_base"}),
        ("enc.py:Enc@weights/a.pt", {}),
        ("enc.py:Enc@weights/step-300.pt", {}),
        ("emotion2vec@weights/a.pt", {"base": "emotion2vec"}),
        ("emotion2vec@runs/mine/both", {"base": "emotion2vec", "run": "emotion2vec@runs/mine/both", "step": 1000}),
        ("emotion2vec@runs/mine/both/step-00000050.safetensors",
         {"base": "emotion2vec", "run": "emotion2vec@runs/mine/both", "step": 50}),
        ("emotion2vec:mine/both", {"base": "emotion2vec", "ablation": "mine", "variant": "both"}),
    ],
)  # fmt: skip
def test_a_name_knows_what_it_descends_from(
    name: str, lineage: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "runs" / "mine" / "both"
    for path in (tmp_path / "enc.py", tmp_path / "weights" / "a.pt", tmp_path / "weights" / "step-300.pt",
                 run / "step-00000050.safetensors", run / "step-00001000.safetensors"):  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "enc.py").write_text("class Enc: pass")
    monkeypatch.chdir(tmp_path)
    named = upstreams.resolve(name)
    fields = ("base", "ablation", "variant", "run", "step")
    assert {field: value for field in fields if (value := getattr(named, field)) is not None} == lineage


@pytest.mark.parametrize("entry", registry.known(), ids=lambda entry: entry.name)
def test_a_name_cites_what_its_entry_cites_whatever_its_weights(entry: registry.Entry, tmp_path: Path) -> None:
    seed = entry.name.startswith("random:")
    names = [entry.name, *([f"{entry.name}@7"] if seed else []), *([f"{entry.name}@{tmp_path}/a.pt"] * entry.weights)]
    (tmp_path / "a.pt").touch()
    assert {upstreams.resolve(name).cite for name in names} == {entry.cite}


@pytest.mark.parametrize(("name", "model"), MODELS.items(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_model_is_cited_alike_by_its_name_and_by_its_repository(name: str, model: Model) -> None:
    names = (name, f"random:{name}", f"hf:{model.repo}", f"hf:{model.repo}@main")
    assert {upstreams.resolve(one).cite for one in names} == {model.cite}
    assert upstreams.resolve(f"hf:somebody/{name}").cite == ()


@pytest.mark.parametrize(("name", "same"), SAME.items())
def test_a_model_of_s3prl_is_cited_as_our_own_row_of_it(name: str, same: str) -> None:
    assert upstreams.resolve(f"s3prl:{name}").cite == upstreams.resolve(same).cite


def test_what_is_known_of_methods_is_cited_for_their_runs_and_variants_and_nothing_for_a_users_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "runs" / "mine" / "both"
    run.mkdir(parents=True)
    (run / "step-00000050.safetensors").touch()
    mine = plugin(tmp_path, ENERGY)
    monkeypatch.chdir(tmp_path)
    for name in methods.METHODS:
        for one in (f"{name}@{run}", f"{name}:mine/both"):
            assert upstreams.resolve(one).cite == methods.find(name).cite
    assert upstreams.resolve(mine).cite == ()


def test_a_run_elsewhere_is_one_run_by_its_label(tmp_path: Path) -> None:
    for step in (50, 1000):
        (tmp_path / f"step-{step:08d}.safetensors").touch()
    one, other = (upstreams.resolve(name) for name in upstreams.expand(f"emotion2vec@{tmp_path}/*"))
    assert (one.step, other.step) == (50, 1000) and one.run == other.run == one.record_name.rpartition("/")[0]
    assert str(tmp_path) not in str(one.run)


def test_a_resolved_name_stands_for_the_same_files_in_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin(tmp_path, ENERGY)
    monkeypatch.chdir(tmp_path)
    named = upstreams.resolve("energy.py:Energy")
    before = upstreams.identify(named)
    monkeypatch.chdir("/")
    assert upstreams.identify(named) == before


def test_a_variant_that_was_not_trained_says_where_it_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "losses" / "frame").mkdir(parents=True)
    with pytest.raises(Refused, match="frame holds no checkpoint of a run"):
        upstreams.resolve("emotion2vec:losses/frame", Places(runs=tmp_path))
    for name in ("losses/none", "losses", "../x"):
        with pytest.raises(Refused, match=f"{tmp_path}.* holds no run; .*--ablation .* makes it"):
            upstreams.resolve(f"emotion2vec:{name}", Places(runs=tmp_path))


def test_a_folder_by_itself_is_told_how_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    with pytest.raises(Refused, match=r"a folder; .*hf:.*tiny for a model of transformers, emotion2vec@.*tiny"):
        upstreams.resolve(str(tmp_path / "tiny"))


@pytest.mark.parametrize(
    ("source", "name", "fits"),
    [
        ("class A: pass", "B", False),
        ("class A:\n    def B(self): pass", "B", False),
        ("try:\n    import torch as B\nexcept ImportError:\n    B = None", "B", True),
        ("def make(): pass\nA = B = make", "B", True),
        ("from somewhere import *", "B", True),
        ("globals()['B'] = 1", "B", True),
        ("def broken(:", "B", True),
    ],
)
def test_a_class_that_a_file_lacks_is_a_wrong_name(tmp_path: Path, source: str, name: str, fits: bool) -> None:
    """Before anything is run; where the file's text cannot tell, building it does."""
    (tmp_path / "mine.py").write_text(source)
    if fits:
        upstreams.resolve(f"{tmp_path}/mine.py:{name}")
    else:
        with pytest.raises(UnknownName, match=f"unknown class in .*mine.py '{name}': known: A"):
            upstreams.resolve(f"{tmp_path}/mine.py:{name}")


def test_names_that_s3prl_lacks_are_wrong_names() -> None:
    upstreams.resolve("s3prl:fbank")
    with pytest.raises(UnknownName, match="unknown upstream of s3prl 'fbnk'"):
        upstreams.resolve("s3prl:fbnk")


@pytest.mark.parametrize("name", ["../../x", "losses/..", "/etc", "./.", "losses", "a/b/c", "losses/../../x"])
def test_variants_do_not_leave_the_folder_of_runs(name: str, tmp_path: Path) -> None:
    (tmp_path / "runs" / "losses").mkdir(parents=True)
    with pytest.raises(Refused, match=r"holds no run; .*named as emotion2vec:ABLATION/VARIANT"):
        upstreams.resolve(f"emotion2vec:{name}", Places(runs=tmp_path / "runs"))
