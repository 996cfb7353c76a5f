"""Training an ablation: what goes wrong with one variant leaves the others alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from commons.errors import EmorepError, Notice
from tests.upstreams.pretraining.training import PLUGIN, TINY, speech
from upstreams import UpstreamError
from upstreams.pretraining import ablation, launch
from upstreams.pretraining.ablation import Workshop
from upstreams.pretraining.checkpoints import checkpoints


def trained(shop: Workshop, mine: ablation.Ablation) -> dict[str, str]:
    """Train what is missing, in order; returns why variants were not trained. Others do not follow on a failed one."""
    failed: dict[ablation.Run, str] = {}
    for run, before in shop.missing(mine).items():
        try:
            why = next((failed[one] for one in before if one in failed), "")
            if not why:
                shop.train(mine, run[1])
        except EmorepError as error:
            why = str(error)
        failed |= {run: why} if why else {}
    return {variant: why for (_, variant), why in failed.items()}


COLLAPSES = ["collapse.target=50", "collapse.after=1"]


def written(folder: Path, **variants: list[str]) -> ablation.Ablation:
    recipe = {**TINY, "optimiser": {"steps": 2, "rate": 1e-3}, "checkpoints": 1}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    content = {"title": "Which", "config": "tiny.yaml", "variants": variants}
    (folder / "mine.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return ablation.load(str(folder / "mine.yaml"))


def test_a_variant_that_fails_is_noted_and_the_others_are_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = written(
        tmp_path, collapses=COLLAPSES, begins_with_it=["init=emotion2vec:mine/collapses"], plain=[],
        misfit=["init=emotion2vec:mine/plain", "model.depth=3"], impossible=["model.dim=33"],
    )  # fmt: skip
    tried: list[Path] = []
    real = launch.launch

    def noted(recipe, data, run: Path, *rest):
        tried.append(run)
        return real(recipe, data, run, *rest)

    monkeypatch.setattr(launch, "launch", noted)
    shop = Workshop([speech(tmp_path / "speech")], tmp_path / "runs", tmp_path / "cache", "cpu")
    absent = trained(shop, mine)
    assert list(absent) == ["collapses", "begins_with_it", "misfit", "impossible"]
    assert "collapsed at step 2" in absent["collapses"] == absent["begins_with_it"]
    assert "does not fit" in absent["misfit"] and "no multiple of heads" in absent["impossible"]
    assert [run.name for run in tried] == ["collapses", "plain", "misfit"]  # none is tried twice
    assert checkpoints(tmp_path / "runs" / "mine" / "plain")


def test_what_is_missing_comes_after_what_it_begins_with_and_what_it_shares(tmp_path: Path) -> None:
    mine = written(
        tmp_path, onwards=["init=emotion2vec:mine/plain"], twin=[], plain=[], circle=["init=emotion2vec:mine/circle"],
        wrong=["model.dim=33"], nobody=["init=emotion2vec:mine/none"],
    )  # fmt: skip
    shop = Workshop([speech(tmp_path / "speech")], tmp_path / "runs", tmp_path / "cache", "cpu")
    missing = {variant: [one for _, one in before] for (_, variant), before in shop.missing(mine).items()}
    assert list(missing) == ["plain", "onwards", "twin", "circle", "wrong", "nobody"]
    assert missing == {"plain": [], "onwards": ["plain"], "twin": ["plain"], "circle": [], "wrong": [], "nobody": []}
    with pytest.raises(EmorepError, match="circle holds no run"):
        shop.train(mine, "circle")
    with pytest.raises(UpstreamError, match="is not trained yet; name folders of speech"):
        Workshop([], tmp_path / "runs", tmp_path / "cache", "cpu").train(mine, "plain")
    shop.train(mine, "plain")
    assert list(shop.missing(mine)) == [("mine", name) for name in ("onwards", "twin", "circle", "wrong", "nobody")]
    shop.train(mine, "twin")
    assert (tmp_path / "runs" / "mine" / "twin").is_symlink()


def test_a_run_on_other_speech_is_not_taken_for_the_one_that_is_asked_for(tmp_path: Path) -> None:
    """Neither as a variant's own run nor linked; whether that is so takes no audio to be read where it is decoded."""
    mine, runs, cache = written(tmp_path, plain=[], twin=[]), tmp_path / "runs", tmp_path / "cache"
    first, second = speech(tmp_path / "first", 12), speech(tmp_path / "second", 13)
    shop, other = (Workshop([data], runs, cache, "cpu") for data in (first, second))
    shop.train(mine, "plain")
    shop.train(mine, "twin")
    assert shop.missing(mine) == Workshop([], runs, cache).missing(mine) == {}
    assert list(other.missing(mine)) == [("mine", "plain"), ("mine", "twin")]
    with pytest.raises(UpstreamError, match=r"holds another run \(audio differ\).*--runs"):
        other.train(mine, "plain")
    other.train(mine, "twin")  # a link of ours gives way to a run of its own
    assert not (runs / "mine" / "twin").is_symlink() and list(other.missing(mine)) == [("mine", "plain")]
    anew = Workshop([first], runs, tmp_path / "elsewhere", "cpu")
    assert ("mine", "plain") in anew.missing(mine)  # nobody knows before it is decoded
    before = (runs / "mine" / "plain" / "recipe.json").stat().st_mtime_ns
    anew.train(mine, "plain")
    assert (runs / "mine" / "plain" / "recipe.json").stat().st_mtime_ns == before
    assert list(anew.missing(mine)) == [("mine", "twin")]


def test_who_says_later_what_a_run_has_seen_hears_that_it_is_too_late(tmp_path: Path) -> None:
    mine, runs, cache = written(tmp_path, plain=[]), tmp_path / "runs", tmp_path / "cache"
    data = speech(tmp_path / "speech")
    Workshop([data], runs, cache, "cpu").train(mine, "plain")
    said = r"plain/step-00000002\.safetensors was written before .*: not known\. With"
    with pytest.warns(Notice, match=said):
        assert not Workshop([data], runs, cache, seen={}).missing(mine)
    with pytest.warns(Notice, match=said):  # nobody knew before the speech was decoded
        Workshop([data], runs, tmp_path / "elsewhere", "cpu", seen={}).train(mine, "plain")
    twin = mine.model_copy(update={"name": "other", "variants": {"twin": ()}})
    with pytest.warns(Notice, match=said.replace("plain", "twin")):
        Workshop([data], runs, cache, "cpu", seen={}).train(twin, "twin")
    assert (runs / "other" / "twin").is_symlink()


def test_a_link_to_a_run_that_is_gone_gives_way(tmp_path: Path) -> None:
    """One of ours; a link that leads elsewhere may be to a disk that comes back."""
    mine, runs = written(tmp_path, plain=[], theirs=["seed=2"]), tmp_path / "runs"
    (runs / "mine").mkdir(parents=True)
    (runs / "mine" / "plain").symlink_to("../gone/plain")
    (runs / "mine" / "theirs").symlink_to(tmp_path / "disk" / "run")
    shop = Workshop([speech(tmp_path / "speech", 12)], runs, tmp_path / "cache", "cpu")
    shop.train(mine, "plain")
    assert checkpoints(runs / "mine" / "plain") and not (runs / "mine" / "plain").is_symlink()
    with pytest.raises(UpstreamError, match=r"theirs is a link to .*disk/run, which is not there; remove it"):
        shop.train(mine, "theirs")


def test_files_that_variants_begin_with_are_passed_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment itself is read by the command line alone."""
    mine = written(tmp_path, plain=[], theirs=["init=$THEIR_WEIGHTS"])
    assert ablation.load("ems").files == ablation.load("ems_npc").files == ("SCORES",)
    assert mine.files == ("THEIR_WEIGHTS",) and ablation.load("init").files == ("DATA2VEC", "DATA2VEC2")
    monkeypatch.setenv("THEIR_WEIGHTS", str(tmp_path / "elsewhere.pt"))
    data = [speech(tmp_path / "speech")]
    for files, why in ({}, "THEIR_WEIGHTS=FILE"), ({"THEIR_WEIGHTS": str(tmp_path / "none.pt")}, r"none\.pt"):
        workshop = Workshop(data, tmp_path / "runs", tmp_path / "cache", "cpu", files=files)
        with pytest.raises(UpstreamError, match=why):
            workshop.train(mine, "theirs")


def test_who_forgets_what_runs_have_seen_hears_it_before_the_first_is_trained(tmp_path: Path) -> None:
    """Where variants follow scores of labels: their checkpoints have to say it, and those of the others could not be
    told later."""
    data, runs, cache = speech(tmp_path / "speech"), tmp_path / "runs", tmp_path / "cache"
    ems = ablation.load("ems")
    with pytest.raises(UpstreamError, match=r"^ems: scores, .* guide intensity_equal_1, .*--seen"):
        Workshop([data], runs, cache).missing(ems)
    assert list(Workshop([data], runs, cache, seen={}).missing(ems)) == [("ems", one) for one in ems.variants]
    assert Workshop([], runs, cache).missing(ems)  # nothing can be trained; what is there may be measured


def test_runs_that_are_finished_or_begin_with_labels_are_asked_of_as_they_should(tmp_path: Path) -> None:
    """Of the former nothing is asked, though speech that is not decoded may be other speech."""
    data, runs, cache = speech(tmp_path / "speech"), tmp_path / "runs", tmp_path / "cache"
    mine = written(tmp_path, plain=[], theirs=["init=$THEIRS"])
    Workshop([data], runs, cache, "cpu", seen={"x": "labels"}).train(mine, "plain")
    theirs = {"THEIRS": str(checkpoints(runs / "mine" / "plain")[-1])}
    with pytest.raises(UpstreamError, match=r"a teacher learnt from labels guide theirs,"):
        Workshop([data], runs, cache, files=theirs).missing(mine)
    Workshop([data], runs, cache, "cpu", seen={}, files=theirs).train(mine, "theirs")
    assert list(Workshop([data], runs, tmp_path / "new", files=theirs).missing(mine)) == [
        ("mine", n) for n in mine.variants
    ]


def test_of_weights_that_runs_begin_with_the_content_counts(tmp_path: Path) -> None:
    data, runs, cache = speech(tmp_path / "speech"), tmp_path / "runs", tmp_path / "cache"
    mine = written(tmp_path, plain=[], other=["seed=2"], theirs=["init=$THEIRS"])
    shop = Workshop([data], runs, cache, "cpu")
    for variant in ("plain", "other"):
        shop.train(mine, variant)
    first, other = (checkpoints(runs / "mine" / variant)[-1] for variant in ("plain", "other"))
    (file := tmp_path / "theirs.safetensors").write_bytes(first.read_bytes())
    begun = Workshop([data], runs, cache, "cpu", files={"THEIRS": str(file)})
    begun.train(mine, "theirs")
    assert not begun.missing(mine) and not Workshop([data], runs, cache, files={"THEIRS": str(first)}).missing(mine)
    written_before = runs / "mine" / "theirs" / "recipe.json"
    before = json.loads(content := written_before.read_text())
    written_before.write_text(json.dumps({key: value for key, value in before.items() if key != "init"}))
    assert not begun.missing(mine), "earlier versions had the path alone"
    assert list(Workshop([data], runs, cache, files={"THEIRS": str(first)}).missing(mine)) == [("mine", "theirs")]
    written_before.write_text(content)
    file.write_bytes(other.read_bytes())
    with pytest.raises(UpstreamError, match=r"holds another run \(init differ\)"):
        begun.train(mine, "theirs")


def test_a_run_of_another_teacher_of_the_same_name_is_not_taken_for_the_one_that_is_asked_for(tmp_path: Path) -> None:
    (teacher := tmp_path / "theirs.py").write_text(PLUGIN.replace("SEEN", "{}"))
    mine = written(tmp_path, taught=["loss.side_targets=[distil]", f"distil.upstream={teacher}:Bands"])
    shop = Workshop([speech(tmp_path / "speech", 12)], tmp_path / "runs", tmp_path / "cache", "cpu")
    shop.train(mine, "taught")
    assert not shop.missing(mine)
    teacher.write_text(PLUGIN.replace("SEEN", "{}").replace(":4", "-4:"))
    assert list(shop.missing(mine)) == [("mine", "taught")]
    teacher.write_text(PLUGIN.replace("SEEN", "{'y': 'labels'}"))
    with pytest.raises(UpstreamError, match="a teacher learnt from labels guide taught,"):
        shop.missing(mine)


def test_a_finished_run_needs_no_teacher(tmp_path: Path) -> None:
    """Its checkpoints are measured where its teacher is not, such as on another machine."""
    (teacher := tmp_path / "theirs.py").write_text(PLUGIN.replace("SEEN", "{}"))
    mine = written(tmp_path, taught=["loss.side_targets=[distil]", f"distil.upstream={teacher}:Bands"])
    Workshop([speech(tmp_path / "speech", 12)], tmp_path / "runs", tmp_path / "cache", "cpu").train(mine, "taught")
    teacher.unlink()
    assert not Workshop([], tmp_path / "runs", tmp_path / "cache", "cpu").missing(mine)


@pytest.mark.parametrize("text", ["", "- a", "a: &a [1]\nb: *a", "title: " + "9" * 5000, "variants: " + "[" * 20_000,
                                  "1: 2", "title: 2020-99-99", "title: " + "x" * 5000])  # fmt: skip
def test_a_hostile_ablation_is_one_line_that_names_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UpstreamError, match=r"mine\.yaml") as error:
        ablation.load(str(tmp_path / "mine.yaml"))
    assert "\n" not in str(error.value) and len(str(error.value)) < 1500
