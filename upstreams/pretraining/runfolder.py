"""What a run writes. Every file is written aside and renamed, so that a run can be stopped at any moment.

RUN/recipe.json                what decides the run: the recipe, and hashes of its audio and of what it names
RUN/skipped.json               files that are left out, and why
RUN/log.jsonl                  a line every `log_every` steps
RUN/state.pt                   the last training state, from which the run goes on
RUN/step-00001000.safetensors  the network at that step: an upstream, `emotion2vec@RUN/step-00001000.safetensors`
RUN/claims                     empty; the process that trains locks it
RUN/step-00001000.teacher.safetensors  a further part at that step, an upstream by its own name; `RUN/*` leaves it out
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from commons import claims, files
from commons.errors import EmorepError
from upstreams.errors import UpstreamError, described
from upstreams.pretraining import record
from upstreams.pretraining.batches import Position
from upstreams.pretraining.checkpoints import Facts, Stored, checkpoints, name_of, write
from upstreams.pretraining.method import Learner, Stateful
from upstreams.pretraining.pack import Pack
from upstreams.pretraining.recipe_sections import Recipe

SKIPPED, LOG, STATE, CLAIMS = "skipped.json", "log.jsonl", "state.pt", "claims"
MENDABLE = {"optimiser.rate", "optimiser.clip", "precision"}  # may change when a run goes on; the log says so
GOES_ON = "with the same command the run goes on from its last whole state"


@dataclass(frozen=True)
class RunFolder:
    """A run's files. Only the first process writes."""

    path: Path
    writes: bool = True

    @contextmanager
    def alone(self) -> Iterator[None]:
        """In this context no other process writes here.

        Raises UpstreamError: one does, or the folder cannot be made.
        """
        if not self.writes:
            yield
            return
        with self._explained():
            self.path.mkdir(parents=True, exist_ok=True)
        with claims.attempted(self.path.resolve() / CLAIMS, "training") as taken:
            if not taken:
                raise UpstreamError(
                    f"another process trains in {self.path}; wait for it, or name another folder with --run (of an "
                    "ablation's runs: --runs)"
                )
            yield

    def claim(self, recipe: Recipe, pack: Pack) -> dict[str, tuple[object, object]]:
        """Settings of MENDABLE that changed since the run began: name -> (before, now). Writes what the run is.

        Raises UpstreamError if the folder holds another run; the message names what differs.
        """
        asked = record.of(recipe, pack.key)
        try:
            differs = record.differences(record.read(self.path), asked)
        except FileNotFoundError:
            differs = {}
        except ValueError as error:
            raise UpstreamError(
                f"{self.path / record.FILE} is damaged ({error}); name another folder with --run"
            ) from error
        goes_on = set(differs) <= MENDABLE and (not differs or self.saved() < recipe.optimiser.steps)
        if not goes_on:
            raise UpstreamError(
                f"{self.path} holds another run ({', '.join(sorted(differs))} differ); name another folder with --run "
                "(of an ablation's runs: --runs), or ask for the same recipe, audio and files to go on"
            )
        if self.writes:
            with self._explained():
                files.write(self.path / record.FILE, json.dumps(asked, indent=1).encode())
                files.write(self.path / SKIPPED, json.dumps(pack.skipped, indent=1, ensure_ascii=False).encode())
        return differs

    def resume(self, parts: Mapping[str, Stateful]) -> Position:
        """The position of the last state, which is loaded into `parts`; the beginning where there is no state."""
        position = Position()
        with self._readable():
            if state := self._state():
                position, contents = state
                for name, part in parts.items():
                    part.load_state_dict(contents[name])
        if self.writes:
            self._cut_log(position.step)
        return position

    def save(self, position: Position, parts: Mapping[str, Stateful]) -> None:
        """Replace the training state. Raises UpstreamError for a full disk; the state before then still stands."""
        if not self.writes:
            return
        state = {"position": asdict(position), **{name: part.state_dict() for name, part in parts.items()}}
        with self._explained(), files.whole(self.path / STATE) as file:
            torch.save(state, file)

    def saved(self) -> int:
        """The step of the last state; 0 where there is none."""
        with self._readable():
            state = self._state(lazily=True)
            return state[0].step if state else 0

    def last_checkpoint(self) -> Path | None:
        with suppress(UpstreamError, FileNotFoundError):
            return checkpoints(self.path)[-1]
        return None

    def publish(self, step: int, method: str, learner: Learner, origin: Facts) -> None:
        """Write a checkpoint of each of the learner's networks. The last is the run's upstream and is written last."""
        if not self.writes:
            return
        last = list(learner.networks)[-1]
        try:
            for part, network in learner.networks.items():
                path = self.path / name_of(step, "" if part == last else part)
                facts: Facts = {"step": step, "part": part, **origin}
                write(path, Stored(method, dict(learner.config), network.state_dict(), facts))
        except EmorepError as error:
            raise UpstreamError(f"{error}; {GOES_ON}") from error

    def log(self, line: Mapping[str, object]) -> None:
        """Add a line."""
        if self.writes:
            with self._explained(), open(self.path / LOG, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def _cut_log(self, step: int) -> None:
        """Drop the lines that were logged after the state from which the run goes on."""
        path = self.path / LOG
        if path.exists():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
            kept = [line for line in lines if (logged := _step(line)) is not None and logged <= step]
            with self._explained():
                files.write(path, "".join(kept).encode())

    def _state(self, lazily: bool = False) -> tuple[Position, dict[str, dict[str, object]]] | None:
        """The last state: its position and the parts' states; None where there is none.

        lazily: tensors are mapped and not read. Otherwise every part of the file has to have its checksum.
        """
        path = self.path / STATE
        if not path.exists():
            return None
        if not lazily:
            with zipfile.ZipFile(path) as file:
                if (part := file.testzip()) is not None:
                    raise zipfile.BadZipFile(f"the checksum of {part} is wrong")
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=lazily)
        return Position(**content.pop("position")), content

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # torch names no common class for what a damaged file raises
            raise UpstreamError(
                f"{self.path / STATE} cannot be read as a training state ({described(error)}); without it the run "
                "begins anew"
            ) from error

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn an error of the disk into an UpstreamError; for a full disk torch raises a RuntimeError."""
        try:
            yield
        except (OSError, RuntimeError) as error:
            why = getattr(error, "strerror", None) or error
            raise UpstreamError(f"cannot be written in {self.path}: {why}; free some space; {GOES_ON}") from error


def _step(line: str) -> int | None:
    """The step of a line of the log; None where a run was killed while it wrote the line."""
    try:
        return int(json.loads(line)["step"]) if line.endswith("\n") else None
    except (ValueError, KeyError, TypeError):
        return None
