"""One process, or those that torchrun started: who is first, and sums over all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from commons.errors import Refused, cut
from upstreams.errors import UpstreamError

PATIENCE = timedelta(hours=12)  # the first process may decode hundreds of hours while the others wait
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


@dataclass(frozen=True)
class Processes:
    """`rank` of `count` processes."""

    rank: int = 0
    count: int = 1

    def sum(self, tensor: Tensor) -> None:
        """Replace the tensor, in place, by its sum over all processes."""
        if self.count > 1:
            dist.all_reduce(tensor)

    def any(self, flag: bool) -> bool:
        """Whether the flag is true in at least one process."""
        if self.count == 1:
            return flag
        total = torch.tensor(float(flag), device="cuda" if dist.get_backend() == "nccl" else "cpu")
        dist.all_reduce(total)
        return bool(total)

    def agree(self, facts: Mapping[str, object]) -> None:
        """Raises UpstreamError, in all of them, where they do not hold the same facts: name -> plain value."""
        everyone = [facts] * self.count
        if self.count > 1:
            dist.all_gather_object(everyone, facts)
        first = everyone[0]
        for number, theirs in enumerate(everyone):
            if differs := [
                f"{name}: {first[name]} and {theirs[name]}" for name in first if first[name] != theirs[name]
            ]:
                self.wait()  # all raise: let everyone have the facts before the first disconnects
                raise UpstreamError(
                    f"processes 0 and {number} are not at the same place of the same run ({'; '.join(differs)}); give "
                    "all of them the same command and speech, and one folder for the run or, on machines that share "
                    "no disk, a copy of it on each"
                )

    def wait(self) -> None:
        if self.count > 1:
            dist.barrier()


@contextmanager
def joined(device: torch.device, world: World) -> Iterator[Processes]:
    """The processes of this world, once all are connected. torch reads the first one's address itself.

    Disconnects at the end, after an error too: torch's threads sometimes abort a process that ends while it is
    connected. Does not wait for the others: on a good end, let all of them come to `wait` first.
    """
    if world.size == 1:
        yield Processes()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE, rank=world.rank, world_size=world.size)
    try:
        yield Processes(world.rank, world.size)
    finally:
        dist.destroy_process_group()
