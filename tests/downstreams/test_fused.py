"""A fusion that is trained: as good as one network where batches are padded and where a training is killed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import downstreams
from downstreams.tuned_network import TunedNetwork, draws_of
from tests.downstreams.problems import live_of, make, short
from tests.downstreams.test_finetune import batch, gradients, settings
from tests.downstreams.test_kept_folds import Killed, Steps, same

PARTS = (2, 10)


def fused():
    """(features, problem): two networks, the second of which has half as many frames."""
    features, problem = make(n=30, speakers=3)
    return replace(features, live=live_of(features.frames, PARTS, every=2), parts=PARTS), problem


@pytest.mark.parametrize("aggregator", ["mean", "attentive"])
def test_a_padded_batch_of_a_fusion_is_its_utterances_alone(aggregator):
    """Its loss is the mean of theirs, and so are its gradients: 1e-5."""
    live, rows = fused()[0].live, range(16)
    own = settings(aggregator=aggregator, layers="weighted", dropout=0.0)
    made = TunedNetwork(live, 3, own, draws_of("f", 0, "head"), "cpu")
    assert len({len(frames) for frames in made.frames(rows)}) > 1
    loss, together = gradients(made, batch(rows))
    together = {name: gradient.clone() for name, gradient in together.items()}
    losses, sums = [], {name: torch.zeros_like(gradient) for name, gradient in together.items()}
    for row in rows:
        alone, each = gradients(made, batch([row]))
        losses.append(alone)
        for name, gradient in each.items():
            sums[name] += gradient / len(rows)
    assert abs(loss - np.mean(losses)) < 1e-5 and {name.split(".")[1] for name in sums if "parts" in name} == {"0", "1"}
    for name, gradient in together.items():
        assert (gradient - sums[name]).abs().max() < 1e-5, name


def test_a_killed_training_of_a_fusion_goes_on_and_ends_bit_equal(tmp_path, monkeypatch):
    """Killed after three of four scorings of dev, and in the second stage."""
    features, problem = fused()
    problem = replace(problem, folds=problem.folds[:1])
    reader, steps = short("finetune_ecapa", steps=12, scorings=4), Steps(monkeypatch)
    whole = downstreams.evaluate(reader, features, problem, [0])
    both = steps.done
    for last in (11, 4):
        steps.done, steps.last = 0, last
        with pytest.raises(Killed):
            downstreams.evaluate(reader, features, problem, [0], work=tmp_path)
    steps.done, steps.last = 0, -1
    assert same(whole, downstreams.evaluate(reader, features, problem, [0], work=tmp_path))
    assert steps.done == both - 12, "those of the second stage"
