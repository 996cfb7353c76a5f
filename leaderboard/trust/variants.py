"""A system's probabilities as the head gave them, and after corrections that its held-out predictions allow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from leaderboard.trust import calibration
from leaderboard.trust.calibration import Answers
from leaderboard.trust.systems import System

GIVEN, PRIOR, BOTH, TEMPERATURE = "as given", "prior", "prior and temperature", "temperature"


@dataclass(frozen=True)
class Variant:
    """One state of a system's probabilities; `temperatures` of its fits, empty where none was fitted."""

    name: str
    answers: Answers
    temperatures: list[float]


def variants(results: Path, system: System) -> list[Variant]:
    """As given; where predictions were held out, with the prior put back (of heads that weigh classes alike), and with
    a temperature too. Empty where the predictions hold no probabilities.

    Raises:
        LeaderboardError: a file cannot be read, or lacks a fold.
    """
    test = calibration.answers(system.table, system.record.task)
    if test is None:
        return []
    made = [Variant(GIVEN, test, [])]
    known = calibration.held_out(results, system)
    if known is None:
        return made
    prior = calibration.balanced(system.record)
    if prior:
        made.append(Variant(PRIOR, calibration.corrected(test, known, True, False)[0], []))
    answers, temperatures = calibration.corrected(test, known, prior, True)
    return [*made, Variant(BOTH if prior else TEMPERATURE, answers, temperatures)]
