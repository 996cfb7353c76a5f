"""A head on frozen frames keeps what its folds gave until its cell is done."""

from __future__ import annotations

from pathlib import Path

import pytest

import run_benchmark
from commons.errors import EmorepError
from downstreams import frame_training


def test_folds_are_kept_until_their_cell_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends in its second fold; the next one trains the others alone, and nothing is left."""
    (tmp_path / "quick.yaml").write_text("{epochs: 1, rates: [0.01], hidden: 4, attention: 4}")
    wanted = ["-u", "fbank", "-t", "demo", "-d", f"attentive@{tmp_path / 'quick.yaml'}", "--limit", "48"]
    wanted += [
        "--seeds",
        "1",
        "--jobs",
        "1",
        "--results",
        f"{tmp_path / 'results'}",
        "--cache",
        f"{tmp_path / 'cache'}",
    ]
    of_fold, trained, most = frame_training.of_fold, list[str](), 1

    def counted(frames, seed, fold, **more):
        if len(trained) == most:
            raise EmorepError("it is killed")
        trained.append(fold.name)
        return of_fold(frames, seed, fold, **more)

    monkeypatch.setattr(frame_training, "of_fold", counted)
    assert run_benchmark.main(wanted) == 1
    kept = tmp_path / "results" / "limited" / "trainings"
    assert len(list(kept.rglob("result.pt"))) == len(trained) == 1
    most = 10
    assert run_benchmark.main(wanted) == 0
    assert len(trained) == len(set(trained)) > 2, "each fold once"
    assert not [path for path in kept.rglob("*") if path.is_dir() or path.suffix == ".pt"]
