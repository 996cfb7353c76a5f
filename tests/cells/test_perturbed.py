"""Changed test audio: one training for all changes, a record for each, the clean cell as it is alone."""

from pathlib import Path

import pandas as pd
import pytest

import leaderboard
import run_benchmark
import tasks
from cells.board import Board
from cells.jobs import Extract, Measure, Outcome
from cells.plan import planned as plan_of
from cells.request import parse, understood
from cells.workplace import Workplace

CHANGES = ("white@10", "gain@-6", "zeros@100")
TASK = f"perturbed:demo,{'+'.join(CHANGES)}"


def words(results: Path, cache: Path, *tasks: str, upstream: str = "fbank") -> list[str]:
    return ["-u", upstream, "-t", *tasks, "-d", "probe", "--limit", "48", "--seeds", "2", "--jobs", "1", "--results",
            str(results), "--cache", str(cache)]  # fmt: skip


def planned(*arguments: str):
    """The plan of a command line."""
    return plan_of(understood(parse([*arguments]), lambda line: None), Workplace(), lambda line: None)


def record(results: Path, task: str):
    return leaderboard.find(results / "limited", "fbank", task, "probe", verify=True)


def table(results: Path, task: str):
    return leaderboard.predictions(results / "limited", record(results, task))


@pytest.fixture(scope="module")
def cache(tmp_path_factory, with_demo) -> Path:
    return with_demo(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory, cache) -> Path:
    """Results of the clean task by itself."""
    results = tmp_path_factory.mktemp("alone")
    assert run_benchmark.main(words(results, cache, "demo")) == 0
    return results


@pytest.fixture(scope="module")
def made(tmp_path_factory, cache, alone) -> Path:
    """Results of the clean task together with three changes, and of other changes in a second run."""
    results = tmp_path_factory.mktemp("made")
    assert run_benchmark.main(words(results, cache, TASK)) == 0
    assert run_benchmark.main(words(results, cache, "perturbed:demo,clip@5")) == 0
    return results


def test_one_job_trains_for_all_changes_and_the_clean_cell(tmp_path, cache):
    plan = planned(*words(tmp_path, cache, TASK))
    jobs = [job for job in plan.jobs if isinstance(job, Measure) and job.upstream]
    assert len(jobs) == 1
    assert [part.recorded_task for part in jobs[0].parts] == ["demo", *(f"perturbed:demo,{name}" for name in CHANGES)]
    assert {part.training for part in jobs[0].parts[1:]} == {jobs[0].parts[0].key}
    assert len({part.key for part in jobs[0].parts}) == 4
    extractions = [job.task for job in plan.jobs if isinstance(job, Extract)]
    assert extractions == ["demo", TASK]
    assert {job.reference for job in plan.jobs if isinstance(job, Measure)} == {"", "majority", "duration"}
    clean, changed = plan.sizes["demo"].files, plan.sizes[TASK].files
    assert set(clean) < set(changed) and len(changed) == len(clean) + len(CHANGES) * 48, "each is extracted"


def test_the_clean_cell_is_bit_for_bit_the_one_that_is_measured_alone(made, alone):
    together, by_itself = (record(results, "demo") for results in (made, alone))
    assert leaderboard.same(by_itself, together) == [] and by_itself.cell.key == together.cell.key
    facts = ("layer_norms", "audio_seconds", "depth", "width", "seen")
    assert all(getattr(by_itself.upstream, fact) == getattr(together.upstream, fact) for fact in facts)
    assert by_itself.files.vectors and together.files.vectors
    assert by_itself.files.vectors.sha256 == together.files.vectors.sha256


def test_clean_rows_of_changed_audio_are_the_clean_cells_predictions(made):
    clean = table(made, "demo").set_index(["seed", "fold", "id"])["prediction"]
    for name in CHANGES:
        own, stored = (
            table(made, f"perturbed:demo,{name}"),
            record(made, f"perturbed:demo,{name}"),
        )
        twins = own["id"].str.removesuffix(f"~{name}")
        assert (twins != own["id"]).all() and len(own) == len(clean)
        expected = clean.loc[list(zip(own["seed"], own["fold"], twins, strict=True))]
        assert own["clean"].tolist() == expected.tolist()
        assert stored.cell.training == record(made, "demo").cell.key
        assert stored.scores.against_clean.clean == record(made, "demo").scores.metrics["UA"].value
        assert stored.files.vectors is None
    gained = record(made, "perturbed:demo,gain@-6")
    assert (gained.task.perturbation.kind, gained.task.perturbation.level, gained.task.base) == ("gain", -6, "demo")


def test_a_change_that_is_added_later_trains_to_the_same_clean_predictions(made):
    later, first = (table(made, f"perturbed:demo,{name}") for name in ("clip@5", CHANGES[0]))
    assert later["clean"].tolist() == first["clean"].tolist()
    assert record(made, "perturbed:demo,clip@5").upstream.counts["reused"] >= 48  # the clean ones


def test_done_cells_are_done_and_the_same_when_they_are_measured_again(made, cache, capsys):
    assert not planned(*words(made, cache, TASK)).jobs
    assert run_benchmark.main([*words(made, cache, TASK), "--rerun"]) == 0
    assert "6 cells done again: 6 the same, 0 differ." in capsys.readouterr().out
    assert leaderboard.verify(made / "limited") == []


def test_only_what_is_missing_is_planned(made, cache):
    (job,) = (
        job for job in planned(*words(made, cache, "perturbed:demo,white@10+white@20")).jobs if isinstance(job, Measure)
    )
    assert [part.recorded_task for part in job.parts] == ["perturbed:demo,white@20"]


def test_texts_and_late_fusion_are_refused_in_words(tmp_path, cache):
    plan = planned(*words(tmp_path, cache, "perturbed:demo,white@10", upstream="late:fbank,mfcc"))
    (failed,) = (one.failure for one in plan.failed)
    assert "late fusion averages predictions for unchanged audio" in failed
    plan = planned(*words(tmp_path, cache, "perturbed:demo,white@10", upstream="text_ngrams"))
    assert any("reads text" in one.failure for one in plan.failed)


def test_of_a_fusion_with_texts_the_audio_is_changed(tmp_path, cache):
    ids = tasks.load("demo", tasks.Options(cache, cache)).utterances.index
    spoken = pd.DataFrame({"id": ids, "text": [f"words {place % 7}" for place, _ in enumerate(ids)]})
    spoken.to_csv(tmp_path / "words.csv", index=False)
    both = "fbank+text_ngrams"
    arguments = [*words(tmp_path, cache, "perturbed:demo,white@0", upstream=both), "--text"]
    assert run_benchmark.main([*arguments, f"demo={tmp_path / 'words.csv'}"]) == 0
    (made,) = (r for r in leaderboard.load(tmp_path / "limited")[0] if r.task.perturbation)
    assert made.upstream.parts == ["fbank", "text_ngrams"] and made.upstream.modality == "audio+text"
    assert made.scores.against_clean and made.scores.against_clean.unchanged.value < 100


def test_a_failure_is_that_of_all_cells_of_the_job(tmp_path, cache, capsys):
    arguments = words(tmp_path, cache, TASK)
    plan = planned(*arguments)
    (job,) = (job for job in plan.jobs if isinstance(job, Measure) and job.upstream)
    board = Board(understood(parse(arguments), print), plan)
    board.add(Outcome(job.id, job.cell, failure="the disk is full"))
    assert board.show({}) == 1
    assert capsys.readouterr().out.count("the disk is full") == 4


def test_a_variant_that_was_not_trained_is_a_failure(tmp_path, cache):
    arguments = words(tmp_path, cache, "demo")
    board = Board(understood(parse(arguments), print), planned(*arguments))
    assert board.show({}) == 0 and board.show({"wide": "out of memory"}) == 1
