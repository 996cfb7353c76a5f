"""Time `probe` on IEMOCAP-sized features, and against scikit-learn doing the same work.

    python studies/probe_speed.py [--whole] [--repeats 5] [--threads 2]

The same unit of work is done by both, side by side and in alternating order: one fold and one layer, that is, every
strength without each of the eight inner groups (56 fits) and the refit. `--whole` runs the probe on all of it,
5 folds x 13 layers. Features are made up: 5531 utterances, 10 speakers, correlated columns, four classes.
"""

import argparse
import statistics
import time
import warnings

import numpy as np
import torch
from made_up_features import features
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import downstreams
from commons.corridors.features import Features
from commons.corridors.problem import Fold, Problem
from downstreams.probe import INNER_TOLERANCE

PROBE = downstreams.resolve("probe")
UTTERANCES, LAYERS, WIDTH, CLASSES, SPEAKERS = 5531, 13, 768, 4, 10


def made_up(layers: int, folds: int) -> tuple[Features, Problem]:
    """Pooled features (N, 1, layers, D) and a leave-one-session-out problem of which `folds` are kept."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((WIDTH, WIDTH)) * np.exp(-np.arange(WIDTH) / 120) + 0.05 * np.eye(WIDTH)
    targets, speaker = rng.integers(0, CLASSES, UTTERANCES), rng.integers(0, SPEAKERS, UTTERANCES)
    classes, voices = 0.05 * rng.standard_normal((CLASSES, WIDTH)), 0.5 * rng.standard_normal((SPEAKERS, WIDTH))
    pooled = np.empty((UTTERANCES, 1, layers, WIDTH), np.float32)
    for layer in range(layers):
        pooled[:, 0, layer] = (rng.standard_normal((UTTERANCES, WIDTH)) + classes[targets] + voices[speaker]) @ mixing.T
    parts = [
        Fold(
            name=f"session {session + 1}",
            train=np.flatnonzero(speaker // 2 != session),
            dev=np.array([], dtype=int),
            test=np.flatnonzero(speaker // 2 == session),
            inner=tuple(np.flatnonzero(speaker == s) for s in range(SPEAKERS) if s // 2 != session),
        )
        for session in range(folds)
    ]
    ids, names = np.arange(UTTERANCES).astype(str), speaker.astype(str)
    return features(ids, pooled), Problem(
        ids=ids,
        kind="classification",
        classes=tuple("abcd"),
        targets=targets,
        folds=tuple(parts),
        groups=names,
        speaker=names,
        select_on="WA",
    )


def ours(features: Features, problem: Problem) -> np.ndarray:
    """Predicted classes of the test utterances."""
    return downstreams.evaluate(PROBE, features, problem, [0]).by_layer[0]


def scikit_learn(features: Features, problem: Problem) -> np.ndarray:
    """One fold and one layer as a plain program does it, each fit stopped where scikit-learn stops by default."""
    rows, fold = features.pooled[:, 0, 0], problem.folds[0]
    best, chosen = -1.0, None
    for strength in PROBE.settings["strengths"]:
        right = 0
        for group in fold.inner:
            rest = np.setdiff1d(fold.train, group)
            scaler = StandardScaler().fit(rows[rest])
            model = LogisticRegression(C=strength / WIDTH, class_weight="balanced", max_iter=1000)
            model.fit(scaler.transform(rows[rest]), problem.targets[rest])
            right += (model.predict(scaler.transform(rows[group])) == problem.targets[group]).sum()
        if right > best:
            best, chosen = right, strength
    scaler = StandardScaler().fit(rows[fold.train])
    model = LogisticRegression(C=chosen / WIDTH, class_weight="balanced", max_iter=1000)
    return model.fit(scaler.transform(rows[fold.train]), problem.targets[fold.train]).predict(
        scaler.transform(rows[fold.test])
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--whole", action="store_true", help="also run the probe on all 5 folds and 13 layers")
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--threads", type=int, default=2)
    options = options.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")  # scikit-learn says where it stopped early

    unit = made_up(layers=1, folds=1)
    seconds: dict[str, list[float]] = {"ours": [], "scikit-learn": []}
    with threadpool_limits(options.threads):
        answers = {"ours": ours(*unit), "scikit-learn": None}  # warm
        for repeat in range(options.repeats):
            for name, program in sorted({"ours": ours, "scikit-learn": scikit_learn}.items(), reverse=repeat % 2 == 1):
                started = time.perf_counter()
                answers[name] = program(*unit)
                seconds[name].append(time.perf_counter() - started)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    agree = (answers["ours"] == answers["scikit-learn"]).mean()
    print(f"one fold, one layer, {len(PROBE.settings['strengths'])} strengths x 8 inner groups + refit, "
          f"{options.threads} threads, median of {options.repeats}:")  # fmt: skip
    print(f"  ours {median['ours']:.2f} s, scikit-learn {median['scikit-learn']:.2f} s: "
          f"{median['scikit-learn'] / median['ours']:.1f} times; predictions agree on {100 * agree:.1f} % of test "
          f"(inner tolerance {INNER_TOLERANCE:g})")  # fmt: skip
    if options.whole:
        whole = made_up(LAYERS, 5)
        started = time.perf_counter()
        ours(*whole)
        print(f"all of it, 5 folds x 13 layers: {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
