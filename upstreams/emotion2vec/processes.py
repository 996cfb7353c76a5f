"""One process, or those that torchrun started: who is first, and sums over all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from upstreams.emotion2vec.world import World
from upstreams.errors import UpstreamError

PATIENCE = timedelta(hours=12)  # the first process may decode hundreds of hours while the others wait


@dataclass(frozen=True)
class Processes:
    """`rank` of `count` processes."""

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls, device: torch.device, world: World) -> Processes:
        """The processes of this world, once all of them are connected (torch reads the first one's address itself)."""
        if world.size == 1:
            return cls()
        if device.type == "cuda":
            torch.cuda.set_device(device)
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=PATIENCE, rank=world.rank, world_size=world.size)
        return cls(world.rank, world.size)

    def sum(self, tensor: Tensor) -> None:
        """In place."""
        if self.count > 1:
            dist.all_reduce(tensor)

    def any(self, flag: bool) -> bool:
        """Whether it holds in one of them."""
        if self.count == 1:
            return flag
        found = torch.tensor(float(flag), device="cuda" if dist.get_backend() == "nccl" else "cpu")
        dist.all_reduce(found)
        return bool(found)

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
                raise UpstreamError(
                    f"processes 0 and {number} are not at the same place of the same run ({'; '.join(differs)}); give "
                    "all of them the same command and speech, and one folder for the run or, on machines that share "
                    "no disk, a copy of it on each"
                )

    def wait(self) -> None:
        if self.count > 1:
            dist.barrier()

    def leave(self) -> None:
        """Together: one that went first would break what the others still send."""
        if self.count > 1:
            dist.barrier()
            dist.destroy_process_group()
