"""Recipes and ablations: those that ship, and what is said of files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

import upstreams
from commons.errors import EmorepError, NotThere, UnknownName
from commons.places import Places
from upstreams import UpstreamError
from upstreams.__main__ import main
from upstreams.pretraining import ablation, method, recipe


@pytest.mark.parametrize("name", recipe.names())
def test_shipped_recipes_are_whole(name: str) -> None:
    made = recipe.load(name)
    assert recipe.check(made.plain(), name) == made  # what a run's folder holds is the recipe


def test_a_schedule_rises_then_falls_or_stays_and_the_usual_one_is_not_recorded() -> None:
    """Recipes of earlier versions have no schedule, and theirs is the cosine."""
    for schedule, middle, end in (("cosine", 0.5, 0.0), ("linear", 0.5, 0.0), ("constant", 1.0, 1.0)):
        changes = [f"optimiser.{change}" for change in (f"schedule={schedule}", "steps=1000", "rate=1", "warmup=0.1")]
        made = recipe.load("small", changes)
        rates = [made.optimiser.rate_at(step) for step in range(1000)]
        assert rates[0] == 0.01 and rates[49] == 0.5 and max(rates) == rates[99] == 1
        assert abs(rates[550] - middle) < 0.01 and abs(rates[-1] - end) < 0.01
        recorded = made.plain()["optimiser"]
        assert isinstance(recorded, dict) and recorded.get("schedule", "cosine") == schedule
        assert ("schedule" in recorded) == (schedule != "cosine")


def test_unknown_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean small"):
        recipe.load("smal")
    broken = tmp_path / "mine.yaml"
    for text, said in (("a: [", "not YAML"), ("- 1", "must hold sections")):
        broken.write_text(text)
        with pytest.raises(UpstreamError, match=rf"mine\.yaml: {said}"):
            recipe.load(str(broken))


@pytest.mark.parametrize("name", ablation.names())
def test_every_shipped_ablation_varies_one_recipe_by_possible_settings(name: str) -> None:
    shipped = ablation.load(name)
    made = {variant: recipe.load(shipped.config, changes) for variant, changes in shipped.variants.items()}
    assert len({one.model_dump_json() for one in made.values()}) == len(made) > 1
    assert recipe.load(shipped.config) in made.values()  # the recipe itself is one of them
    assert set(shipped.published) <= set(made)
    assert bool(shipped.published) == bool(shipped.source)


def test_a_variant_without_a_run_says_how_to_make_it(tmp_path: Path) -> None:
    (tmp_path / "losses").mkdir()
    for name in ("emotion2vec:losses/frame", "emotion2vec:losses", "emotion2vec:../losses"):
        with pytest.raises(EmorepError, match=r"holds no run; .*--ablation"):
            upstreams.resolve(name, Places(runs=tmp_path))


def test_a_wrong_recipe_is_a_wrong_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrain", "small", "--data", "nowhere", "--set", "loss.alpha=much"]) == 2
    assert main(["pretrain", "smal", "--data", "nowhere"]) == 2
    said = capsys.readouterr().err
    assert "loss.alpha" in said and "did you mean small" in said


def test_what_an_option_or_a_variant_set_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    for changes, line in (
        (["foo=1"], "foo: unknown key"),
        (["optimiser.steps=abc"], "optimiser.steps: Input should be .*; it is 'abc'"),
        (["loss={alpha: much}"], "loss.alpha: Input should be .*; it is 'much'"),
    ):
        with pytest.raises(UpstreamError, match=rf"small\.yaml with --set is no recipe:\n  --set {line}$"):
            recipe.load("small", changes)
    (tmp_path / "mine.yaml").write_text("title: mine\nconfig: small\nvariants: {x: [foo=1]}")
    with pytest.raises(UpstreamError, match=r"with variant x of mine is no recipe:\n  variant x of mine foo: unknown"):
        ablation.load(str(tmp_path / "mine.yaml")).recipe("x")


def test_a_path_that_leads_to_no_file_is_no_unknown_name(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    for load in (recipe.load, ablation.load):
        with pytest.raises(NotThere, match=r"none\.yaml': did you mean folder\.yaml\?$"):
            load(str(tmp_path / "none.yaml"))
        with pytest.raises(NotThere, match=r"folder\.yaml' is a folder; name a file$"):
            load(str(tmp_path / "folder.yaml"))


@pytest.mark.parametrize(
    "text",
    [
        "model: &m {blocks: 2}\nloss: *m\n",
        "seed: " + "9" * 5000,
        "model: " + "[" * 20_000,
        "model: {width: 2020-01-01}",
        "model: {width: 2020-99-99}",
        "model: {width: {a: {b: [1]}}}",
        "model: {stem: !!binary aGk=}",
        "optimiser: {steps: " + "9" * 25 + ", rate: 1e400}",
        "x" * 5000 + ": 1",
        "seed: " + "x" * 5000,
    ],
)
def test_a_hostile_recipe_is_refused_and_named_with_nothing_echoed_whole(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UpstreamError, match=r"mine\.yaml") as error:
        recipe.load(str(file))
    assert len(str(error.value)) < 3000
    for change in (f"model.width={text}", f"{text}=1"):
        with pytest.raises(UpstreamError) as error:
            recipe.load("small", [change])
        assert len(str(error.value)) < 3000


def test_what_ships_has_a_name_of_its_own_and_names_its_method() -> None:
    for kind in ("configs", "ablations"):
        folders = {name: method.find(name).folder / kind for name in method.METHODS}
        files = [(path, name) for name, folder in folders.items() for path in folder.glob("*.yaml")]
        assert len({path.stem for path, _ in files}) == len(files)
        for path, name in files:
            made = recipe.load(str(path)) if kind == "configs" else ablation.load(str(path))
            assert made.method == name


def test_an_unknown_method_is_refused(tmp_path: Path) -> None:
    for said in ("method: npd", "method: [1]", "method: null"):
        (tmp_path / "mine.yaml").write_text(said)
        with pytest.raises(UpstreamError, match=r"mine\.yaml is no recipe:\n  method: .*expected one of emotion2vec"):
            recipe.load(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize("name", [name for name in method.METHODS if method.find(name).recipe.unused])
def test_a_setting_that_decides_nothing_is_refused_and_its_default_is_not(name: str) -> None:
    """A run's folder holds every setting, so its recipe must be readable again."""
    for setting, value in (("batch.clones", 8), ("collapse.target", 0.1)):
        section, key = setting.split(".")
        assert recipe.check({"method": name, section: {key: value}}, "mine").method == name
        with pytest.raises(UpstreamError, match=rf"mine is no recipe:\n  .*{setting} decides nothing in {name}"):
            recipe.check({"method": name, section: {key: value / 2}}, "mine")


@pytest.mark.parametrize(
    "setting",
    [
        "model.codes=1.5",
        "model.codes=true",
        "model.codes=-1",
        "model.blocks=true",
        "model.temperature=.nan",
        "model.temperature=.inf",
        "audio.min_seconds=0.03",
    ],
)
def test_an_impossible_network_of_npc_is_refused_before_speech_is_decoded(setting: str) -> None:
    with pytest.raises(UpstreamError, match=rf"is no recipe:\n.*{setting.partition('=')[0].partition('.')[2]}"):
        recipe.load("npc_small", [setting])


def test_a_variant_does_not_change_the_method(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("title: mine\nconfig: small\nvariants: {x: [], y: [method=npc]}")
    with pytest.raises(UpstreamError, match="a variant cannot set method"):
        ablation.load(str(tmp_path / "mine.yaml"))
