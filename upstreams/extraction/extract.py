"""Features of a table of utterances: what the store lacks is made, in jobs of one chunk each."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from commons import device as devices
from commons.corridors.features import NEEDS, Features
from commons.progress import Progress
from upstreams import process
from upstreams.audio import Segment, segments
from upstreams.errors import UpstreamError
from upstreams.features import Frames, Placement, Pooled
from upstreams.identity import Extraction, Identity
from upstreams.models import Models
from upstreams.store import Chunk, Kept, Store
from upstreams.work import Job, Report, run
from upstreams.workers import Setup, in_parallel

if TYPE_CHECKING:
    import pandas as pd

    from upstreams.live import Live

CHUNK_UTTERANCES = 64
CHUNK_SECONDS = 256.0  # of audio: what a kill can lose, and what bounds the memory of a job
IN_PROCESS_CHUNKS = 2  # up to so many, starting workers costs more than it gains
ATTEMPTS = 2  # another process may remove a chunk after this one has seen it; more than once is a fault of the disk

Place = tuple[Chunk, int]


def extract(
    identity: Identity,
    utterances: pd.DataFrame,
    needs: Iterable[str],
    options: Extraction,
    progress: Progress | None = None,
    models: Models | None = None,
) -> Features:
    """Features of every utterance, from the store or made now. No model is built where the store has all of them.

    Args:
        utterances: index id; columns path, sha256 (of the file), duration (s) and, where there are parts, start, end
            (s), channel (from 0; absent: the mean).
        needs: any of "pooled", "frames:last", "frames:all", made in one pass, and "live", which always builds it.
        progress: called with the seconds of audio done and to do, of what has to be made.
        models: of this process; a model that was built is kept there, and chunks that were verified are noted.

    Raises:
        EmorepError: a bad file, model, cache or request; there is no GPU.
        Unsteady: the upstream has another fingerprint than the identity.
    """
    started = time.perf_counter()
    models = models or Models()
    kinds = _kinds(needs)
    name, modality = identity.named.name, identity.modality
    if modality != "audio":
        raise UpstreamError(f"{name} reads {modality}; only audio can be extracted so far")
    device = devices.choose(options.device) if identity.movable else "cpu"
    work = _Work(identity, segments(utterances), options, device, models)
    stores = [Store(options.cache, kept, models.verified) for kept in work.kept(kinds)]
    places, reports = work.fill(stores, progress)
    live = work.live() if "live" in kinds else None
    return work.features(utterances, stores, places, reports, live, time.perf_counter() - started)


def _kinds(needs: Iterable[str]) -> list[str]:
    wanted = set(needs)
    if unknown := sorted(wanted - set(NEEDS)):
        raise UpstreamError(f"need {unknown[0]!r} is unknown; expected some of {', '.join(NEEDS)}")
    if not wanted:
        raise UpstreamError(f"nothing is asked of the features; expected some of {', '.join(NEEDS)}")
    if "frames:all" in wanted:
        wanted.discard("frames:last")
    return [kind for kind in NEEDS if kind in wanted]


@dataclass(frozen=True)
class _Work:
    """One extraction: whose features, of which parts of which files, how and where."""

    identity: Identity
    parts: list[Segment]
    options: Extraction
    device: str
    models: Models

    def kept(self, kinds: list[str]) -> list[Kept]:
        """What is kept in the store, one for each kind."""
        who = self.identity
        return [
            Kept(who.named.name, who.fingerprint, who.precision, kind, who.depth, who.width)
            for kind in kinds
            if kind != "live"
        ]

    def fill(self, stores: list[Store], progress: Progress | None) -> tuple[list[list[Place]], list[Report]]:
        """Make what the stores lack; returns where each utterance lies in each, and what was done."""
        keys = [[store.kept.key(part) for part in self.parts] for store in stores]
        reports: list[Report] = []
        for attempt in range(ATTEMPTS + 1):
            there = [store.find(own) for store, own in zip(stores, keys, strict=True)]
            plan = _plan(self.parts, [store.kept for store in stores], keys, there)
            if not plan:
                break
            if attempt == ATTEMPTS:
                raise UpstreamError(
                    f"features written to {stores[0].folder} keep vanishing or are damaged; check the disk"
                )
            for store in stores:
                store.prepare()
            reports += self._run(plan, stores, progress)
        return [[where[key] for key in own] for where, own in zip(there, keys, strict=True)], reports

    def _run(self, todo: list[Job], stores: list[Store], progress: Progress | None) -> list[Report]:
        done, total = 0.0, sum(job.seconds for job in todo)

        def advance(seconds: float) -> None:
            nonlocal done
            done += seconds
            if progress:
                progress(done, total)

        def pending() -> Iterator[Job]:
            """Jobs in an order of this process's own, less what other processes finished in the meantime."""
            for job in random.SystemRandom().sample(todo, len(todo)):
                for store in stores:
                    store.refresh()
                holds = [store for store in stores if store.kept in job.kept]
                left = tuple(s for s in job.segments if not all(store.holds(store.kept.key(s)) for store in holds))
                rest = replace(job, segments=left)
                advance(job.seconds - rest.seconds)
                if left:
                    yield rest

        advance(0.0)
        reports = []
        for report in self._reports(pending(), len(todo)):
            reports.append(report)
            advance(report.audio)
        return reports

    def _reports(self, pending: Iterator[Job], count: int) -> Iterator[Report]:
        """Do the jobs: here, or in worker processes where there are many and no GPU."""
        jobs = self.options.jobs if self.options.jobs > 0 else devices.cores()
        cache, who = self.options.cache, self.identity
        if self.device == "cpu" and jobs > 1 and count > IN_PROCESS_CHUNKS:
            return in_parallel(pending, Setup(who.named, who.fingerprint, who.precision, str(cache)), min(jobs, count))
        upstream = self.models.of(who, self.device)
        if self.device == "cpu":
            process.keep_memory()
        threads = 0 if self.device == "cpu" else jobs
        return (run(job, upstream, cache, threads) for job in pending)

    def live(self) -> Live:
        """The network with these utterances. Raises UpstreamError where it has none to train."""
        from upstreams.live import Live

        return Live(self.models.of(self.identity, self.device), self.parts)

    def features(
        self,
        utterances: pd.DataFrame,
        stores: list[Store],
        places: list[list[Place]],
        reports: list[Report],
        live: Live | None,
        seconds: float,
    ) -> Features:
        """What is handed on."""
        who, pooled, frames = self.identity, None, None
        for store, where in zip(stores, places, strict=True):
            placement = Placement.of(where)
            if store.kept.kind == "pooled":
                pooled = Pooled(placement, who.depth, who.width)
            else:
                frames = Frames(placement, store.kept.layers)
        phases = {phase: sum(getattr(report, phase) for report in reports) for phase in ("decode", "forward", "write")}
        return Features(
            ids=np.array(utterances.index, dtype=np.str_),
            upstream=who.named.name,
            fingerprint=who.fingerprint,
            precision=who.precision,
            device=self.device,
            depth=who.depth,
            width=who.width,
            pooled=pooled,
            frames=frames,
            counts=_counts(places, reports),
            seconds={**phases, "total": seconds},
            audio_seconds=float(utterances["duration"].sum()),
            parameters=next((report.parameters for report in reports if report.parameters), None),
            live=live,
        )


def _counts(places: list[list[Place]], reports: list[Report]) -> dict[str, int]:
    """Utterances computed, reused, padded and windowed; of nothing but a live network there is no count."""
    if not places:
        return {}
    made = sum(report.utterances for report in reports)
    rows = [chunk.rows[row] for chunk, row in places[0]]
    return {
        "computed": made,
        "reused": len(rows) - made,
        "padded": sum(row.padded for row in rows),
        "windowed": sum(row.windowed for row in rows),
    }


def _plan(parts: list[Segment], kept: list[Kept], keys: list[list[str]], there: list[dict[str, Place]]) -> list[Job]:
    """What to make, in chunks, each with the kinds to keep. Like lengths meet; identical contents are made once."""
    lacking: dict[tuple[int, ...], dict[str, int]] = {}
    for row in range(len(parts)):
        kinds = tuple(kind for kind in range(len(kept)) if keys[kind][row] not in there[kind])
        if kinds:
            lacking.setdefault(kinds, {}).setdefault(keys[0][row], row)
    plan: list[Job] = []
    for kinds, rows in lacking.items():
        ordered = sorted(rows.values(), key=lambda row: -parts[row].seconds)
        wanted = tuple(kept[kind] for kind in kinds)
        plan += [Job(tuple(parts[row] for row in chunk), wanted) for chunk in _chunks(ordered, parts)]
    return plan


def _chunks(rows: list[int], parts: list[Segment]) -> Iterator[list[int]]:
    chunk: list[int] = []
    seconds = 0.0
    for row in rows:
        if chunk and (len(chunk) >= CHUNK_UTTERANCES or seconds + parts[row].seconds > CHUNK_SECONDS):
            yield chunk
            chunk, seconds = [], 0.0
        chunk.append(row)
        seconds += parts[row].seconds
    if chunk:
        yield chunk
