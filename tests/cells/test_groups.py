"""Shards and parcels: what belongs together stays together, and nothing is lost or done twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from cells import groups, parcels, shards
from cells.components import components
from cells.jobs import Extract, Measure
from cells.plan import Plan
from cells.shards import Shard
from commons.errors import EmorepError, Refused
from tests.cells.test_engines import planned

UPSTREAMS = ["fbank", "mfcc", "fbank+mfcc", "loudness", "late:loudness,prosody", "random:emotion2vec@0"]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Of six upstreams on three tasks that share their audio, and one head that reads frames."""
    words = ["-u", *UPSTREAMS, "-t", "demo", "demo_arousal", "labels:demo,anger+neutral", "-d", "probe"]
    return planned(tmp_path_factory.mktemp("groups"), *words)[2]


def test_every_cell_is_in_one_shard_and_nothing_is_extracted_in_two(plan: Plan) -> None:
    assert not plan.failed and len(plan.cells) > 20
    for count in (1, 3, 50):
        dealt = [groups.shard(plan, Shard(number + 1, count)) for number in range(count)]
        assert sorted(job.id for part in dealt for job in part.cells) == sorted(job.id for job in plan.cells)
        extracted = [(job.upstream.fingerprint, job.task) for part in dealt for job in part.jobs
                     if isinstance(job, Extract)]  # fmt: skip
        assert len(extracted) == len(set(extracted))
        for part in dealt:
            ids = [job.id for job in part.jobs]
            assert all(before in ids[:place] for place, job in enumerate(part.jobs) for before in job.after)


@pytest.mark.parametrize("head", ["probe", "finetune"])
def test_cells_that_one_training_answers_are_in_one_shard(tmp_path: Path, head: str) -> None:
    words = ["-u", "random:emotion2vec@0", "-t", "perturbed:demo,white@10+gain@-6", "-d", head]
    whole = planned(tmp_path, *words)[2]
    trained = {job.id: len(job.parts) for job in whole.jobs if isinstance(job, Measure) and job.upstream}
    assert set(trained.values()) == {3}, "the clean cell and two of changed audio"
    dealt = [groups.shard(whole, Shard(number + 1, 3)) for number in range(3)]
    several = [job.id for part in dealt for job in part.jobs if isinstance(job, Measure) and job.upstream]
    assert sorted(several) == sorted(trained)


def test_a_shard_is_the_same_whatever_is_done_already(plan: Plan) -> None:
    half = [job for job in plan.jobs if "fbank" not in job.id]
    later = Plan(tuple(half), (), (), plan.cells, plan.sizes, plan.costs)
    for number in (1, 2):
        assert groups.shard(later, Shard(number, 2)).cells == groups.shard(plan, Shard(number, 2)).cells


@pytest.mark.parametrize(
    ("text", "environment", "shard"),
    [
        ("3/16", {}, Shard(3, 16)),
        ("", {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "5", "SLURM_ARRAY_TASK_COUNT": "4"}, Shard(3, 4)),
        ("", {"SLURM_ARRAY_TASK_ID": "6", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_COUNT": "4",
              "SLURM_ARRAY_TASK_STEP": "2"}, Shard(4, 4)),
    ],
)  # fmt: skip
def test_a_shard_comes_from_the_command_line_or_from_slurm(text, environment, shard) -> None:
    assert shards.which(text, {"SLURM_ARRAY_TASK_STEP": "1"} | environment) == shard


@pytest.mark.parametrize("own", ["3", "7"])
def test_an_array_with_gaps_is_refused(own: str) -> None:
    """Such as --array=3,7: which of 16 parts were meant cannot be known."""
    slurm = {"SLURM_ARRAY_TASK_ID": own, "SLURM_ARRAY_TASK_MIN": "3", "SLURM_ARRAY_TASK_MAX": "7",
             "SLURM_ARRAY_TASK_COUNT": "2", "SLURM_ARRAY_TASK_STEP": "1"}  # fmt: skip
    with pytest.raises(Refused, match=r"numbers follow each other.*--shard \$SLURM_ARRAY_TASK_ID/16"):
        shards.which("", slurm)


@pytest.mark.parametrize("text", ["0/4", "5/4", "4", "a/b", "1/0", "-1/4", ""])
def test_what_is_no_shard_is_refused(text) -> None:
    with pytest.raises(Refused, match="--shard"):
        shards.which(text, {})


@pytest.mark.parametrize("seconds", [1e9, 1.0, 1e-3])
def test_parcels_hold_every_job_after_those_it_needs(plan: Plan, seconds: float) -> None:
    """Whatever their length; long extractions are split into parts that together take every utterance."""
    packed = parcels.packed(plan.jobs, plan.costs.of(plan.jobs, plan.sizes), seconds, gpu=False)
    if seconds == 1e9:
        assert len(packed) == 1
    jobs = [job for parcel in packed for job in parcel.jobs]
    whole = {job.id for job in plan.jobs}
    assert {job.id for job in jobs if not isinstance(job, Extract)} == {
        job.id for job in plan.jobs if not isinstance(job, Extract)
    }
    parts: dict[str, list[tuple[int, int]]] = {}
    for job in jobs:
        if isinstance(job, Extract):
            parts.setdefault(job.id.partition(" part ")[0], []).append((job.part, job.parts))
    assert set(parts) == {one for one in whole if one.startswith("extract")}
    assert all(sorted(own) == [(part, len(own)) for part in range(len(own))] for own in parts.values())
    ended: set[str] = set()
    for wave in sorted({parcel.wave for parcel in packed}):
        for parcel in (one for one in packed if one.wave == wave):
            here: set[str] = set()
            for job in parcel.jobs:
                assert set(job.after) <= ended | here, "in an earlier wave, or earlier in the same parcel"
                assert not isinstance(job, Measure) or not job.beside or set(job.beside) <= here
                here.add(job.id)
        ended |= {job.id for parcel in packed if parcel.wave == wave for job in parcel.jobs}


def test_a_parcel_of_another_version_is_refused(plan: Plan, tmp_path: Path) -> None:
    (parcel,) = parcels.packed(plan.jobs, plan.costs.of(plan.jobs, plan.sizes), 1e9, gpu=False)
    path = parcels.write(parcel, tmp_path, {}, None)
    assert parcels.read(path).jobs == parcel.jobs
    path.write_text(path.read_text().replace('"program": {"emorep": "', '"program": {"emorep": "0'))
    with pytest.raises(EmorepError, match=r"another version of the program: emorep .* install the same one"):
        parcels.read(path)
    path.write_text("{")
    with pytest.raises(EmorepError, match="share the results folder"):
        parcels.read(path)


def test_items_of_one_component_share_something_directly_or_through_others() -> None:
    assert components(["ab", "c", "bd", "e"], set) == [["ab", "bd"], ["c"], ["e"]]
    assert components(["a", "b", "ab"], set) == [["a", "b", "ab"]], "what comes later can join two"
    assert components([], set) == []
