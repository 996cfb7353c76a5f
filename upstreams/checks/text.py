"""The checks of an upstream of text, on sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import TYPE_CHECKING

from upstreams import training_check
from upstreams.build import build
from upstreams.checks.comparing import STRICT, counted, finite, on_its_device, precisions, same
from upstreams.errors import UpstreamError
from upstreams.frozen import Frozen
from upstreams.inputs.text import Text
from upstreams.named import Named

if TYPE_CHECKING:
    import torch

SENTENCES = (
    "No.",
    "I told you twice, and you never said a word about it!",
    "She was so happy that she could not stop laughing all the way home.",
    "Das will sie am Mittwoch abgeben.",
    "他今天很高兴。",
    "Oh my God... 😀 you're KIDDING me?!",
    "?",
    "xyzzyqwv",
    "  spaces,\ttabs\nand lines  ",
)
LONG = " ".join(f"This is sentence number {number} of a very long turn." for number in range(300))


def facts(upstream: Frozen) -> str:
    """The facts of an upstream in one line."""
    frames = "one frame a text" if upstream.takes.one_frame else "a frame for each word piece"
    return f"  text, {frames}, {counted(upstream.depth, 'layer')} x {upstream.width}, seen {upstream.seen}"


def check(named: Named, upstream: Frozen) -> Iterator[str]:
    """The results of the checks, one line each. Raises UpstreamError: the first fault."""
    name = upstream.name
    alone = [_features(upstream, sentence) for sentence in SENTENCES]
    for sentence, output in zip(SENTENCES, alone, strict=True):
        on_its_device(upstream, output)
        finite(upstream, output, repr(sentence))
        same(_features(upstream, sentence), output, f"{name} gives other features when it is run again")
    same(_features(build(named), SENTENCES[1]), alone[1], f"{name} gives other features when it is built again")
    yield "  shapes, frames, device; finite features, the same when run again and when built again"
    yield _together(upstream)
    yield _lengths(upstream)
    yield training_check.line(upstream, _windows(upstream, SENTENCES[1])[:1])
    if upstream.movable:
        yield from precisions(named, _windows(upstream, SENTENCES[1])[0], alone[1])


def _windows(upstream: Frozen, text: str) -> list[Sized]:
    """A text as the upstream is called with it."""
    return upstream.windows([Text("the check's sentence", text)])[0]


def _features(upstream: Frozen, text: str) -> torch.Tensor:
    """(L, T, D): the frames of all windows."""
    import torch

    return torch.cat([upstream([window])[0] for window in _windows(upstream, text)], dim=1)


def _together(upstream: Frozen) -> str:
    """Compare the first window of each sentence alone with the same in one batch with the others, in two orders."""
    windows = [_windows(upstream, sentence)[0] for sentence in SENTENCES]
    alone = [upstream([window])[0] for window in windows]
    fault = f"{upstream.name} gives an utterance other features in a batch than alone"
    mend = "mask the padding in its attention, or remove `ragged`: texts then come one at a time"
    worst = 0.0
    for order in (range(len(windows)), range(len(windows) - 1, -1, -1)):
        outputs = upstream([windows[number] for number in order])
        for number, output in zip(order, outputs, strict=True):
            worst = max(worst, same(output, alone[number], fault, STRICT, mend))
    return f"  the same alone and among {len(windows)} texts: off by {worst:.1e} of the largest value"


def _lengths(upstream: Frozen) -> str:
    """Frames of the shortest and of a very long text, cut as in extraction."""
    counts = []
    for what, text in (("shortest", SENTENCES[0]), (f"{len(LONG):,} characters", LONG)):
        windows = _windows(upstream, text)
        outputs = [upstream([window])[0] for window in windows]
        for output in outputs:
            finite(upstream, output, f"a text of {len(text)} characters")
        frames = sum(output.shape[1] for output in outputs)
        several = f" in {len(windows)} windows" if len(windows) > 1 else ""
        counts.append(f"{what}: {counted(frames, 'frame')}{several}")
    if not upstream.takes.one_frame and frames == 1:
        raise UpstreamError(
            f"{upstream.name} gives one frame for a text of {len(LONG):,} characters; say hop = None where it gives "
            "one frame for each text"
        )
    return f"  {'; '.join(counts)}"
