"""One process, or those that torchrun started: who is first, and sums over all."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

PATIENCE = timedelta(hours=12)  # the first process may decode hundreds of hours while the others wait


@dataclass(frozen=True)
class Processes:
    """`rank` of `count` processes."""

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls, device: torch.device) -> Processes:
        """Meet the others, where torchrun says that there are any."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        if device.type == "cuda":
            torch.cuda.set_device(device)
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=PATIENCE)
        return cls(dist.get_rank(), dist.get_world_size())

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

    def wait(self) -> None:
        if self.count > 1:
            dist.barrier()

    def leave(self) -> None:
        if self.count > 1:
            dist.destroy_process_group()
