"""Which frames are masked: shares, spans, places, and what stands in for masked frames."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from upstreams.mockingjay.masks import ZERO, Mask, draw, spans, stretches
from upstreams.mockingjay.recipe import Masking, MaskKind

KINDS = get_args(MaskKind)


def curve(frames: int) -> np.ndarray:
    """Smooth scores with a hump, as frame scores of speech are."""
    t = np.arange(frames)
    return np.exp(-(((t - 0.6 * frames) / (0.1 * frames)) ** 2)) + 0.1 * np.sin(t / 7)


def several(kind: str, frames: int, number: int = 300) -> list[Mask]:
    rng = np.random.default_rng(frames)
    return [draw(Masking(kind=kind), frames, rng, curve(frames)) for _ in range(number)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frames", [7, 8, 20, 48, 298, 1498])
def test_every_utterance_gets_a_mask_of_spans_within_its_frames(kind: str, frames: int) -> None:
    for mask in several(kind, frames, 20):
        assert len(mask.covered) == len(mask.source) == frames and mask.covered.any()
        assert mask.source.min() >= ZERO and mask.source.max() < frames
        unmasked = ~mask.covered
        assert (mask.source[unmasked] == np.flatnonzero(unmasked)).all()


def test_random_masks_reach_the_published_share_less_overlaps() -> None:
    masking = Masking()
    shares = [mask.covered.mean() for mask in several("random", 1000)]
    most = spans(masking, 1000) * masking.span / 1000
    assert max(shares) <= most == pytest.approx(0.147) and 0.125 < np.mean(shares) < most
    places = np.mean([mask.covered for mask in several("random", 1000, 2000)], axis=0)
    assert places[10:-10].std() < 0.1 * places[10:-10].mean() * 2  # no place is preferred


def test_published_intensity_masks_far_less_since_its_spans_overlap() -> None:
    random, intensity = (np.mean([m.covered.mean() for m in several(kind, 1000)]) for kind in ("random", "intensity"))
    assert intensity < 0.5 * random


@pytest.mark.parametrize("frames", [298, 1498])
def test_its_spans_begin_among_the_2n_frames_of_highest_score(frames: int) -> None:
    """As published: the n highest of them, where spans fit in behind them."""
    scores = np.random.default_rng(0).permutation(frames).astype(float)
    masking = Masking(kind="intensity")
    number = spans(masking, frames)
    high = np.argsort(-scores)[: 2 * number]
    starts = high[high < frames - masking.span][:number]
    expected = np.zeros(frames, bool)
    expected[(starts[:, None] + np.arange(masking.span)).ravel()] = True
    assert len(starts) == number and (draw(masking, frames, np.random.default_rng(0), scores).covered == expected).all()


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"random", "intensity"}))
@pytest.mark.parametrize("frames", [30, 298, 1498])
def test_equal_kinds_mask_as_many_frames_as_random_with_the_same_draws(kind: str, frames: int) -> None:
    for seed in range(50):
        mine, random = (
            draw(Masking(kind=one), frames, np.random.default_rng(seed), curve(frames)) for one in (kind, "random")
        )
        assert mine.covered.sum() == random.covered.sum()


def test_they_mask_where_scores_are_high_or_low() -> None:
    scores = curve(1000)
    means = {kind: scores[several(kind, 1000, 1)[0].covered].mean() for kind in KINDS}
    assert means["intensity_low"] < means["random"] < means["intensity_equal"] <= means["intensity"]
    spans_of = np.diff(stretches(several("intensity_equal", 1000, 1)[0].covered))
    assert (spans_of % 7 == 0).sum() >= len(spans_of) - 1  # whole spans side by side, the last cut short


def test_a_moved_mask_has_the_same_gaps_at_places_that_scores_do_not_decide() -> None:
    rng, inside, turned = np.random.default_rng(0), [], 0
    for seed in range(200):
        scores = curve(600) + 0.01 * rng.standard_normal(600)
        equal, moved, again = (
            draw(Masking(kind=kind), 600, np.random.default_rng(own), scores).covered
            for kind, own in (("intensity_equal", seed), ("intensity_moved", seed), ("intensity_moved", seed))
        )
        assert (moved == again).all()
        turned += any((np.roll(equal, by) == moved).all() for by in range(1, 600))
        inside.append(scores[moved].mean() - scores.mean())
    assert turned == 200
    assert abs(np.mean(inside)) < 3 * np.std(inside) / 200**0.5 + 0.02


def test_a_stretch_is_copied_whole_from_another_place() -> None:
    copies = [mask for mask in several("random", 298, 200) if (mask.source[mask.covered] != ZERO).all()]
    moved = [mask for mask in copies if (mask.source != np.arange(298)).any()]
    assert moved
    for mask in moved:
        assert mask.covered.sum() == np.diff(stretches(mask.covered)).sum()
        assert all((np.diff(mask.source[first:end]) == 1).all() for first, end in stretches(mask.covered))


def test_a_large_share_is_reached_where_no_span_fits_any_more() -> None:
    masking = Masking(kind="intensity_equal", share=0.95, span=7)
    random = draw(Masking(share=0.95), 100, np.random.default_rng(0))
    assert draw(masking, 100, np.random.default_rng(0), curve(100)).covered.sum() == random.covered.sum()


def test_the_dice_are_thrown_once_an_utterance() -> None:
    zeroed = copied = kept = 0
    for mask in several("random", 298, 3000):
        source, own = mask.source[mask.covered], np.flatnonzero(mask.covered)
        if (source == ZERO).all():
            zeroed += 1
        elif (source == own).all():
            kept += 1
        else:
            assert (source != ZERO).all()
            copied += 1
    assert np.array([zeroed, copied, kept]) / 3000 == pytest.approx([0.8, 0.1, 0.1], abs=0.025)
