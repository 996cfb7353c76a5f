import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from commons.corridors.record import Record
from tests.leaderboard import cells


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def make(results: Path) -> Callable[..., Record]:
    """Record a made-up cell in `results`."""
    return partial(cells.make, results)


@pytest.fixture
def flat(monkeypatch):
    """A `umap` that takes the first two features, in place of UMAP, which takes its time to compile."""

    class First:
        def __init__(self, **settings):
            pass

        def fit_transform(self, space):
            return space[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=First))
