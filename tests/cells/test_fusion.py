"""Plans and records of early fusion, and of features from elsewhere."""

from pathlib import Path

import numpy as np
import pytest

import leaderboard
import run_benchmark
import tasks
from cells import engines
from cells.engines.local import Local
from cells.jobs import Extract
from cells.plan import planned as plan_of
from cells.request import parse, understood
from cells.workplace import Workplace


def words(folder: Path, *upstreams: str, heads: tuple[str, ...] = ("probe",)) -> list[str]:
    return ["-u", *upstreams, "-t", "demo", "-d", *heads, "--limit", "48", "--seeds", "1", "--jobs", "1", "--results",
            str(folder / "results"), "--cache", str(folder / "cache")]  # fmt: skip


def planned(*arguments: str):
    """The plan of a command line."""
    request = understood(parse([*arguments]), lambda line: None)
    return plan_of(request, Workplace(), lambda line: None)


def stored(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for path in (folder / "cache" / "features").rglob("*.safetensors")}


def record(folder: Path, upstream: str, head: str = "probe"):
    return leaderboard.find(folder / "results" / "limited", upstream, "demo", head, verify=True)


def test_a_fusion_waits_for_its_parts_and_extracts_nothing_itself(tmp_path):
    plan = planned(*words(tmp_path, "fbank+mfcc", "mfcc", "mfcc+prosody"))
    extractions = [job.id for job in plan.jobs if isinstance(job, Extract)]
    assert extractions == ["extract fbank demo", "extract mfcc demo", "extract prosody demo"]
    fused = next(job for job in plan.jobs if job.id == "measure fbank+mfcc demo probe")
    assert fused.after == ("extract fbank demo", "extract mfcc demo")


def test_a_part_is_extracted_once_for_all_that_its_readers_need(tmp_path):
    plan = planned(*words(tmp_path, "fbank+mfcc", "fbank", heads=("probe", "emotion2vec")))
    needs = {job.id: job.needs for job in plan.jobs if isinstance(job, Extract)}
    both = {"pooled", "frames:last"}
    assert needs == {"extract fbank demo": both, "extract mfcc demo": both}
    single = planned(*words(tmp_path, "random:wav2vec2_base@0#3", heads=("emotion2vec",)))
    assert [job.needs for job in single.jobs if isinstance(job, Extract)] == [{"frames:all"}]


def test_nothing_is_extracted_twice_and_the_record_names_the_parts(tmp_path):
    assert run_benchmark.main(words(tmp_path, "fbank", "mfcc")) == 0
    before = stored(tmp_path)
    assert run_benchmark.main(words(tmp_path, "fbank+mfcc")) == 0
    assert stored(tmp_path) == before
    made = record(tmp_path, "fbank+mfcc")
    parts = [record(tmp_path, name).upstream for name in ("fbank", "mfcc")]
    assert made.upstream.parts == ["fbank", "mfcc"] and made.upstream.fusion == "early"
    assert made.upstream.width == sum(part.width for part in parts)
    assert made.upstream.counts["computed"] == 0 and made.upstream.counts["reused"] == 48
    assert leaderboard.verify(tmp_path / "results" / "limited") == []


def test_a_kill_between_parts_and_fusion_loses_nothing(tmp_path):
    plan = planned(*words(tmp_path, "fbank+mfcc"))
    running = engines.run(Local(Workplace()), plan.jobs)
    assert next(running).extracted.counts["computed"] == 48
    running.close()  # as Ctrl-C does
    before = stored(tmp_path)
    outcomes = [*engines.run(Local(Workplace()), planned(*words(tmp_path, "fbank+mfcc")).jobs)]
    assert [outcome.extracted.counts["computed"] for outcome in outcomes if outcome.extracted] == [0, 48]
    assert before.items() <= stored(tmp_path).items()
    assert record(tmp_path, "fbank+mfcc")


def test_parts_of_a_late_fusion_that_were_done_stay_done(tmp_path):
    running = engines.run(Local(Workplace()), planned(*words(tmp_path, "late:fbank,mfcc")).jobs)
    while next(running).cell != ("fbank", "demo", "probe"):
        pass
    running.close()
    again = planned(*words(tmp_path, "late:fbank,mfcc"))
    assert again.done == (("fbank", "demo", "probe"),)
    assert run_benchmark.main(words(tmp_path, "late:fbank,mfcc")) == 0
    assert record(tmp_path, "late:fbank,mfcc")


@pytest.mark.parametrize("head", ["probe", "probe_stats", "superb"])
def test_features_saved_as_files_are_read_as_those_of_their_upstream(tmp_path, head):
    """What an upstream gives, saved by id as a lab would, has the figures of that upstream."""
    import upstreams

    assert run_benchmark.main(words(tmp_path, "mfcc", heads=(head,))) == 0
    reading = tasks.Options(tmp_path / "data", tmp_path / "cache", limit=48)
    task = tasks.load("demo", reading)
    frames = upstreams.extract(
        upstreams.identify(upstreams.resolve("mfcc")), task.utterances, {"frames:all"},
        upstreams.Extraction(tmp_path / "cache"),
    ).frames  # fmt: skip
    own = tmp_path / "own"
    own.mkdir()
    for row, id_ in enumerate(task.utterances.index):
        (own / f"{id_}.npy").parent.mkdir(parents=True, exist_ok=True)
        np.save(own / f"{id_}.npy", frames[row].transpose(1, 0, 2))
    (own / "about.yaml").write_text("title: saved\nhop: 0.01\nseen: {}\n")
    assert run_benchmark.main(words(tmp_path, f"features:{own}", heads=(head,))) == 0
    name = next(path.name for path in (tmp_path / "results" / "limited").iterdir() if path.name.startswith("features"))
    saved = leaderboard.find(tmp_path / "results" / "limited", name.replace("%3A", ":"), "demo", head)
    before = record(tmp_path, "mfcc", head)
    assert saved.upstream.title == "saved" and saved.upstream.seen == {}
    for metric, score in before.scores.metrics.items():  # float16 rounds the frames
        assert saved.scores.metrics[metric].value == pytest.approx(score.value, abs=7)


def test_frames_that_are_not_there_cost_their_own_cells_alone(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    task = tasks.load("demo", tasks.Options(tmp_path / "data", tmp_path / "cache", limit=48))
    for id_ in task.utterances.index:
        np.save(own / f"{id_}.npy", np.random.default_rng(len(id_)).standard_normal(4))
    plan = planned(*words(tmp_path, f"features:{own}", f"features:{own}+fbank", heads=("probe", "emotion2vec")))
    failed = {outcome.cell[2] for outcome in plan.failed}
    assert failed == {"emotion2vec"} and all("the head reads frames" in outcome.failure for outcome in plan.failed)
    assert sum(job.id.startswith("measure") and job.id.endswith("probe") for job in plan.jobs) == 2


@pytest.mark.parametrize(
    ("name", "label"), [("{seen}+{unknown}", "ours+{}"), ("late:{seen},{unknown}", "late:ours,{}")]
)
def test_labels_and_what_one_part_has_seen_carry_over(tmp_path, name, label):
    """Also where nobody knows what the other part has seen."""
    facts = {"seen": "seen, label = {'demo': 'labels'}, 'ours'", "unknown": "title = 'mine'"}
    for kind, fact in facts.items():
        (tmp_path / f"{kind}.py").write_text(
            f"class Mine:\n    {fact}\n    sample_rate, hop, depth, width = 16000, None, 1, 1\n"
            "    def __call__(self, waveforms):\n        return [wave.std()[None, None, None] for wave in waveforms]\n"
        )
    asked = name.format(**{kind: tmp_path / f"{kind}.py:Mine" for kind in facts})
    assert run_benchmark.main(words(tmp_path, asked)) == 0
    (made,) = [one for one in leaderboard.load(tmp_path / "results" / "limited")[0] if one.upstream.fusion]
    assert {"contaminated:labels", "seen:unknown"} <= set(made.marks)
    assert made.upstream.seen == "unknown" and made.upstream.seen_by_parts == {"demo": "labels"}
    assert made.upstream.label == label.format(made.upstream.parts[1])
    assert leaderboard.verify(tmp_path / "results" / "limited") == []
