"""What a run leaves on disk, every file written aside and renamed, so that it can be stopped at any moment.

RUN/recipe.json                what decides the run: the recipe and a hash of its audio
RUN/skipped.json               files that are not heard, and why
RUN/log.jsonl                  a line every `log_every` steps
RUN/state.pt                   the last training state, from which the run goes on
RUN/step-00001000.safetensors  the student at that step: an upstream, `emotion2vec@RUN/step-00001000.safetensors`
RUN/step-00001000.teacher.safetensors  the teacher at that step, an upstream by its name alone: `RUN/*` leaves it out
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from upstreams.emotion2vec import checkpoint
from upstreams.emotion2vec.model import Emotion2vec
from upstreams.emotion2vec.pack import Pack
from upstreams.emotion2vec.recipe import FREE, RECORD, Recipe
from upstreams.errors import UpstreamError
from upstreams.store import TEMPORARY, write_bytes

SKIPPED, LOG, STATE = "skipped.json", "log.jsonl", "state.pt"
VERSION = 1
GOES_ON = "with the same command the run goes on from its last whole state"


@dataclass(frozen=True)
class Position:
    """Steps done, and the next one's place: step `index` of epoch `epoch`."""

    step: int = 0
    epoch: int = 0
    index: int = 0


@dataclass(frozen=True)
class RunFolder:
    """A run's files. Only the first process writes."""

    path: Path
    writes: bool = True

    def claim(self, recipe: Recipe, pack: Pack) -> None:
        """Note what the run is. Raises UpstreamError where the folder holds another run, naming what differs."""
        asked = {"version": VERSION, "audio": pack.key, "recipe": recipe.model_dump(mode="json")}
        try:
            found = json.loads((self.path / RECORD).read_text())
        except FileNotFoundError:
            found = None
        except ValueError as error:
            raise UpstreamError(f"{self.path / RECORD} is damaged ({error}); name another folder with --run") from error
        if found is not None and (differs := sorted(set(_differences(found, asked)) - FREE)):
            raise UpstreamError(
                f"{self.path} holds another run ({', '.join(differs)} differ); name another folder with --run, or ask "
                "for the same recipe and audio to go on"
            )
        if self.writes:
            with self._told():
                self.path.mkdir(parents=True, exist_ok=True)
                write_bytes(self.path / RECORD, json.dumps(asked, indent=1).encode())
                write_bytes(self.path / SKIPPED, json.dumps(pack.skipped, indent=1, ensure_ascii=False).encode())

    def resume(self, parts: dict[str, Any]) -> Position:
        """Bring modules and optimiser to the last state; the beginning where there is none."""
        path = self.path / STATE
        if not path.exists():
            return Position()
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            for name, part in parts.items():
                part.load_state_dict(state[name])
            position = Position(**state["position"])
        except Exception as error:  # torch names no common class for what a damaged file raises
            raise UpstreamError(
                f"{path} cannot be read as a training state ({type(error).__name__}: {error}); without it the run "
                "begins anew"
            ) from error
        if self.writes:
            self._cut_log(position.step)
        return position

    def save(self, position: Position, parts: dict[str, Any]) -> None:
        """Replace the training state. Raises UpstreamError for a full disk; the state before then still stands."""
        if not self.writes:
            return
        state = {"position": asdict(position), **{name: part.state_dict() for name, part in parts.items()}}
        with self._told():
            _replace(self.path / STATE, lambda aside: torch.save(state, aside))

    def saved(self) -> int:
        """The step of the last state; 0 where there is none."""
        path = self.path / STATE
        return torch.load(path, weights_only=True, mmap=True)["position"]["step"] if path.exists() else 0

    def publish(self, step: int, student: Emotion2vec, teacher: Emotion2vec, facts: dict[str, Any]) -> None:
        """Write both as upstreams. The student comes last: where it is, both are."""
        if self.writes:
            try:
                for part, model, suffix in (("teacher", teacher, ".teacher"), ("student", student, "")):
                    path = self.path / f"step-{step:08d}{suffix}.safetensors"
                    checkpoint.write(path, model.config, model.state_dict(), {"step": step, "part": part, **facts})
            except UpstreamError as error:
                raise UpstreamError(f"{error}; {GOES_ON}") from error

    def log(self, line: dict[str, Any]) -> None:
        if self.writes:
            with self._told(), open(self.path / LOG, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def _cut_log(self, step: int) -> None:
        """Forget what was logged after the state from which the run goes on."""
        path = self.path / LOG
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
            with self._told():
                write_bytes(path, "".join(kept).encode())

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Trouble with the disk, in words; torch and safetensors raise errors of their own for a full one."""
        try:
            yield
        except (OSError, RuntimeError) as error:
            why = getattr(error, "strerror", None) or error
            raise UpstreamError(f"cannot be written in {self.path}: {why}; free some space; {GOES_ON}") from error


def _replace(path: Path, write: Any) -> None:
    aside = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        with open(aside, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _differences(a: Any, b: Any, name: str = "") -> Iterator[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in a.keys() | b.keys():
            yield from _differences(a.get(key), b.get(key), key if name in ("", "recipe") else f"{name}.{key}")
    elif a != b:
        yield name
