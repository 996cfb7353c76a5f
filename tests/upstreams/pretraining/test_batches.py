"""What a step takes and what is masked: both follow from seed, epoch, utterance and clone alone."""

from __future__ import annotations

import numpy as np
import pytest

from tests.upstreams.pretraining.training import tiny
from upstreams.pretraining.batches import Position, batches, epoch_plan, masked_count, span_masks

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


LENGTHS = np.random.default_rng(5).integers(5000, 80000, 300)
SETTINGS = ("batch.seconds=20", "batch.micro_batches=4", "audio.max_seconds=5")


def plan(*changes: str, epoch: int = 0):
    return epoch_plan(tiny(*SETTINGS, *changes), LENGTHS, epoch)


def test_an_epoch_takes_every_utterance_once_within_the_budget() -> None:
    steps = plan()
    micro = [m for step in steps for m in step]
    assert sorted(np.concatenate([m.utterances for m in micro])) == list(range(300))
    assert all((m.samples == LENGTHS[m.utterances]).all() and (m.starts == 0).all() for m in micro)
    assert max(m.samples.max() * len(m.samples) for m in micro) <= 320_000
    assert {len(step) for step in steps} <= {3, 4, 5}
    taken, held = (
        sum(f(m) for m in micro) for f in (lambda m: m.samples.sum(), lambda m: m.samples.max() * len(m.samples))
    )
    assert taken / held > 0.9  # lengths in a batch are alike: little is padded, or cut


def test_batches_depend_on_seed_and_epoch_alone() -> None:
    def rows(steps):
        return [[m.utterances.tolist() for m in step] for step in steps]

    assert rows(plan()) == rows(plan())
    assert rows(plan()) != rows(plan(epoch=1)) != rows(plan("seed=2"))


def test_crops_lie_within_and_move_from_epoch_to_epoch() -> None:
    places = []
    for epoch in (0, 1):
        steps = plan("audio.crop_seconds=1.875", "batch.equal_lengths=true", epoch=epoch)
        micro = [m for step in steps for m in step]
        assert all((m.starts + m.samples <= LENGTHS[m.utterances]).all() and m.samples.max() <= 30_000 for m in micro)
        assert all(len(set(m.samples)) == 1 for m in micro)
        places.append({u: s for m in micro for u, s in zip(m.utterances, m.starts, strict=True)})
    assert places[0] != places[1] and len(set(places[0].values())) > 100


def test_a_run_that_goes_on_takes_what_is_left() -> None:
    recipe = tiny(*SETTINGS, "optimiser.steps=60")
    whole = list(batches(recipe, LENGTHS, Position()))
    assert [at.step for at, _, _ in whole] == list(range(60)) and whole[-1][0].epoch > 0
    for number in (1, 17, 40):
        left = list(batches(recipe, LENGTHS, whole[number][0]))
        assert [at for at, _, _ in left] == [at for at, _, _ in whole[number:]]
        assert [after for _, _, after in left[:-1]] == [at for at, _, _ in left[1:]]
        for (_, a, _), (_, b, _) in zip(left, whole[number:], strict=True):
            assert [m.utterances.tolist() for m in a] == [m.utterances.tolist() for m in b]
