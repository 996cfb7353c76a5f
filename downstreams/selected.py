"""`selected`: `probe` on those features of a layer that tell the classes best, chosen fold by fold.

How many features, and with them the strength of the ridge, is chosen as `probe` chooses a strength: without each inner
group of the training speakers in turn, the features are selected anew on the others. Of the numbers, the smallest is
taken whose loss cannot be told from the smallest loss. All that is not test then selects once more, and trains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from commons.corridors.features import Features
from commons.corridors.predictions import Predictions
from commons.corridors.problem import Problem
from commons.progress import Progress
from downstreams import probe
from downstreams.checks import fitting
from downstreams.settings import Probe, Selected


def evaluate(
    features: Features,
    problem: Problem,
    settings: Mapping[str, JsonValue],
    seeds: Sequence[int],
    device: str,
    progress: Progress | None = None,
) -> Predictions:
    """The head's predictions; `settings` are those of settings.Selected. It draws nothing, so seeds do not matter.

    Raises:
        DownstreamError: the features are not those of the problem, or are not finite.
    """
    own = Selected.model_validate(settings)
    pooled = fitting(features.pooled, problem, "pooled features")
    reader = Probe(class_weights=own.class_weights, strengths=own.strengths)
    return probe.read(pooled, problem, reader, device, progress, features.parts, own.counts)
