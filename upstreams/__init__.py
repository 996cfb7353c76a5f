"""Who answers: frozen upstreams that turn audio into features, and the store that keeps them. Knows no labels.

    features = upstreams.extract("fbank", task.utterances, {"pooled"}, cache=Path("cache"))
    features.pooled[:, 0, 0]    # (utterances, width): the time-mean of the first layer

Importing the package is cheap; torch and the audio libraries load when something has to be computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from upstreams.errors import UnknownName, UpstreamError

if TYPE_CHECKING:
    import pandas as pd

    from upstreams.contract import Frozen
    from upstreams.emotion2vec.ablation import Ablation
    from upstreams.features import Features
    from upstreams.registry import Entry

__all__ = [
    "UnknownName", "UpstreamError", "ablation", "describe", "expand", "extract", "label", "load", "names", "resolve",
    "train",
]  # fmt: skip


def names() -> list[str]:
    """Names of the upstreams that need no copy of any weights and no file of the user's."""
    from upstreams import registry

    return [entry.name for entry in registry.known() if not entry.weights]


def describe() -> tuple[Entry, ...]:
    """Each upstream's name, or the form that names of its kind take, title and one line about it; imports no model."""
    from upstreams import registry

    return registry.listed()


def expand(name: str) -> list[str]:
    """The names that emotion2vec@RUN/* stands for, one a checkpoint; any other name alone. Raises UpstreamError."""
    from upstreams import registry

    return registry.expand(name)


def ablation(name: str) -> Ablation:
    """An ablation of emotion2vec's pre-training, by name or YAML file. Raises UnknownName, UpstreamError."""
    from upstreams.emotion2vec import ablation

    return ablation.load(name)


def train(
    ablation: Ablation,
    data: Sequence[Path],
    runs: Path,
    cache: Path,
    device: str = "auto",
    jobs: int = 1,
    seen: dict[str, str] | None = None,
) -> dict[str, str]:
    """Train an ablation's variants that are not done, on the speech under `data`; those that cannot be, and why."""
    from upstreams.emotion2vec.ablation import Workshop

    return Workshop(data, runs, cache, device, jobs, seen).train(ablation)


def resolve(name: str) -> str:
    """The canonical spelling of a name. Raises UnknownName; UpstreamError for a seed or checkpoint it cannot take."""
    from upstreams import registry

    return registry.resolve(name).name


def label(name: str) -> str:
    """The name that records and tables carry; it holds no absolute path."""
    from upstreams import registry

    return registry.resolve(name).label


def load(name: str, device: str = "cpu", precision: str = "fp32") -> Frozen:
    """The upstream itself: facts, `fingerprint()`, and a call with waveforms. Raises UnknownName, UpstreamError."""
    from upstreams import registry

    return registry.build(name, device, precision)


def extract(
    name: str,
    utterances: pd.DataFrame,
    needs: Iterable[str],
    cache: Path,
    device: str = "auto",
    precision: str = "fp32",
    jobs: int = 0,
    progress: Callable[[float, float], None] | None = None,
    fingerprint: str | None = None,
) -> Features:
    """Frozen features of every utterance, from the store or made now: see upstreams.extraction.extract."""
    from upstreams.extraction import extract

    return extract(name, utterances, needs, cache, device, precision, jobs, progress, fingerprint)
