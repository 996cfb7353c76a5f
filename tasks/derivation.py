"""How a derived task came from other tasks."""

from __future__ import annotations

from dataclasses import dataclass, field

from commons.perturbations import Perturbation


@dataclass(frozen=True)
class Derivation:
    """How a derived task came from other tasks, for records and tables.

    Attributes:
        kind: transfer, shots, gender ...
        aspect: what it asks: `gender`, `shots 4`, `labels anger+sadness`, `polarity shots 4` where its base asks for
            something else than emotion; only figures of one aspect are averaged.
        base: the task that it is made of; of a transfer the task that is tested; of corpora that are joined and all
            tested, their suite or tasks.
        opens: the name that opens the base, which names a user's file where `base` does not.
        sources: the task, or the suite of across-languages, that it trains on in place of its base.
        source_corpora: the corpora of `sources`; of a user's table the known corpus whose recordings it holds.
        shots: training utterances of each class, where their number is limited.
        perturbation: the change of the test audio; None where there is none, or several.
    """

    kind: str
    aspect: str
    base: str
    sources: tuple[str, ...] = ()
    source_corpora: tuple[str, ...] = ()
    shots: int | None = None
    perturbation: Perturbation | None = None
    opens: str = field(default="", compare=False)
