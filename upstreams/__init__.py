"""Who answers: frozen upstreams that turn audio or text into features, and the store. This room knows no labels.

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
from upstreams.extraction import Extraction
from upstreams.identity import Identity
from upstreams.named import LATE, Named

if TYPE_CHECKING:
    import pandas as pd

    from commons.corridors.features import Features
    from upstreams.extraction.models import Models
    from upstreams.frozen import Frozen
    from upstreams.pretraining.ablation import Ablation
    from upstreams.registry import Entry

CODECS = ("opus", "mp3", "mulaw", "gsm")  # perturbations whose bit rate is measured

__all__ = [
    "CODECS", "LATE", "Extraction", "Identity", "Named", "UnknownName", "UpstreamError", "ablation", "bit_rate",
    "describe", "expand", "extract", "fused", "identify", "load", "names", "resolve", "sources", "together", "train",
]  # fmt: skip


def names() -> list[str]:
    """Names of the upstreams that need neither a copy of weights nor a file of the user's."""
    from upstreams import registry

    return [entry.name for entry in registry.known() if not entry.weights]


def describe() -> tuple[Entry, ...]:
    """Every upstream, or form of a name, with its title and one line about it. Imports no model."""
    from upstreams import registry

    return registry.listed()


def expand(name: str, places: Places | None = None) -> list[str]:
    """For emotion2vec@RUN/* the names of all checkpoints of the run, for random:NAME those of five draws, for a fusion
    with such a part one for each; for any other name that name alone.

    Raises:
        UnknownName: there is no such folder.
        Refused: it holds no checkpoint.
    """
    from upstreams import composed

    return composed.expand(name, places or Places())


def together(parts: Sequence[str], places: Places | None = None) -> list[tuple[str, ...]]:
    """The names that several names stand for together, see `expand`; draws of random weights go in step."""
    from upstreams import composed

    return composed.together(parts, places or Places())


def resolve(name: str, places: Places | None = None) -> Named:
    """What a name stands for, as plain values. Weights are searched for in the folders of `places`.

    Raises:
        UnknownName: there is no such name, or no such file.
        Refused: the name takes no such seed or checkpoint, or has a wrong form.
    """
    from upstreams import composed

    return composed.resolve(name, places or Places())


def identify(named: Named, precision: str = "fp32", models: Models | None = None) -> Identity:
    """The facts of an upstream, which is built for them; `models` keeps the model.

    Raises:
        UnknownName: its file has no such class.
        UpstreamError: it cannot be built, or lacks a fact.
    """
    from upstreams import fusion, identity, precomputed
    from upstreams.extraction.models import Models

    models = models or Models()
    if named.parts:
        return fusion.identity(named, [identify(part, precision, models) for part in named.parts])
    if named.given:
        return precomputed.identify(named)
    return identity.identify(named, *models.current(named, precision))


def load(name: str, device: str = "cpu", precision: str = "fp32", places: Places | None = None) -> Frozen:
    """The upstream itself: its facts, `fingerprint()`, a call with waveforms or texts.

    A fusion, one layer and features from elsewhere have no such form: `identify` and `extract` them. Errors as in
    `resolve` and `identify`.
    """
    from upstreams.build import build

    return build(resolve(name, places), device, precision)


def extract(
    identity: Identity,
    utterances: pd.DataFrame,
    needs: Iterable[str],
    options: Extraction,
    progress: Progress | None = None,
    models: Models | None = None,
) -> Features:
    """Features of every utterance, from the store or made now. No model is built if the store has all of them.

    Args:
        utterances: index id. For audio the columns path, sha256 (of the file), duration (s) and, where there are parts,
            start, end (s), channel (from 0; absent: the mean); for text the column text.
        needs: any of commons.corridors.features.NEEDS: pooled features and frames are made in one pass; for "live" the
            model is always built.
        progress: called with the seconds of audio that are done and those of all that has to be made; of upstreams of
            text with the numbers of texts.
        models: what this process keeps for the next extraction.

    Raises:
        EmorepError: a bad file, model, cache or request; there is no GPU; or the upstream has changed since it was
            identified.
    """
    if identity.parts:
        from upstreams import fusion

        def of_part(part: Identity, own: Iterable[str]) -> Features:
            return extract(part, utterances, own, options, progress, models)

        return fusion.features(identity, of_part, frozenset(needs))
    if identity.named.given:
        from upstreams import precomputed

        return precomputed.extract(identity, utterances, needs, options, progress, models)
    from upstreams.extraction import extract as extraction

    return extraction.extract(identity, utterances, needs, options, progress, models)


def lacking(identity: Identity, utterances: pd.DataFrame, needs: Iterable[str], options: Extraction) -> float:
    """Seconds of audio, or number of texts, of which `extract` would make something; the store's files are not checked.

    Arguments as of `extract`, of an upstream that is no fusion.

    Raises:
        UpstreamError: the cache cannot be read, or there are no such features.
    """
    if identity.named.given:
        return 0.0
    from upstreams.extraction import extract as extraction

    return extraction.lacking(identity, utterances, needs, options)


def fused(named: Named, parts: Sequence[Identity]) -> Identity:
    """The facts of several upstreams together: what they have seen, their licences, sizes and what they read."""
    from upstreams import fusion

    return fusion.identity(named, parts)


def sources(identity: Identity, needs: Iterable[str]) -> list[tuple[Identity, frozenset[str]]]:
    """The upstreams whose features must be extracted before it has those that are needed, and which of theirs: itself,
    or the parts of a fusion.

    Raises:
        UpstreamError: it has no features of that kind, or what chooses their frames is not installed.
    """
    from upstreams import fusion

    return fusion.sources(identity, needs)


def pooling_rules(needs: Iterable[str]) -> dict[str, str]:
    """By which rules frames are chosen for the pooled features that are needed; of all frames there is no rule.

    Raises:
        UpstreamError: what a rule needs is not installed.
    """
    from upstreams.extraction import pooling

    return pooling.rules(needs)


def ablation(name: str) -> Ablation:
    """An ablation of pre-training, by name or YAML file. Raises UnknownName, UpstreamError."""
    from upstreams.pretraining import ablation

    return ablation.load(name)


def missing(
    ablation: Ablation,
    places: Places,
    files: Mapping[str, str] | None = None,
    speech: Sequence[Path] = (),
    seen: Mapping[str, str] | None = None,
) -> dict[tuple[str, str], tuple[tuple[str, str], ...]]:
    """The (ablation, variant) that are to be trained for an ablation, in order, each with those that come before it.

    Variants may begin with those of another ablation. Those that cannot be trained are among them.

    Args:
        places: `places.runs` holds the runs.
        files: NAME -> file, for recipes that name $NAME.
        speech: folders of speech: runs on other speech do not count. Where it is not decoded yet, none does, since
            nobody knows; `train` does.
        seen: as of `train`.

    Raises:
        UpstreamError: variants follow frame scores, there is speech to train them on, and `seen` is not known.
    """
    from upstreams.pretraining.ablation import Workshop

    return Workshop(speech, _runs(places), places.cache, seen=seen, files=files or {}).missing(ablation)


def train(
    ablation: Ablation,
    variant: str,
    speech: Sequence[Path],
    places: Places,
    device: str = "auto",
    jobs: int = 1,
    seen: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
) -> None:
    """Train a variant of an ablation, unless that is done on this speech (on any, where none is named).

    Args:
        speech: folders of speech.
        places: `places.runs` holds the runs, `places.cache` the decoded speech.
        seen: corpora of the benchmark among the speech -> "audio"; None: not known.
        files: NAME -> file, for recipes that name $NAME.

    Raises:
        UpstreamError: there is no speech, what it begins with is not there, or its training fails.
    """
    from upstreams.pretraining.ablation import Workshop

    Workshop(speech, _runs(places), places.cache, device, jobs, seen, files or {}).train(ablation, variant)


def _runs(places: Places) -> Path:
    return places.runs.expanduser().absolute()  # recipes name the run that they begin with by its absolute path


def value_names(identity: Identity) -> list[str] | None:
    """What the D values of an upstream with one frame for each utterance are called, `family: name` where it knows
    families; None where it does not say. Those of a fusion are its parts', after the part's name.

    Raises:
        UpstreamError: it cannot be built, or its names do not fit its values.
    """
    from upstreams.build import build

    named = identity.named
    if len(identity.parts) > 1:
        several = [(part, value_names(part) or list(map(str, range(part.width)))) for part in identity.parts]
        return [f"{part.named.record_name}: {name}" for part, own in several for name in own]
    if named.given or named.parts or identity.step != float("inf"):
        return None
    return build(named).value_names()


def bit_rate(utterances: pd.DataFrame) -> float:
    """kbit/s of the files that the codec of a table's changed utterances writes, over up to 50 of them.

    Raises:
        UpstreamError: audio cannot be decoded, or libsndfile lacks the codec.
    """
    from upstreams.inputs.bit_rates import bit_rate

    return bit_rate(utterances)
