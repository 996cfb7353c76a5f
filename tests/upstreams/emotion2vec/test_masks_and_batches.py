"""What a student does not hear and what a step hears: drawn from seed, epoch, utterance and clone alone."""

from __future__ import annotations

import numpy as np
import pytest

from tests.upstreams.emotion2vec.training import tiny
from upstreams.emotion2vec.batches import epoch_plan
from upstreams.emotion2vec.masks import masked_count, span_masks

MASKING = tiny().masking


@pytest.mark.parametrize("frames", [12, 49, 150, 999])
def test_half_of_the_frames_are_masked_exactly(frames: int) -> None:
    masks = span_masks(1, 0, 7, frames, 8, MASKING)
    assert (masks.sum(1) == masked_count(frames, 0.5)).all() and masked_count(frames, 0.5) == frames // 2
    assert len({mask.tobytes() for mask in masks}) == 8


def test_a_mask_depends_on_seed_epoch_utterance_and_clone_alone() -> None:
    masks = span_masks(1, 2, 3, 100, 4, MASKING)
    assert (masks == span_masks(1, 2, 3, 100, 8, MASKING)[:4]).all()
    for other in ((9, 2, 3), (1, 9, 3), (1, 2, 9)):
        assert (masks != span_masks(*other, 100, 4, MASKING)).any()


def test_masks_come_in_spans_and_reach_every_place_alike() -> None:
    masks = np.concatenate([span_masks(1, 0, u, 200, 8, MASKING) for u in range(200)])
    stays = masks[:, 1:][masks[:, :-1]].mean()  # 0.5 were single frames masked at random
    assert stays > 0.75
    # Spans that begin before the first frame are cut, which leaves the edges somewhat less covered.
    assert np.abs(masks[:, 5:-5].mean(0) - 0.5).max() < 0.06 and masks.mean(0).min() > 0.35


def plan(seed: int = 1, epoch: int = 0, crop: int | None = None, equal: bool = False):
    lengths = np.random.default_rng(5).integers(5000, 80000, 300)
    return lengths, epoch_plan(lengths, 320_000, 4, seed, epoch, crop, equal)


def test_an_epoch_hears_every_utterance_once_within_the_budget() -> None:
    lengths, steps = plan()
    micro = [m for step in steps for m in step]
    assert sorted(np.concatenate([m.utterances for m in micro])) == list(range(300))
    assert all((m.samples == lengths[m.utterances]).all() and (m.starts == 0).all() for m in micro)
    assert max(m.samples.max() * len(m.samples) for m in micro) <= 320_000
    assert {len(step) for step in steps} <= {3, 4, 5}
    heard, held = (
        sum(f(m) for m in micro) for f in (lambda m: m.samples.sum(), lambda m: m.samples.max() * len(m.samples))
    )
    assert heard / held > 0.9  # lengths in a batch are alike: little is padded, or cut


def test_batches_depend_on_seed_and_epoch_alone() -> None:
    def told(steps):
        return [[m.utterances.tolist() for m in step] for step in steps]

    assert told(plan()[1]) == told(plan()[1])
    assert told(plan()[1]) != told(plan(epoch=1)[1]) != told(plan(seed=2)[1])


def test_crops_lie_within_and_move_from_epoch_to_epoch() -> None:
    places = []
    for epoch in (0, 1):
        lengths, steps = plan(epoch=epoch, crop=30_000, equal=True)
        micro = [m for step in steps for m in step]
        assert all((m.starts + m.samples <= lengths[m.utterances]).all() and m.samples.max() <= 30_000 for m in micro)
        assert all(len(set(m.samples)) == 1 for m in micro)
        places.append({u: s for m in micro for u, s in zip(m.utterances, m.starts, strict=True)})
    assert places[0] != places[1] and len(set(places[0].values())) > 100
