"""Made-up cells: corpora, predictions and the sections of a record, for the tests of this room."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import leaderboard
from commons.corridors.measured import Measured
from commons.corridors.predictions import Predictions
from commons.corridors.record import Cell, Downstream, Record, Run, Task, Upstream
from leaderboard.records import earlier

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ("anger", "happiness", "neutral", "sadness")


def utterances(n: int = 120, speakers: int = 6, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "path": [f"/home/somebody/corpus/{i}.wav" for i in range(n)],
            "speaker": [f"s{i % speakers}" for i in range(n)],
            "gender": ["female" if i % 2 else "male" for i in range(n)],
            "emotion": random.choice(CLASSES, n),
            "valence": random.normal(size=n),
        },
        index=pd.Index([f"u{i}" for i in range(n)], name="id"),
    )


def predict(
    table: pd.DataFrame, *, right: float = 0.6, seeds: int = 2, depth: int | None = 3, kind: str = "classification",
    seed: int = 1, classes: tuple[str, ...] = CLASSES,
) -> Predictions:  # fmt: skip
    """Predictions of which a share is right; a fold is a speaker."""
    random = np.random.default_rng(seed)
    target = table["emotion" if kind == "classification" else "valence"].to_numpy()
    names = np.array(classes, dtype=object)

    def one() -> np.ndarray:
        if kind == "classification":
            return np.where(random.random(len(table)) < right, target, random.choice(names, len(table)))
        return right * target.astype(float) + random.normal(size=len(table))

    frames = []
    for s in range(seeds):
        frame = pd.DataFrame({"id": table.index, "fold": table["speaker"].to_numpy(), "seed": s, "target": target})
        frame["prediction"] = one()
        if kind == "classification":
            scores = random.dirichlet(np.ones(len(names)), len(table)).astype(np.float32)
            frame = frame.assign(**{f"score:{name}": scores[:, i] for i, name in enumerate(names)})
        frames.append(frame)
    folds = sorted(set(table["speaker"]))
    layers = [one() for _ in range(depth or 0)]
    if kind == "classification":
        layers = [pd.Index(names).get_indexer(pd.Index(layer)).astype(np.int16) for layer in layers]
    else:
        layers = [layer.astype(np.float32) for layer in layers]
    return Predictions(
        table=pd.concat(frames, ignore_index=True),
        by_layer=np.stack(layers) if depth else None,
        dev_by_layer=random.random((len(folds), depth)) * 100 if depth else None,
        choices=[
            {"fold": fold, "seed": s, "layer": np.int64(1), "strength": 0.1, "dev": np.float64(60), "edge": False}
            for fold in folds
            for s in range(seeds)
        ],
        layer=1 if depth else None,
    )


def sections(
    table: pd.DataFrame, name: str = "emodb", upstream: str = "fbank", head: str = "probe", **task: object
) -> dict[str, dict[str, object]]:
    """Keys of a record's sections cell, task, upstream, downstream and run; `task` overrides keys of the task."""
    regression = task.get("kind") == "regression"
    the_task = {
        "name": name, "title": "EmoDB, one speaker out", "version": 1, "corpus": "emodb", "family": "emodb",
        "language": "de", "licence": "CC0", "kind": "classification", "classes": [] if regression else list(CLASSES),
        "metrics": ["CCC", "MAE"] if regression else ["UA", "WA", "WF1"], "headline": "CCC" if regression else "UA",
        "pooled_only": False, "group_by": "speaker", "audit": "a" * 64, "folds": sorted(set(table["speaker"])),
        "published": [], "counts": {"utterances": len(table)}, "notes": [], "marks": [],
    } | task  # fmt: skip
    return {
        "cell": {"upstream": upstream, "task": name, "downstream": head, "key": "k", "precision": "fp32",
                 "seeds": [0, 1], "limit": None},
        "task": the_task,
        "upstream": {"name": upstream, "title": upstream, "fingerprint": "f" * 64, "depth": 3, "width": 80, "seen": {},
                     "counts": {"computed": len(table)}, "audio_seconds": 100.5},
        "downstream": {"name": head, "settings": {"strengths": [0.1, 1.0]}, "deterministic": True},
        "run": {"seconds": {"extract": 1.5, "evaluate": 0.5}, "peak_memory_mb": 300.0, "device": "cpu",
                "versions": {"torch": "2.6"}, "git_commit": None, "emorep": "0.1.0", "marks": []},
    }  # fmt: skip


def measured(
    made: dict[str, dict[str, object]],
    predictions: Predictions,
    table: pd.DataFrame,
    pooled: np.ndarray | None = None,
) -> Measured:
    """A cell of such sections. What tasks and upstreams say of derivation and lineage is taken from names, unless a
    task says it."""
    task = Task.model_validate(made["task"])
    return Measured(
        cell=Cell.model_validate(made["cell"]),
        task=earlier.derivation(task) if task.aspect is None else task,
        upstream=earlier.lineage(Upstream.model_validate(made["upstream"])),
        downstream=Downstream.model_validate(made["downstream"]),
        run=Run.model_validate(made["run"]),
        predictions=predictions,
        utterances=table,
        groups=table["speaker"].to_numpy(),
        pooled=pooled,
    )


def change(kind: str, level: float | None, base: str = "emodb") -> dict[str, object]:
    """What a task of changed audio says of itself, for `make`."""
    name = kind if level is None else f"{kind}@{level:g}"
    return {
        "name": f"perturbed:{base},{name}", "derived": "perturbed", "base": base, "aspect": f"perturbed {name}",
        "perturbation": {"kind": kind, "level": level, "unit": "dB SNR" if level is not None else None},
    }  # fmt: skip


def make(results: Path, *, right: float = 0.6, seed: int = 1, depth: int | None = 3, seeds: int = 2,
         table: pd.DataFrame | None = None, pooled: bool | np.ndarray = True, outputs: np.ndarray | None = None,
         head_marks: tuple[str, ...] = (), label: str | None = None, weights_licence: str | None = None,
         upstream_cite: list[str] | None = None, head_cite: list[str] | None = None,
         seen: dict[str, str] | str | None = None, given: str | None = None, **names: object) -> Record:  # fmt: skip
    """Record one made-up cell; `given`: what the upstream was given, as text (gold)."""
    table = utterances() if table is None else table
    made = sections(table, **names)
    predictions = predict(
        table, right=right, seed=seed, depth=depth, seeds=seeds, kind=made["task"]["kind"],
        classes=tuple(made["task"]["classes"]),
    )  # fmt: skip
    predictions = replace(predictions, marks=head_marks, outputs=outputs)
    if made["task"].get("perturbation"):  # the clean predictions are the same whatever the change
        clean = predict(table, right=0.7, seed=99, depth=None, seeds=seeds, classes=tuple(made["task"]["classes"]))
        own = predictions.table.assign(clean=clean.table["prediction"])
        predictions, made["cell"] = replace(predictions, table=own), made["cell"] | {"training": "t"}
    made["upstream"] |= {
        "depth": depth,
        "label": label,
        "licence": weights_licence,
        "cite": upstream_cite,
        "seen": {} if seen is None else seen,
        "input": given,
        "modality": "text" if given else "audio",
    }
    made["downstream"]["cite"] = head_cite
    features = pooled if isinstance(pooled, np.ndarray) else None
    if pooled is True:
        features = np.random.default_rng(2).normal(size=(len(table), 5)).astype(np.float16)
    return leaderboard.record(results, measured(made, predictions, table, features))
