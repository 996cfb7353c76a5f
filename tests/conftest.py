"""What every room's tests share: where real speech and reference data lie, when they are there."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.corpora.demo import synthesis

os.environ.setdefault("NUMBA_OPT", "0")  # UMAP is compiled in every process: what it compiles to need not be fast
BESIDE = Path(__file__).resolve().parents[2] / "shared"


def _folder(*places: str | Path | None) -> Path:
    """The first place that exists; without one the test skips, or fails where CI promised the data."""
    for place in places:
        if place and Path(place).is_dir():
            return Path(place).resolve()
    reason = f"needs data that this machine lacks: {places[-1]} (set EMOREP_DATA for speech corpora)"
    if os.environ.get("EMOREP_REQUIRE_DATA"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real, labelled corpora: $EMOREP_DATA, else ../shared/speech/corpora."""
    return _folder(os.environ.get("EMOREP_DATA"), BESIDE / "speech" / "corpora")


@pytest.fixture(scope="session")
def demo_cache(tmp_path_factory) -> Path:
    """A cache that holds the embedded corpus, which takes a while to make; not to be changed."""
    cache = tmp_path_factory.mktemp("demo")
    synthesis.write(cache)
    return cache


@pytest.fixture(scope="session")
def with_demo(demo_cache) -> Callable[[Path], Path]:
    """A function that puts the embedded corpus into a cache, and gives the cache."""
    corpus = synthesis.write(demo_cache)

    def put(cache: Path) -> Path:
        cache.mkdir(parents=True, exist_ok=True)
        (cache / corpus.name).symlink_to(corpus)
        return cache

    return put


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of the real all-MiniLM-L6-v2, where $EMOREP_WEIGHTS has it."""
    folder = Path(os.environ.get("EMOREP_WEIGHTS", "")) / "sentence-transformers" / "all-MiniLM-L6-v2"
    if not (folder / "model.safetensors").is_file():
        pytest.skip("needs the weights of all-MiniLM-L6-v2 in $EMOREP_WEIGHTS/sentence-transformers/all-MiniLM-L6-v2")
    return folder


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of reference data (EmoBox's folds, golden outputs, MELD's labels): ../shared/reference."""
    return _folder(BESIDE / "reference")
