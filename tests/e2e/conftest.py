"""What the tests of this folder share."""

import pytest


@pytest.fixture(autouse=True)
def made_before(with_demo, tmp_path) -> None:
    """The embedded corpus lies in the folder `cache` of every test: it need not be made anew."""
    with_demo(tmp_path / "cache")
