"""What an upstream is, as plain facts: enough to find its features in the store without building its model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from commons.corridors.utterances import Modality
from commons.device import DEVICES
from commons.errors import Refused

if TYPE_CHECKING:
    from commons.corridors.record import Seen
    from upstreams.contract import Audio
    from upstreams.names import Named


@dataclass(frozen=True)
class Identity:
    """An upstream that was built once, for its facts. Its values are plain: it can go to another process as it is.

    Attributes:
        named: its name, understood.
        title: what it is, in one line; label: what tables call it in place of its name, "" for nothing.
        depth, width: layers L, values a frame D.
        seen: corpora it was trained on -> "audio" or "labels"; "unknown".
        weights: where they came from, a repository and its revision; "" where there are none, or nobody says.
        licence: of the weights or the library, in words; "" where it is not known.
        precision: the one it runs in: "fp32" for what cannot move, whatever was asked.
        movable: whether it can run on a GPU.
        audio: how it takes audio: rate, hop, receptive field, longest window.
        fingerprint: sha256 (hex) over all that decides its features.
        modality: what it reads of an utterance.
    """

    named: Named
    title: str
    label: str
    depth: int
    width: int
    seen: Seen
    weights: str
    licence: str
    precision: str
    movable: bool
    audio: Audio
    fingerprint: str
    modality: Modality = "audio"


@dataclass(frozen=True)
class Extraction:
    """How features are made: where they are kept, on which device, by how many processes.

    Attributes:
        device: auto, cpu, cuda or cuda:1.
        jobs: worker processes on a CPU, decoding threads with a GPU; 0: one a core.

    Raises:
        Refused: there is no such device.
    """

    cache: Path
    device: str = "auto"
    jobs: int = 0

    def __post_init__(self) -> None:
        if self.device not in DEVICES and not self.device.startswith("cuda:"):
            raise Refused(f"device {self.device!r} is unknown; expected {', '.join(DEVICES)}")
