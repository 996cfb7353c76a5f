"""Kept heads of a cell, and what they give for utterances; features are made once for all that read the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import downstreams
import leaderboard
import upstreams
from cells import keeping
from commons.errors import EmorepError, Refused, UnknownName
from commons.progress import bar
from downstreams.reader import Reader
from upstreams.extraction.models import Models

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import JsonValue

    from commons.corridors.features import Features
    from commons.corridors.fitted import Answers
    from commons.corridors.record import Record
    from commons.places import Places
    from upstreams import Identity


@dataclass(frozen=True)
class Head:
    """A fitted head of a cell.

    Attributes:
        folder: of its seed; `about` is what the index says of all folds, and `own` of this one.
    """

    folder: Path
    fold: str
    seed: int
    about: Mapping[str, JsonValue]
    own: Mapping[str, JsonValue]

    def section(self, name: str) -> Mapping[str, JsonValue]:
        """A section of the index: upstream, head or task."""
        own = self.about[name]
        assert isinstance(own, dict)
        return own

    @property
    def modality(self) -> str:
        """What its upstream reads of an utterance."""
        return str(self.section("upstream")["modality"])

    @property
    def classes(self) -> list[str]:
        """Its classes, or levels from low to high; empty where it predicts values."""
        own = self.section("task")["classes"]
        assert isinstance(own, list)
        return [str(name) for name in own]


def heads_of(results: Path, record: Record, fold: str | None, seed: int | None) -> list[Head]:
    """The fitted heads of a record, seed by seed; those of one fold or one seed, where these are not None.

    Raises:
        EmorepError: none were kept, they are damaged, or there is no such fold or seed.
    """
    cell = record.cell
    called = f"{cell.upstream} · {cell.task} · {cell.downstream}"
    if record.upstream.fusion == "late":
        raise Refused(f"{called}: is an average of other cells; apply each of them: {', '.join(record.upstream.parts)}")
    seeds = leaderboard.kept(results, record)
    if not seeds:
        raise Refused(f"{called}: its weights were not kept; run it again with --keep-weights, which makes them")
    if seed is not None and seed not in seeds:
        raise UnknownName("seed", str(seed), map(str, seeds))
    heads: list[Head] = []
    for own_seed in seeds if seed is None else [seed]:
        folder, about = leaderboard.weights(results, record, own_seed)
        folds = about["folds"]
        assert isinstance(folds, dict)
        if fold is not None and fold not in folds:
            raise UnknownName("fold", fold, folds)
        for name, own in folds.items():
            if fold in (None, name):
                assert isinstance(own, dict)
                heads.append(Head(folder, name, own_seed, about, own))
    return heads


class Applied:
    """Utterances, and what heads give for them."""

    def __init__(self, where: Places, device: str, upstream: str | None, table: pd.DataFrame) -> None:
        """`upstream`: the name under which the upstream is now; None: that of the index."""
        self._where, self._device, self._upstream, self._table = where, device, upstream, table
        self._models = Models()
        self._features: tuple[str, Features] | None = None

    def to(self, head: Head) -> Answers:
        """What the head gives for the utterances.

        Raises:
            EmorepError: the upstream is not the one of the head, or an utterance cannot be used.
        """
        section = head.section("head")
        settings = section["settings"]
        assert isinstance(settings, dict)
        reader = Reader(str(section["name"]), str(section["head"]), settings)
        fitted = keeping.read(head.folder, head.fold, head.seed, head.own)
        form, folder = head.own["encoder"], None
        if form is not None:
            folder = head.folder / str(head.own["folder"]) / keeping.ENCODER
        named = f"{form}{folder}" if form else None
        return downstreams.apply(reader, fitted, folder, self._of(head, reader, named), self._device)

    def _of(self, head: Head, reader: Reader, tuned: str | None) -> Features:
        """The features that a head reads, by its upstream, or by the fine-tuned one of the name `tuned`."""
        key = tuned or str(head.section("upstream")["fingerprint"])
        if self._features is None or self._features[0] != key:
            self._features = None
            identity = self._identity(head, tuned)
            options = upstreams.Extraction(self._where.cache.absolute(), self._device, 1)
            what = "texts" if identity.modality == "text" else "s of audio"
            with bar(identity.named.record_name, what) as progress:
                made = upstreams.extract(identity, self._table, reader.needs, options, progress, self._models)
            self._features = key, made
        return self._features[1]

    def _identity(self, head: Head, tuned: str | None) -> Identity:
        if tuned:
            return upstreams.identify(upstreams.resolve(tuned, self._where), "fp32", self._models)
        about = head.section("upstream")
        name = self._upstream or str(about["name"])
        if not name:
            raise Refused(
                f"the upstream {about['record_name']} was a file or folder elsewhere, whose place the weights do not "
                "tell; name it with -u"
            )
        try:
            identity = upstreams.identify(upstreams.resolve(name, self._where), str(about["precision"]), self._models)
        except EmorepError as error:
            raise EmorepError(f"{error}; if it lies elsewhere now, name it with -u") from error
        keeping.refuse_other(identity, about)
        return identity
