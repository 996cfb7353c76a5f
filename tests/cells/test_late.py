"""Late fusion: plans, figures, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

import leaderboard
import run_benchmark
from cells import engines, late
from cells.engines.local import Local
from cells.jobs import Extract, Late, Measure
from cells.plan import planned as plan_of
from cells.request import parse, understood
from cells.workplace import Workplace
from commons.errors import EmorepError
from commons.places import Places

HEADS = ("probe", "superb")


@pytest.fixture(scope="module")
def cache(tmp_path_factory, with_demo) -> Path:
    return with_demo(tmp_path_factory.mktemp("cache"))


def words(results: Path, cache: Path, *upstreams: str, head: str = "probe", task: str = "demo") -> list[str]:
    return ["-u", *upstreams, "-t", task, "-d", head, "--limit", "48", "--seeds", "2", "--jobs", "1", "--results",
            str(results), "--cache", str(cache)]  # fmt: skip


def planned(*arguments: str):
    """The plan of a command line."""
    request = understood(parse([*arguments]), lambda line: None)
    return plan_of(request, Workplace(), lambda line: None)


def record(results: Path, upstream: str, head: str = "probe", task: str = "demo"):
    return leaderboard.find(results / "limited", upstream, task, head, verify=True)


def predictions(results: Path, upstream: str, **cell):
    return leaderboard.predictions(results / "limited", record(results, upstream, **cell))


@pytest.fixture(scope="module")
def made(tmp_path_factory, cache) -> Path:
    """Results of both heads, on classes, with the parts and two late fusions."""
    results = tmp_path_factory.mktemp("results")
    for head in HEADS:
        upstreams = ("late:mfcc,fbank", "late:fbank,fbank", "late:fbank+mfcc,prosody")
        assert run_benchmark.main(words(results, cache, *upstreams, head=head)) == 0
    return results


@pytest.mark.parametrize("head", HEADS)
def test_it_is_the_normalised_geometric_mean_of_the_parts(made, head):
    parts = [predictions(made, name, head=head) for name in ("fbank", "mfcc")]
    whole = predictions(made, "late:fbank,mfcc", head=head)
    order = ["seed", "fold", "id"]
    columns = [name for name in whole.columns if name.startswith("score:")]
    one, other, both = (table.sort_values(order).reset_index(drop=True) for table in (*parts, whole))
    product = np.sqrt(one[columns].to_numpy(float) * other[columns].to_numpy(float))
    np.testing.assert_allclose(both[columns], product / product.sum(1, keepdims=True), rtol=1e-4, atol=1e-6)
    classes = [name.removeprefix("score:") for name in columns]
    assert list(both["prediction"].astype(str)) == [classes[i] for i in both[columns].to_numpy().argmax(1)]
    assert list(both["target"]) == list(one["target"])


@pytest.mark.parametrize("head", HEADS)
def test_of_an_upstream_with_itself_it_is_that_upstream(made, head):
    alone, twice = (record(made, name, head=head) for name in ("fbank", "late:fbank,fbank"))
    assert alone.scores.metrics == twice.scores.metrics and alone.cell.seeds == twice.cell.seeds
    tables = [predictions(made, name, head=head) for name in ("fbank", "late:fbank,fbank")]
    assert list(tables[0]["prediction"]) == list(tables[1]["prediction"])


def test_values_are_averaged(tmp_path, cache):
    assert run_benchmark.main(words(tmp_path, cache, "late:fbank,mfcc", task="demo_arousal")) == 0
    one, other, both = (
        predictions(tmp_path, name, task="demo_arousal").set_index("id")["prediction"].sort_index()
        for name in ("fbank", "mfcc", "late:fbank,mfcc")
    )
    np.testing.assert_allclose(both, (one + other) / 2, rtol=1e-6)


def test_the_order_of_parts_says_nothing(cache):
    one, other = (late.resolve(name, Places()) for name in ("late:mfcc,fbank,prosody", "late:prosody,fbank,mfcc"))
    assert one == other


def test_parts_come_first_and_once_and_a_done_fusion_is_done(made, cache, tmp_path):
    plan = planned(*words(tmp_path, cache, "late:fbank,fbank+mfcc", "fbank"))
    kinds = [(type(job), job.id) for job in plan.jobs if not getattr(job, "reference", "")]
    assert [id_ for kind, id_ in kinds if kind is Extract] == ["extract fbank demo", "extract mfcc demo"]
    measured = [id_ for kind, id_ in kinds if kind is not Extract]
    assert sorted(measured[:2]) == ["measure fbank demo probe", "measure fbank+mfcc demo probe"]
    assert measured[2:] == ["measure late:fbank,fbank+mfcc demo probe"]
    again = planned(*words(made, cache, "late:fbank,mfcc"))
    assert not again.jobs and ("late:fbank,mfcc", "demo", "probe") in again.done


def test_the_record_says_what_it_is_made_of_and_verifies(made):
    whole = record(made, "late:fbank+mfcc,prosody", head="superb")
    assert whole.upstream.fusion == "late" and whole.upstream.parts == ["fbank+mfcc", "prosody"]
    assert whole.upstream.seen == {} and whole.upstream.cite == record(made, "prosody", head="superb").upstream.cite
    early = record(made, "fbank+mfcc", head="superb").upstream
    assert (early.fusion, early.parts) == ("early", ["fbank", "mfcc"])
    for choice in whole.chosen.folds:
        assert {"fold", "seed", "fbank+mfcc.rate", "prosody.rate"} <= choice.keys()
    assert {(choice["fold"], choice["seed"]) for choice in whole.chosen.folds} == {
        (choice["fold"], choice["seed"]) for choice in record(made, "prosody", head="superb").chosen.folds
    }
    assert leaderboard.verify(made / "limited") == []


def test_more_seeds_of_the_parts_are_seeds_of_the_fusion(made, cache):
    more = [*words(made, cache, "late:mfcc,fbank", head="superb"), "--seeds", "3"]
    assert run_benchmark.main(more) == 0
    assert record(made, "late:fbank,mfcc", head="superb").cell.seeds == [0, 1, 2]


def test_done_again_it_is_the_same(made, cache, capsys):
    assert run_benchmark.main([*words(made, cache, "late:mfcc,fbank"), "--rerun"]) == 0
    assert "0 differ" in capsys.readouterr().out


def test_a_part_measured_on_other_targets_is_refused(tmp_path, cache):
    """Two cells of one task whose tables differ, as after a change of the corpus between them."""
    from dataclasses import replace

    assert run_benchmark.main(words(tmp_path, cache, "late:fbank,mfcc")) == 0
    plan = planned(*words(tmp_path, cache, "late:fbank,mfcc"), "--force")
    job = next(job for job in plan.jobs if isinstance(job, Late))
    records = [record(tmp_path, name) for name in ("fbank", "mfcc")]
    tables = [predictions(tmp_path, name) for name in ("fbank", "mfcc")]
    from cells.averaging import averaged

    classes = records[0].task.classes
    other = tables[1].assign(fold="another")
    for changed in (other, tables[1].iloc[1:], tables[1].assign(target=classes[0])):
        with pytest.raises(
            EmorepError, match=r"late:fbank,mfcc: the parts fbank and mfcc were measured on other folds"
        ):
            averaged(job, records, [tables[0], changed], classes)
    outcome = next(
        iter(engines.run(Local(Workplace()), [replace(job, after=(), parts=(("fbank", "x"), job.parts[1]))]))
    )
    assert "the record of its part fbank on demo with probe is gone, damaged or another by now" in outcome.failure


def test_a_part_that_fails_is_named(tmp_path, cache):
    broken = tmp_path / "broken.py"
    broken.write_text("class Broken:\n    sample_rate, hop, depth, width = 16000, 160, 1, 1\n"
                      "    def __call__(self, waveforms):\n        raise OSError('no disk')\n")  # fmt: skip
    plan = planned(*words(tmp_path / "results", cache, f"late:{broken}:Broken,fbank", f"{broken}:Broken+fbank"))
    outcomes = {o.cell[0]: o.failure for o in engines.run(Local(Workplace()), plan.jobs) if o.cell}
    name = next(name for name in outcomes if name.startswith("broken.py") and "+" not in name)
    assert (
        f"measure {name} demo probe: " in outcomes[f"late:{name},fbank"] and "no disk" in outcomes[f"late:{name},fbank"]
    )
    assert f"extract {name} demo: " in outcomes[f"{name}+fbank"]
    assert not outcomes["fbank"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("late:fbank", "needs two upstreams or more"),
        ("late:", "needs two upstreams or more"),
        ("late:fbank,", "needs two upstreams or more"),
        ("late:fbank,mffc", "unknown upstream 'mffc': did you mean mfcc?"),
        ("late:fbank,late:mfcc,prosody", "a late fusion has predictions and no features"),
        ("fbank+late:mfcc,prosody", "a late fusion has predictions and no features"),
    ],
)
def test_a_wrong_name_is_one_clear_message(name, says):
    with pytest.raises(EmorepError, match=says):
        late.resolve(name, Places())


def test_draws_of_random_parts_go_in_step():
    names = late.expand("late:random:emotion2vec,fbank", Places())
    assert names == [f"late:random:emotion2vec@{seed},fbank" for seed in range(5)]
    assert [late.resolve(name, Places()).named.draw for name in names] == list(range(5))


def test_a_file_with_a_comma_is_one_part(tmp_path):
    file = tmp_path / "my,enc.py"
    file.write_text("class Mine:\n    sample_rate, hop, depth, width = 16000, 160, 1, 1\n")
    fusion = late.resolve(f"late:{file}:Mine,fbank", Places())
    assert len(fusion.named.parts) == 2


def test_jobs_are_measures_of_parts_then_the_mean(cache, tmp_path):
    jobs = planned(*words(tmp_path, cache, "late:fbank,mfcc")).jobs
    listed: set[str] = set()
    for job in jobs:
        assert set(job.after) <= listed
        listed.add(job.id)
    whole = next(job for job in jobs if isinstance(job, Late))
    assert {job.id for job in jobs if isinstance(job, Measure) and job.upstream} == set(whole.after)
