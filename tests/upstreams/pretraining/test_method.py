"""A second method in the same engine: it trains, goes on after a kill, and its checkpoints are upstreams."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
import yaml

import upstreams
from commons.errors import Refused
from commons.places import Places
from tests.upstreams.pretraining.training import AUDIO, free_port, run, same, speech, start, tiny, weights
from upstreams import UpstreamError
from upstreams.__main__ import main
from upstreams.checks import check
from upstreams.pretraining import ablation, checkpoints, recipe
from upstreams.pretraining.ablation import Workshop
from upstreams.pretraining.method import METHODS, find
from upstreams.pretraining.recipe_sections import Recipe

TARGET = "tests.upstreams.pretraining.autoencoder:METHOD"
REGISTER = f"from upstreams.pretraining.method import METHODS; METHODS['autoencoder'] = '{TARGET}'"
SETTINGS: dict[str, object] = {
    "method": "autoencoder", "audio": AUDIO, "batch": {"seconds": 3.0, "micro_batches": 3},
    "optimiser": {"steps": 40, "rate": 1e-2}, "precision": "fp32", "log_every": 1, "save_every": 10,
    "checkpoints": 2,
}  # fmt: skip


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "autoencoder", TARGET)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speech(tmp_path_factory.mktemp("method") / "speech")


def made(*changes: str) -> Recipe:
    return recipe.check(recipe.apply(SETTINGS, changes), "autoencoder")


def test_it_learns_and_the_log_has_its_figures(data: Path, tmp_path: Path) -> None:
    lines = run(made(), data, tmp_path / "run")
    assert lines[-1]["loss"] == lines[-1]["reconstruction_loss"] < 0.7 * lines[0]["loss"]
    assert lines[-1]["prediction_var"] > 0 and "share_of_peak" not in lines[-1]  # it counts no operations


def test_it_goes_on_after_a_kill_bit_for_bit(data: Path, tmp_path: Path) -> None:
    steps = ("optimiser.steps=300",)
    killed = start(data, tmp_path / "killed", *steps, settings=SETTINGS, before=REGISTER)
    log, until = tmp_path / "killed" / "log.jsonl", time.monotonic() + 300
    while not (log.exists() and len(log.read_text().splitlines()) >= 12) and time.monotonic() < until:
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    assert not (tmp_path / "killed" / checkpoints.name_of(300)).exists()
    run(made(*steps), data, tmp_path / "killed")
    run(made(*steps), data, tmp_path / "straight")
    assert same(weights(tmp_path / "killed", 300), weights(tmp_path / "straight", 300))


def test_two_processes_equal_one(data: Path, tmp_path: Path) -> None:
    meeting = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    both = [
        start(data, tmp_path / "two", settings=SETTINGS, before=REGISTER, variables={**meeting, "RANK": str(rank)})
        for rank in range(2)
    ]
    assert [process.wait(timeout=600) for process in both] == [0, 0], both[0].communicate()[1]
    run(made(), data, tmp_path / "one")
    one, two = weights(tmp_path / "one", 40), weights(tmp_path / "two", 40)
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-4


def test_collapse_is_reported(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match=r"collapsed at step 3 .*predictions differ by only .*with other settings"):
        run(made("collapse.prediction=50", "collapse.after=2"), data, tmp_path / "run")


def test_a_folder_of_another_method_is_refused(data: Path, tmp_path: Path) -> None:
    run(made("optimiser.steps=1"), data, tmp_path / "run")
    with pytest.raises(UpstreamError, match=r"holds another run \(.*method"):
        run(tiny("optimiser.steps=1"), data, tmp_path / "run")


def test_its_checkpoints_are_upstreams(data: Path, tmp_path: Path) -> None:
    run(made(), data, tmp_path / "run")
    names = upstreams.expand(f"autoencoder@{tmp_path / 'run'}/*")
    assert [name.rpartition("-")[2] for name in names] == ["00000020.safetensors", "00000040.safetensors"]
    assert "the same alone" in "".join(check(names[-1]))
    last = upstreams.resolve(f"autoencoder@{tmp_path / 'run'}")
    assert (last.base, last.step) == ("autoencoder", 40) and last.checkpoint == names[-1].partition("@")[2]
    average = checkpoints.average(tmp_path / "run", 2)
    assert upstreams.load(f"autoencoder@{average}")([torch.randn(16000)])[0].shape == (1, 98, 8)
    assert main(["release", str(average), str(tmp_path / "mine.safetensors")]) == 0
    released = checkpoints.read(tmp_path / "mine.safetensors", "autoencoder")
    assert set(released.weights) == {"encoder.weight", "encoder.bias"}


def test_weights_of_one_method_are_not_those_of_another(data: Path, tmp_path: Path) -> None:
    run(made("optimiser.steps=1"), data, tmp_path / "run")
    with pytest.raises(UpstreamError, match=r"another program or version; expected .*'emotion2vec 1'"):
        upstreams.load(f"emotion2vec@{tmp_path / 'run'}")
    with pytest.raises(Refused, match=r"no weights of autoencoder ship; .* autoencoder@RUN"):
        upstreams.resolve("autoencoder")


def test_its_ablations_are_upstreams_by_its_name(data: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({**SETTINGS, "optimiser": {"steps": 2}, "checkpoints": 1}))
    content = {"title": "Width", "config": "tiny.yaml", "variants": {"wide": [], "narrow": ["width=4"]}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    mine = ablation.load(str(tmp_path / "mine.yaml"))
    shop = Workshop([data], tmp_path / "runs", tmp_path / "cache", "cpu")
    assert shop.missing(mine) == {("mine", "wide"): (), ("mine", "narrow"): ()}
    for variant in mine.variants:
        shop.train(mine, variant)
    assert shop.missing(mine) == {}
    widths = {}
    for variant in mine.variants:
        name = mine.upstream(variant)
        named = upstreams.resolve(name, Places(runs=tmp_path / "runs"))
        assert (named.name, named.base) == (f"autoencoder:mine/{variant}", "autoencoder")
        assert (named.ablation, named.variant) == ("mine", variant)
        widths[variant] = upstreams.load(name, places=Places(runs=tmp_path / "runs")).width
    assert widths == {"wide": 8, "narrow": 4}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_whole(name: str) -> None:
    method = find(name)
    assert method.name == name and issubclass(method.recipe, Recipe)
    made = method.recipe.model_validate({"method": name})
    assert recipe.check(made.plain(), name) == made
