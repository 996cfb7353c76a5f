"""Features of a table of utterances: what the store lacks is made, in jobs of one chunk each."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from upstreams import memory
from upstreams.audio import Segment, segments
from upstreams.contract import Frozen
from upstreams.errors import Unsteady, UpstreamError
from upstreams.features import Features, Frames, Placement, Pooled
from upstreams.registry import build
from upstreams.store import Chunk, Kept, Store
from upstreams.work import Job, Report, run
from upstreams.workers import Setup, in_parallel

if TYPE_CHECKING:
    import pandas as pd

NEEDS = ("pooled", "frames:last", "frames:all")
CHUNK_UTTERANCES = 64
CHUNK_SECONDS = 256.0  # of audio: what a kill can lose, and what bounds the memory of a job
IN_PROCESS_CHUNKS = 2  # up to so many, starting workers costs more than it gains
ATTEMPTS = 2  # another process may remove what one found; more than once is a fault of the disk

Progress = Callable[[float, float], None]
Place = tuple[Chunk, int]


def extract(
    name: str,
    utterances: pd.DataFrame,
    needs: Iterable[str],
    cache: Path,
    device: str = "auto",
    precision: str = "fp32",
    jobs: int = 0,
    progress: Progress | None = None,
    fingerprint: str | None = None,
) -> Features:
    """Frozen features of every utterance, from the store or made now.

    utterances: index id; columns path, sha256 (of the file), duration (s) and, where there are parts, start, end (s),
    channel (from 0; absent: the mean). needs: any of "pooled", "frames:last", "frames:all", made in one pass.
    jobs: worker processes on a CPU, decoding threads with a GPU; 0: one a core. progress is called with the seconds
    of audio done and to do, of what has to be made. fingerprint: the one planned with; the upstream must still have
    it. Raises UpstreamError: a bad file, model, cache or request.
    """
    started = time.perf_counter()
    kinds = _kinds(needs)
    if device not in ("auto", "cpu") and not device.startswith("cuda"):
        raise UpstreamError(f"device {device!r} is unknown; expected auto, cpu or cuda")
    parts = segments(utterances)
    upstream = build(name, precision=precision)
    planned, fingerprint = fingerprint, upstream.fingerprint()
    if planned not in (None, fingerprint):
        raise Unsteady(upstream.name)
    place = _device(device) if upstream.movable else "cpu"
    kept = [
        Kept(upstream.name, fingerprint, upstream.precision, kind, upstream.depth, upstream.width) for kind in kinds
    ]
    stores = [Store(Path(cache), one) for one in kept]
    keys = [[one.key(part) for part in parts] for one in kept]
    reports: list[Report] = []
    for attempt in range(ATTEMPTS + 1):
        found = [store.find(one) for store, one in zip(stores, keys, strict=True)]
        plan = _plan(parts, kept, keys, found)
        if not plan:
            break
        if attempt == ATTEMPTS:
            raise UpstreamError(f"features written to {stores[0].folder} keep vanishing or are damaged; check the disk")
        for store in stores:
            store.prepare()
        setup = Setup(upstream.name, fingerprint, upstream.precision, str(cache))
        reports += _run(plan, stores, upstream, setup, place, jobs, progress)
    places = [[where[key] for key in one] for where, one in zip(found, keys, strict=True)]
    return _features(utterances, upstream, fingerprint, place, stores, places, reports, started)


def _kinds(needs: Iterable[str]) -> list[str]:
    wanted = set(needs)
    if unknown := sorted(wanted - set(NEEDS)):
        raise UpstreamError(f"need {unknown[0]!r} is unknown; expected some of {', '.join(NEEDS)}")
    if not wanted:
        raise UpstreamError(f"nothing is asked of the features; expected some of {', '.join(NEEDS)}")
    if "frames:all" in wanted:
        wanted.discard("frames:last")
    return [kind for kind in NEEDS if kind in wanted]


def _plan(parts: list[Segment], kept: list[Kept], keys: list[list[str]], found: list[dict[str, Place]]) -> list[Job]:
    """What to make, in chunks, each with the kinds to keep. Like lengths meet; identical contents are made once."""
    lacking: dict[tuple[int, ...], dict[str, int]] = {}
    for row in range(len(parts)):
        kinds = tuple(kind for kind in range(len(kept)) if keys[kind][row] not in found[kind])
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


def _run(
    todo: list[Job],
    stores: list[Store],
    upstream: Frozen,
    setup: Setup,
    place: str,
    jobs: int,
    progress: Progress | None,
) -> list[Report]:
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
    for report in _reports(pending(), len(todo), upstream, setup, place, jobs):
        reports.append(report)
        advance(report.audio)
    return reports


def _reports(
    pending: Iterator[Job], count: int, upstream: Frozen, setup: Setup, place: str, jobs: int
) -> Iterator[Report]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    jobs = jobs if jobs > 0 else cores
    cache = Path(setup.cache)
    if place != "cpu":
        upstream.to(place)
        return (run(job, upstream, cache, threads=jobs) for job in pending)
    if jobs == 1 or count <= IN_PROCESS_CHUNKS:
        memory.keep()
        return (run(job, upstream, cache) for job in pending)
    return in_parallel(pending, setup, min(jobs, count))


def _device(device: str) -> str:
    if device == "cpu":
        return device
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not torch.cuda.is_available():
        raise UpstreamError("device cuda was asked for, but torch sees no GPU; use --device cpu")
    return device


def _features(
    utterances: pd.DataFrame,
    upstream: Frozen,
    fingerprint: str,
    device: str,
    stores: list[Store],
    places: list[list[Place]],
    reports: list[Report],
    started: float,
) -> Features:
    pooled, frames = None, None
    for store, where in zip(stores, places, strict=True):
        placement = Placement.of(where)
        if store.kept.kind == "pooled":
            pooled = Pooled(placement, upstream.depth, upstream.width)
        else:
            frames = Frames(placement, store.kept.layers)
    made = sum(report.utterances for report in reports)
    rows = [chunk.rows[row] for chunk, row in places[0]]
    counts = {
        "computed": made,
        "reused": len(rows) - made,
        "padded": sum(row.padded for row in rows),
        "windowed": sum(row.windowed for row in rows),
    }
    seconds = {phase: sum(getattr(report, phase) for report in reports) for phase in ("decode", "forward", "write")}
    return Features(
        ids=np.array(utterances.index, dtype=np.str_),
        upstream=upstream.name,
        fingerprint=fingerprint,
        precision=upstream.precision,
        device=device,
        depth=upstream.depth,
        width=upstream.width,
        pooled=pooled,
        frames=frames,
        counts=counts,
        seconds={**seconds, "total": time.perf_counter() - started},
        audio_seconds=float(utterances["duration"].sum()),
        parameters=next((report.parameters for report in reports if report.parameters), None),
    )
