from collections.abc import Callable
from functools import partial
from pathlib import Path

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
