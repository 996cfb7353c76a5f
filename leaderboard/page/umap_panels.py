"""Reads `RESULTS/umap/*.json`, the points of UMAP pictures, for the page to draw."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, FiniteFloat, JsonValue, ValidationError, model_validator

from commons.corridors.record import Task
from leaderboard.page.content import rounded
from leaderboard.records.comparable import called_class
from leaderboard.umap import LABELS

FOLDER = "umap"

Label = str | None


class Panel(BaseModel):
    """One upstream: (N, 2) points, and how pure neighbourhoods are in the space they came from."""

    upstream: str
    label: str | None = None
    layer: int | None = None
    depth: int | None = None
    space: str = ""
    xy: list[tuple[FiniteFloat, FiniteFloat]]
    metrics: dict[str, dict[str, float | None]] = {}


class Points(BaseModel):
    """What is known of the N utterances; a column that a corpus lacks is empty or absent."""

    utterance: list[str]
    emotion: list[Label] | None = None
    speaker: list[Label] | None = None
    gender: list[Label] | None = None


class Embedding(BaseModel):
    """A task's pictures: the same utterances in every panel."""

    version: Literal[1] = Field(alias="schema")
    task: str
    audit: str | None = None
    panels: list[Panel]
    points: Points
    settings: dict[str, JsonValue] = {}

    @model_validator(mode="after")
    def _lengths(self) -> Embedding:
        n = len(self.points.utterance)
        for panel in self.panels:
            if len(panel.xy) != n:
                raise ValueError(f"panel {panel.upstream!r} has {len(panel.xy)} points for {n} utterances")
        for name in ("emotion", "speaker", "gender"):
            column = getattr(self.points, name)
            if column and len(column) != n:
                raise ValueError(f"{name} has {len(column)} values for {n} utterances")
        return self


def load(results: Path, tasks: Iterable[Task]) -> tuple[list[dict[str, object]], list[str]]:
    """The embeddings of some tasks, and a line for every file that is of no use.

    `looks` gives the colour and marker of every label, as pictures have them; `class` is what a task about something
    else than emotion calls its `emotion`.
    """
    from leaderboard.umap.looks import looks

    audits: dict[str, set[str]] = {}
    asked: dict[str, str] = {}
    for task in tasks:
        audits.setdefault(task.name, set()).add(task.audit)
        asked[task.name] = called_class(task)
    pictures: list[dict[str, object]] = []
    problems = []
    for path in sorted((results / FOLDER).glob("*.json")):
        try:
            one = Embedding.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"])) or "file"
            problems.append(
                f"{path}: damaged picture, {key}: {first['msg']}; `python -m leaderboard umap` makes it again"
            )
            continue
        except OSError as error:
            problems.append(f"{path}: cannot be read ({error.strerror})")
            continue
        if one.task in audits and one.audit not in (None, *audits[one.task]):
            problems.append(f"{path}: of another version of {one.task}; `python -m leaderboard umap` makes it again")
        elif one.task in audits and one.points.utterance and one.panels:
            space = one.panels[0].space
            more = {
                "title": " · ".join(filter(None, (one.task, space))),
                "asked": asked[one.task],
                "looks": {
                    name: [[label, *look] for label, look in looks(column).items()]
                    for name in LABELS
                    if (column := getattr(one.points, name))
                },
            }
            pictures.append({key: rounded(value) for key, value in one.model_dump(mode="json").items()} | more)
    return pictures, problems
