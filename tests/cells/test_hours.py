"""What a run will take is said before it begins."""

from __future__ import annotations

import re

import pytest

from cells import forecast
from cells.jobs import Extract
from cells.plan import planned
from cells.request import parse, understood
from cells.workplace import Workplace


def test_a_card_says_cells_and_hours(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders = ["--results", "r", "--cache", "c", "--device", "cpu", "--jobs", "1", "--limit", "96"]
    request = understood(parse(["-u", "fbank", "-t", "demo", "-d", "probe", "superb", *folders]), lambda line: None)
    place = Workplace()
    said = forecast.short(planned(request, place, lambda line: None), place)
    # Two heads and two reference rows.
    assert re.match(r"4 cells to measure, 0 done: about \d+\.\d min of one core", said), said
    assert not request.card and understood(parse(["-u", "fbank", "-t", "card:demo", *folders]), lambda line: None).card


def test_features_that_the_store_has_take_no_time(tmp_path) -> None:
    """Before an extraction all of the task's audio lacks, after it only what another limit adds."""
    place, folders = Workplace(), ["--results", str(tmp_path / "r"), "--cache", str(tmp_path / "c"), "--device", "cpu"]

    def extraction(limit: int) -> Extract:
        asked = ["-u", "fbank", "-t", "demo", "-d", "probe", "--limit", str(limit), *folders]
        plan = planned(understood(parse(asked), lambda line: None), place, lambda line: None)
        (job,) = (job for job in plan.jobs if isinstance(job, Extract))
        return job

    few, more = extraction(48), extraction(96)
    old, whole = (place.task(job.task, job.setting).utterances.duration for job in (few, more))
    assert place.lacking(few) == pytest.approx(old.sum())
    place.features(few.task, few.upstream, few.needs, few.setting)
    assert place.lacking(few) == 0
    new = whole.drop(old.index)
    assert len(new) and place.lacking(more) == pytest.approx(new.sum())


def test_a_card_of_an_upstream_of_texts_leaves_changed_audio_out(tmp_path) -> None:
    """That is said once and is no failure; asked for by name, changed audio is one."""
    folders = ["--results", str(tmp_path / "r"), "--cache", str(tmp_path / "c"), "--device", "cpu", "--limit", "96"]
    place = Workplace()
    for name, refused in (("card:demo", False), ("perturbed:demo,gain@-6", True)):
        said: list[str] = []
        asked = ["-u", "text_ngrams", "-t", name, "-d", "probe", *folders]
        plan = planned(understood(parse(asked), said.append), place, said.append)
        assert any("only the audio of test is changed" in one.failure for one in plan.failed) == refused
        assert said.count("text_ngrams reads text: its card leaves changed audio out") == (not refused)
