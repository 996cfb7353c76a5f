"""What changes over a run, as functions of the step and of shares of the run."""

from __future__ import annotations

import math


def learning_rate(step: int, steps: int, peak: float, warmup: float) -> float:
    """Linear warm-up over the first `warmup` share of `steps`, then half a cosine down to zero; `step` from 0."""
    rising = max(warmup * steps, 1.0)
    if step < rising:
        return peak * (step + 1) / rising if step + 1 < rising else peak
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(steps - rising, 1.0)))


def ema_decay(step: int, steps: int, first: float, last: float, anneal: float) -> float:
    """Linear from `first` to `last` over the first `anneal` share of `steps`, then `last` (data2vec, 3.3)."""
    done = min(step / max(anneal * steps, 1.0), 1.0)
    return first + (last - first) * done


def initial_share(steps: int, first: float, last: float, anneal: float) -> float:
    """What weight the average still gives, after `steps`, to the weights it began with: the product of its decays."""
    return math.prod(ema_decay(step, steps, first, last, anneal) for step in range(steps))
