"""Who answers: frozen upstreams that turn audio into features, and the store that keeps them. Knows no labels.

    identity = upstreams.identify(upstreams.resolve("fbank", Places()))
    features = upstreams.extract(identity, task.utterances, {"pooled"}, upstreams.Extraction(Path("cache")))
    features.pooled[:, 0, 0]    # (utterances, width): the time-mean of the first layer

Importing the package is cheap; torch and the audio libraries load when something has to be computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from commons.errors import UnknownName
from commons.places import Places
from commons.progress import Progress
from upstreams.errors import UpstreamError
from upstreams.identity import Extraction, Identity
from upstreams.names import Named

if TYPE_CHECKING:
    import pandas as pd

    from commons.corridors.features import Features
    from upstreams.contract import Frozen
    from upstreams.models import Models
    from upstreams.pretraining.ablation import Ablation
    from upstreams.registry import Entry

__all__ = [
    "Extraction", "Identity", "Named", "UnknownName", "UpstreamError", "ablation", "describe", "expand", "extract",
    "identify", "load", "names", "resolve", "train",
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
    """The names that emotion2vec@RUN/* stands for, one a checkpoint; any other name alone.

    Raises:
        UnknownName: there is no such folder.
        Refused: it holds no checkpoint.
    """
    from upstreams import registry

    return registry.expand(name)


def resolve(name: str, places: Places | None = None) -> Named:
    """What a name stands for, as plain values; the weights of names that need some are looked for in `places`.

    Raises:
        UnknownName: nothing is called so, or a file that it names is not there.
        Refused: it takes no such seed, checkpoint or form.
    """
    from upstreams import registry

    return registry.resolve(name, places or Places())


def identify(named: Named, precision: str = "fp32", models: Models | None = None) -> Identity:
    """The facts of an upstream, for which it is built; `models` keeps the model: see upstreams.models.identify."""
    from upstreams.models import identify

    return identify(named, precision, models)


def load(name: str, device: str = "cpu", precision: str = "fp32", places: Places | None = None) -> Frozen:
    """The upstream itself: its facts, `fingerprint()`, a call with waveforms. Raises as `resolve` and `identify`."""
    from upstreams.models import build

    return build(resolve(name, places), device, precision)


def extract(
    identity: Identity,
    utterances: pd.DataFrame,
    needs: Iterable[str],
    options: Extraction,
    progress: Progress | None = None,
    models: Models | None = None,
) -> Features:
    """Features of every utterance, from the store or made now: see upstreams.extraction.extract."""
    from upstreams.extraction import extract

    return extract(identity, utterances, needs, options, progress, models)


def ablation(name: str) -> Ablation:
    """An ablation of pre-training, by name or YAML file. Raises UnknownName, UpstreamError."""
    from upstreams.pretraining import ablation

    return ablation.load(name)


def train(
    ablation: Ablation,
    speech: Sequence[Path],
    places: Places,
    device: str = "auto",
    jobs: int = 1,
    seen: dict[str, str] | None = None,
    files: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Train an ablation's variants that are not done; those that cannot be trained -> why.

    Args:
        speech: folders of speech.
        places: runs lie in `places.runs`, decoded speech in `places.cache`.
        seen: corpora of the benchmark among the speech -> "audio"; None: nobody says.
        files: NAME -> file, for recipes that begin with $NAME.

    Raises:
        UpstreamError: no variant can be trained.
    """
    from upstreams.pretraining.ablation import Workshop

    runs = places.runs.expanduser().absolute()  # a recipe that begins with another run names it in full
    return Workshop(speech, runs, places.cache, device, jobs, seen, files or {}).train(ablation)
