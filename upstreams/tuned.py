"""Fine-tuned weights as a folder that is an upstream again: what was done to them, and where they are written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from upstreams.facts import UNKNOWN
from upstreams.frozen import Frozen
from upstreams.pretraining.checkpoints import Facts

if TYPE_CHECKING:
    import torch

    from commons.corridors.record import Seen


def write(upstream: Frozen, network: torch.nn.Module, folder: Path, labels: Mapping[str, str]) -> str:
    """Write a network of `trainable()` into a new folder, as an upstream.

    Returns what stands before the folder in the upstream's name; "" where its kind has no such form, and nothing is
    written.

    Args:
        labels: corpora that it was trained on since -> "labels".

    Raises:
        UpstreamError: it cannot be written.
    """
    own, inner = getattr(upstream.model, "write_tuned", None), getattr(network, "network", None)
    if not callable(own) or inner is None:
        return ""
    facts: Facts = {"tuned_from": upstream.title, "licence": upstream.licence, "seen": after(upstream.seen, labels)}
    folder.mkdir(parents=True, exist_ok=True)
    return str(own(inner.cpu(), folder, facts))


def after(seen: Seen | Mapping[str, str], labels: Mapping[str, str]) -> dict[str, str]:
    """What an upstream was trained on, after a training on labels; `unknown` stays among it."""
    before: Mapping[str, str] = {UNKNOWN: "audio"} if isinstance(seen, str) else seen
    return {**before, **{corpus.casefold(): how for corpus, how in labels.items()}}


def title(facts: Facts) -> str:
    """What fine-tuned weights are, in one line; "" for others."""
    return f"{facts['tuned_from']}, fine-tuned" if facts.get("tuned_from") else ""
