"""Folders that this room's tests share."""

from pathlib import Path

import pytest

from tasks.corpora.demo import synthesis


@pytest.fixture(scope="session")
def demo_cache(tmp_path_factory) -> Path:
    """A cache that holds the embedded corpus; not to be changed."""
    cache = tmp_path_factory.mktemp("demo")
    synthesis.write(cache)
    return cache
