"""`last_four`: `probe` on the mean of the last layers, of which none is chosen.

An interpretation of emotion2vec's head for sentiment (Ma et al. 2024: the mean of the last four layers and a linear
layer); the paper trains the layer in a way that it does not tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pydantic import JsonValue

from commons.corridors.features import Features
from commons.corridors.predictions import Predictions
from commons.corridors.problem import Problem
from commons.progress import Progress
from downstreams import fitted_linear, probe
from downstreams.checks import fitting
from downstreams.settings import LastLayers, Probe


def evaluate(
    features: Features,
    problem: Problem,
    settings: Mapping[str, JsonValue],
    seeds: Sequence[int],
    device: str,
    progress: Progress | None = None,
) -> Predictions:
    """The head's predictions; `settings` are those of settings.LastLayers. It draws nothing, so seeds do not matter.

    An upstream with fewer layers gives the mean of all it has.

    Raises:
        DownstreamError: the features are not those of the problem, or are not finite.
    """
    own = LastLayers.model_validate(settings)
    pooled = fitting(features.pooled, problem, "pooled features")
    depth = pooled.shape[2]
    layers = range(max(0, depth - own.layers), depth)
    mean = fitted_linear.rows_of(pooled, layers, [0])[:, None, None]
    reader = Probe(class_weights=own.class_weights, strengths=own.strengths)
    predictions = probe.read(mean, problem, reader, device, progress, features.parts)
    choices = [{name: value for name, value in choice.items() if name != "layer"} for choice in predictions.choices]
    fitted = [replace(one, facts={**one.facts, "layers": list(layers)}) for one in predictions.fitted]
    return replace(predictions, choices=choices, layer=None, by_layer=None, dev_by_layer=None, fitted=fitted)
