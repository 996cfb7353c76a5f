"""Which pre-training runs differ in their seed alone: their checkpoints say it, whatever the runs are called."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import upstreams
from commons.places import Places
from upstreams.pretraining import checkpoints
from upstreams.pretraining import method as methods
from upstreams.pretraining.checkpoints import Stored
from upstreams.pretraining.method import METHODS


def checkpoint(
    run: Path, method: str, step: int = 4, audio: str = "a" * 64, before: Path | None = None, part: str = "",
    **recipe: object,
) -> Path:  # fmt: skip
    """A file such as pre-training writes, with next to no weights; `before`: what the run began with."""
    run.mkdir(parents=True, exist_ok=True)
    path = run / checkpoints.name_of(step, part)
    facts = {"step": step, "audio": audio, "recipe": {"seed": 1, "loss": {"alpha": 1.0}, "log_every": 5} | recipe}
    if before is not None:
        facts["began_with"] = checkpoints.facts_of(before, method)
    checkpoints.write(path, Stored(method, {}, {"w": torch.ones(1)}, facts))
    return path


@pytest.mark.parametrize("method", METHODS)
def test_runs_of_other_seeds_are_one_group_and_others_are_not(tmp_path, method):
    def group(name: str, **settings: object) -> str | None:
        checkpoint(tmp_path / "mine" / name, method, **settings)
        return upstreams.resolve(f"{method}:mine/{name}", Places(runs=tmp_path)).group_of_runs

    first = group("one")
    assert first and first == group("two", seed=2) == group("three", seed=3, log_every=7)
    others = [group("loss", loss={"alpha": 0.0}), group("length", step=8), group("audio", audio="b" * 64)]
    assert len({first, *others}) == 4
    assert upstreams.resolve(f"{method}@{tmp_path / 'mine' / 'two'}").group_of_runs == first


@pytest.mark.parametrize("method", METHODS)
def test_what_a_run_began_with_and_the_part_of_the_method_count(tmp_path, method):
    """Of the weights with which runs began, however far back, too, the seed may differ and nothing else."""

    def made(name: str, **settings: object) -> Path:
        return checkpoint(tmp_path / name, method, **settings)

    def group(file: Path) -> str | None:
        return upstreams.resolve(f"{method}@{file}").group_of_runs

    plain, reseeded, other = made("plain"), made("reseeded", seed=2), made("other", loss={"alpha": 0.0})
    init = {"init": plain.name}
    begun = [made(f"from_{file.parent.name}", before=file, **init) for file in (plain, reseeded, other)]
    again = [made(f"again_{file.parent.name}", before=file, **init) for file in begun]
    groups = [group(file) for file in (plain, *begun, *again)]
    assert groups[1] == groups[2] and groups[4] == groups[5] and len(set(groups)) == 5 and None not in groups
    teachers = {group(made("plain", part="teacher")), group(made("reseeded", part="teacher", seed=2))}
    assert len(teachers) == 1 and not teachers & set(groups)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_on_frame_scores_cites_their_papers_too(tmp_path, method):
    checkpoint(tmp_path / "mine" / "plain", method, scores=None)
    file = checkpoint(tmp_path / "mine" / "scored", method, scores="scores.parquet")
    own = methods.find(method).cite
    assert upstreams.resolve(f"{method}:mine/plain", Places(runs=tmp_path)).cite == own
    for name in (f"{method}:mine/scored", f"{method}@{file}", f"{method}@{file.parent}"):
        named = upstreams.resolve(name, Places(runs=tmp_path))
        assert named.cite == (*own, *methods.SCORE_PAPERS)
        assert set(upstreams.resolve(f"{named.name}+fbank", Places(runs=tmp_path)).cite) == set(named.cite)


@pytest.mark.parametrize("method", METHODS)
def test_so_does_all_that_comes_from_such_a_run(tmp_path, method):
    scored = checkpoint(tmp_path / "mine" / "scored", method, scores="scores.parquet")
    begun = checkpoint(tmp_path / "mine" / "begun", method, before=scored, init=scored.name)
    again = checkpoint(tmp_path / "mine" / "again", method, before=begun, init=begun.name)
    average, released = checkpoints.average(again.parent, 1), tmp_path / "passed_on.safetensors"
    checkpoints.release(again, released, lambda whole: whole)
    for name in (f"{method}@{begun}", f"{method}:mine/again", f"{method}@{average}", f"{method}@{released}"):
        cite = upstreams.resolve(name, Places(runs=tmp_path)).cite
        assert cite == (*methods.find(method).cite, *methods.SCORE_PAPERS), name


def test_other_upstreams_are_of_no_group():
    assert upstreams.resolve("fbank").group_of_runs is None
    assert upstreams.resolve("emotion2vec").group_of_runs is None
