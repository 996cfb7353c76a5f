"""Folders that this room's tests share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks import definition


@pytest.fixture
def definitions(monkeypatch) -> Callable[[Path], None]:
    """A function that makes a folder the one in which definitions of tasks lie."""
    return lambda folder: monkeypatch.setattr(definition, "FOLDER", folder)


@pytest.fixture
def deny(monkeypatch) -> Callable[..., None]:
    """A function that makes folders unreadable, also for root."""
    scandir, denied = os.scandir, set()

    def refuse(place="."):
        if Path(place) in denied:
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refuse)
    return lambda *folders: denied.update(folders)
