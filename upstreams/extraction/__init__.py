"""From utterances to features: jobs, worker processes, and the store that keeps what they make."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from commons.device import DEVICES
from commons.errors import Refused


@dataclass(frozen=True)
class Extraction:
    """How features are made: where they are kept, on which device, by how many processes.

    Attributes:
        cache: the folder of the store.
        device: auto, cpu, cuda or cuda:1.
        jobs: worker processes on a CPU, decoding threads with a GPU; 0: one for each core.
        below: folders of other stores, which are read and never written.
        chunk: utterances in one file of the store at most, which is what a killed run can lose; 0: 64 with audio, 1,024
            with text.

    Raises:
        Refused: there is no such device.
    """

    cache: Path
    device: str = "auto"
    jobs: int = 0
    chunk: int = 0
    below: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if self.device not in DEVICES and not self.device.startswith("cuda:"):
            raise Refused(f"device {self.device!r} is unknown; expected {', '.join(DEVICES)}")
