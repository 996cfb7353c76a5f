"""How long a plan takes is said before it runs: from a few utterances, and nothing for what is stored."""

from __future__ import annotations

import re

import pytest

from cells import hours
from cells.plan import planned
from cells.request import parse, understood
from cells.workplace import Workplace


def test_hours_count_what_is_not_stored_and_name_what_they_leave_out(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders = ["--results", "r", "--cache", "c", "--device", "cpu", "--jobs", "1", "--limit", "96"]
    request = understood(parse(["-u", "fbank", "-t", "demo", "-d", "probe", "superb", *folders]), lambda line: None)
    place = Workplace()
    plan = planned(request, place, lambda line: None)
    said = hours.line(plan, place)
    assert re.match(r"\d cells to measure, 0 done; under 1 min on one core", said), said
    assert said.endswith("cells of other heads, not counted: 1")
    assert not request.card and understood(parse(["-u", "fbank", "-t", "card:demo", *folders]), lambda line: None).card
