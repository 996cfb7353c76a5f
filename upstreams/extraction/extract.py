"""Features of a table of utterances: what the store lacks is made, in jobs of one chunk each."""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from commons import device as devices
from commons.corridors.features import NEEDS, Features
from commons.progress import Progress
from upstreams.errors import UpstreamError
from upstreams.extraction import Extraction, pooling
from upstreams.extraction.chunk_jobs import Job, Report, chunks, run
from upstreams.extraction.memory import keep_memory
from upstreams.extraction.models import Models
from upstreams.extraction.store import Kept, Location, Store
from upstreams.extraction.stored_features import Frames, Locations, Pooled
from upstreams.extraction.workers import Setup, in_parallel
from upstreams.identity import Identity
from upstreams.inputs import Input, of_table

if TYPE_CHECKING:
    import pandas as pd

    from upstreams.live import Live

IN_PROCESS_CHUNKS = 2  # for so few, starting workers costs more than it gains
ATTEMPTS = 2  # another process may remove a chunk after this one has listed it; more often, the disk is at fault


def extract(
    identity: Identity,
    utterances: pd.DataFrame,
    needs: Iterable[str],
    options: Extraction,
    progress: Progress | None = None,
    models: Models | None = None,
) -> Features:
    """What upstreams.extract returns, for the same arguments; it raises Unsteady for an upstream that has changed."""
    started = time.perf_counter()
    models = models or Models()
    kinds = _kinds(needs)
    pooling.refuse_absent(identity, kinds)
    device = devices.choose(options.device) if identity.movable else "cpu"
    work = _Work(identity, of_table(utterances, identity.modality), options, device, models)
    stores = [Store(options.cache, kept, models.verified, options.below) for kept in work.kept(kinds)]
    locations, reports = work.fill(stores, progress)
    live = work.live() if "live" in kinds else None
    return work.features(utterances, stores, locations, reports, live, time.perf_counter() - started)


def lacking(identity: Identity, utterances: pd.DataFrame, needs: Iterable[str], options: Extraction) -> float:
    """What upstreams.lacking returns, for the same arguments."""
    work = _Work(identity, of_table(utterances, identity.modality), options, "cpu", Models())
    stores = [Store(options.cache, kept, below=options.below) for kept in work.kept(_kinds(needs))]
    keys = [[store.kept.key(one) for one in work.inputs] for store in stores]
    for store in stores:
        store.refresh()
    there = [{key for key in own if store.holds(key)} for store, own in zip(stores, keys, strict=True)]
    return sum(job.amount for job in work.plan([store.kept for store in stores], keys, there))


def _kinds(needs: Iterable[str]) -> list[str]:
    wanted = set(needs)
    if unknown := sorted(wanted - set(NEEDS)):
        raise UpstreamError(f"there are no features {unknown[0]!r}; expected some of {', '.join(NEEDS)}")
    if not wanted:
        raise UpstreamError(f"no features are asked for; expected some of {', '.join(NEEDS)}")
    if "frames:all" in wanted:
        wanted.discard("frames:last")
    return [kind for kind in NEEDS if kind in wanted]


@dataclass(frozen=True)
class _Work:
    """One extraction: of which upstream, of which utterances, how and where."""

    identity: Identity
    inputs: list[Input]
    options: Extraction
    device: str
    models: Models

    def kept(self, kinds: list[str]) -> list[Kept]:
        """What the store keeps, one for each kind."""
        who = self.identity
        return [
            Kept(who.named.name, who.fingerprint, who.precision, kind, who.depth, who.width, pooling.rule(kind))
            for kind in kinds
            if kind != "live"
        ]

    def fill(self, stores: list[Store], progress: Progress | None) -> tuple[list[list[Location]], list[Report]]:
        """Make what the stores lack; returns where each utterance is in each store, and what was done."""
        keys = [[store.kept.key(one) for one in self.inputs] for store in stores]
        reports: list[Report] = []
        for attempt in range(ATTEMPTS + 1):
            there = [store.find(own) for store, own in zip(stores, keys, strict=True)]
            plan = self.plan([store.kept for store in stores], keys, there)
            if not plan:
                break
            if attempt == ATTEMPTS:
                raise UpstreamError(
                    f"features in {stores[0].folder} are gone or damaged after they were written; check the disk"
                )
            for store in stores:
                store.prepare()
            reports += self._run(plan, stores, progress)
        return [[known[key] for key in own] for known, own in zip(there, keys, strict=True)], reports

    def plan(self, kept: list[Kept], keys: list[list[str]], there: Sequence[Collection[str]]) -> list[Job]:
        """Jobs for what is missing, each with the kinds to keep. Sorted by length; equal contents are made once."""
        lacking: dict[tuple[int, ...], dict[str, int]] = {}
        for row in range(len(self.inputs)):
            kinds = tuple(kind for kind in range(len(kept)) if keys[kind][row] not in there[kind])
            if kinds:
                lacking.setdefault(kinds, {}).setdefault(keys[0][row], row)
        plan: list[Job] = []
        for kinds, rows in lacking.items():
            ordered = sorted(rows.values(), key=lambda row: -self.inputs[row].length)
            wanted = tuple(kept[kind] for kind in kinds)
            for chunk in chunks(ordered, self.inputs, self.options.chunk):
                plan.append(Job(tuple(self.inputs[row] for row in chunk), wanted))
        return plan

    def _run(self, todo: list[Job], stores: list[Store], progress: Progress | None) -> list[Report]:
        done, total = 0.0, sum(job.amount for job in todo)

        def advance(amount: float) -> None:
            nonlocal done
            done += amount
            if progress:
                progress(done, total)

        def pending() -> Iterator[Job]:
            """Jobs in an order that each process draws for itself, without what other processes have made since."""
            for job in random.SystemRandom().sample(todo, len(todo)):
                for store in stores:
                    store.refresh()
                holds = [store for store in stores if store.kept in job.kept]
                left = tuple(one for one in job.inputs if not all(store.holds(store.kept.key(one)) for store in holds))
                rest = replace(job, inputs=left)
                advance(job.amount - rest.amount)
                if left:
                    yield rest

        advance(0.0)
        reports = []
        for report in self._reports(pending(), len(todo)):
            reports.append(report)
            advance(report.amount)
        return reports

    def _reports(self, pending: Iterator[Job], count: int) -> Iterator[Report]:
        """Do the jobs in this process, or in worker processes where there are many jobs and no GPU."""
        jobs = self.options.jobs if self.options.jobs > 0 else devices.cores()
        cache, who = self.options.cache, self.identity
        if self.device == "cpu" and jobs > 1 and count > IN_PROCESS_CHUNKS:
            setup = Setup(who.named, who.fingerprint, who.precision, str(cache), who.modality)
            return in_parallel(pending, setup, min(jobs, count))
        upstream = self.models.of(who, self.device)
        if self.device == "cpu":
            keep_memory()
        threads = 0 if self.device == "cpu" else jobs
        return (run(job, upstream, cache, threads) for job in pending)

    def live(self) -> Live:
        """The network with these utterances. Raises UpstreamError: the upstream cannot be trained."""
        from upstreams.live import Live

        return Live(self.models.of(self.identity, self.device), self.inputs, self.options.cache)

    def features(
        self,
        utterances: pd.DataFrame,
        stores: list[Store],
        locations: list[list[Location]],
        reports: list[Report],
        live: Live | None,
        seconds: float,
    ) -> Features:
        """The features as the heads get them."""
        who, frames = self.identity, None
        pooled: dict[str, Pooled] = {}
        for store, own in zip(stores, locations, strict=True):
            if store.kept.kind.startswith("pooled"):
                pooled[store.kept.kind] = Pooled(Locations.of(own), who.depth, who.width)
            else:
                frames = Frames(Locations.of(own), store.kept.layers)
        phases = {phase: sum(getattr(report, phase) for report in reports) for phase in ("decode", "forward", "write")}
        return Features(
            ids=np.array(utterances.index, dtype=np.str_),
            upstream=who.named.name,
            fingerprint=who.fingerprint,
            precision=who.precision,
            device=self.device,
            depth=who.depth,
            width=who.width,
            pooled=pooled.pop("pooled", None),
            frames=frames,
            counts=_counts(locations, reports),
            seconds={**phases, "total": seconds},
            audio_seconds=float(utterances["duration"].sum()) if "duration" in utterances.columns else None,
            parameters=next((report.parameters for report in reports if report.parameters), None),
            live=live,
            pooled_over=pooled,
        )


def _counts(locations: list[list[Location]], reports: list[Report]) -> dict[str, int]:
    """How many utterances were computed, reused, padded and windowed; empty where only a live network is asked for."""
    if not locations:
        return {}
    made = sum(report.utterances for report in reports)
    rows = [chunk.rows[row] for chunk, row in locations[0]]
    return {
        "computed": made,
        "reused": len(rows) - made,
        "padded": sum(row.padded for row in rows),
        "windowed": sum(row.windowed for row in rows),
    }
