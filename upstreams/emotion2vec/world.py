"""How many processes train together, as torchrun tells each of them in its environment. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from commons.errors import Refused, cut

MEETING = ("RANK", "MASTER_ADDR", "MASTER_PORT")  # what several processes need to find each other
DIGITS = 9  # of the longest number that is read
START = "start several processes with torchrun, or unset WORLD_SIZE to train in one"


@dataclass(frozen=True)
class World:
    """This process is number `rank` of `size`; on its machine it is number `local_rank`, and takes that GPU."""

    size: int = 1
    rank: int = 0
    local_rank: int = 0


def of_environment(environment: Mapping[str, str]) -> World:
    """The world that torchrun's variables describe; a single process where they are not set.

    Raises:
        Refused: a variable is missing, is no whole number or is out of its range.
    """
    size = _whole(environment, "WORLD_SIZE", default=1, least=1)
    local_rank = _whole(environment, "LOCAL_RANK", default=0, least=0)
    if size == 1:
        return World(local_rank=local_rank)
    if missing := [name for name in MEETING if not environment.get(name)]:
        raise Refused(f"WORLD_SIZE is {size}, but there is no {', '.join(missing)}; {START}")
    rank = _whole(environment, "RANK", default=0, least=0)
    if rank >= size:
        raise Refused(f"RANK is {rank}; expected less than WORLD_SIZE, {size}; {START}")
    return World(size, rank, local_rank)


def _whole(environment: Mapping[str, str], name: str, default: int, least: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or len(text) > DIGITS or int(text) < least:
        raise Refused(f"{name} is {cut(text)!r}; expected a whole number of at least {least}; {START}")
    return int(text)
