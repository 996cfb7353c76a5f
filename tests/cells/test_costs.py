"""What long trainings are taken to cost: rates that are tried, blocks, second stages, encoders side by side."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

import downstreams
import upstreams
from cells.costs import GPU, HEADS, Costs, Size
from cells.jobs import Measure
from upstreams import Identity

SIZE = Size(utterances=500, seconds=1500.0, folds=10, trained=480, each=400)


def identity(name: str) -> Identity:
    return upstreams.identify(upstreams.resolve(name))


def seconds(head: str, upstream: Identity, **settings: object) -> float:
    reader = downstreams.resolve(head)
    reader = replace(reader, settings=reader.settings | settings)
    job = Measure("", "", "", upstream, "", reader, frozenset(), "", (0,), "add", None)
    return Costs()._training(job, 10, SIZE)


@pytest.fixture(scope="module")
def random() -> Identity:
    return identity("random:emotion2vec")


@pytest.fixture(scope="module")
def trained(random: Identity) -> Identity:
    return replace(random, seen={"librispeech": "audio"})


def test_the_rates_that_are_tried_count(random: Identity, trained: Identity) -> None:
    grids = {"rates": [1e-5, 1e-4], "random_rates": [1e-5, 1e-4, 1e-3, 1e-2], "trial": 0.25}
    assert seconds("finetune", random, **grids) == pytest.approx(seconds("finetune", trained, **grids) * 2 / 1.5)


def test_top_blocks_cost_their_share(trained: Identity) -> None:
    whole, blocks = seconds("finetune", trained), trained.depth - 1
    for top, share in ((1, 1 / blocks), (blocks, 1.0), (99, 1.0)):
        assert seconds("finetune", trained, top=top, layers="last") == pytest.approx(share * whole)


def test_a_second_stage_costs_what_its_head_does(trained: Identity) -> None:
    more = seconds("finetune_ecapa", trained) - seconds("finetune", trained)
    assert more == pytest.approx(10 * SIZE.trained * HEADS["ecapa"][0])


def test_encoders_side_by_side_cost_their_sum(trained: Identity) -> None:
    two = replace(trained, width=2 * trained.width, parts=(trained, trained))
    assert Costs().extraction(two) == pytest.approx(2 * Costs().extraction(trained))
    for head in ("finetune", "finetune_top3"):
        assert seconds(head, two) == pytest.approx(2 * seconds(head, trained))


def test_what_a_gpu_took_is_not_taken_for_the_time_of_a_core(trained: Identity) -> None:
    def learnt(device: str) -> float:
        costs = Costs()
        upstream = SimpleNamespace(counts={"computed": 9}, audio_seconds=100.0, depth=None, width=None)
        run = SimpleNamespace(seconds={"forward": 2.0}, device=device)
        cell = SimpleNamespace(upstream=trained.named.record_name, training=None)
        costs.learn([SimpleNamespace(upstream=upstream, run=run, cell=cell, scores=SimpleNamespace(counts=None))])
        return costs.extraction(trained)

    assert learnt("cpu") == pytest.approx(0.02) and learnt("cuda") == pytest.approx(0.02 * GPU)
