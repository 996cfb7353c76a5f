"""Which part of a request to do: `--shard K/N`, or the number of an array job of Slurm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from commons.errors import Refused


@dataclass(frozen=True)
class Shard:
    """One of `of` parts of a request; `number` is from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def which(text: str, environment: Mapping[str, str]) -> Shard:
    """The shard of `K/N`, or of an array job of Slurm where the text is empty.

    Raises:
        Refused: the text has another form, no array job is running, or its numbers do not follow each other.
    """
    if not text:
        names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_STEP")
        values = [environment.get(name, "1" if name.endswith("STEP") else "") for name in names]
        if not all(value.isdecimal() for value in values):
            raise Refused("--shard without K/N is for array jobs of Slurm, and $SLURM_ARRAY_TASK_ID is not set; "
                          "give --shard K/N")  # fmt: skip
        at, first, count, step = map(int, values)
        last = environment.get("SLURM_ARRAY_TASK_MAX", "")
        place = (at - first) // max(1, step) + 1
        if place > count or (last.isdecimal() and (int(last) - first) // max(1, step) + 1 != count):
            raise Refused(
                "--shard without K/N is for arrays whose numbers follow each other, such as --array=1-16; to do some "
                "of them again give K/N: --shard $SLURM_ARRAY_TASK_ID/16"
            )
        return Shard(place, count)
    number, slash, of = text.partition("/")
    if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise Refused(f"--shard {text!r}: expected K/N with K from 1 to N, as in --shard 3/16")
    return Shard(int(number), int(of))
