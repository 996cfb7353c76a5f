"""A card says in one line how many cells it measures and how long they take, before it does."""

from __future__ import annotations

import re

import pytest

from cells import forecast
from cells.plan import planned
from cells.request import parse, understood
from cells.workplace import Workplace


def test_a_card_says_cells_and_hours(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders = ["--results", "r", "--cache", "c", "--device", "cpu", "--jobs", "1", "--limit", "96"]
    request = understood(parse(["-u", "fbank", "-t", "demo", "-d", "probe", "superb", *folders]), lambda line: None)
    said = forecast.short(planned(request, Workplace(), lambda line: None))
    # Two heads and two reference rows.
    assert re.match(r"4 cells to measure, 0 done: about \d+\.\d min of one core", said), said
    assert not request.card and understood(parse(["-u", "fbank", "-t", "card:demo", *folders]), lambda line: None).card
