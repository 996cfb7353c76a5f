"""Pictures for papers, from the records alone: PDF and PNG, in the width of a column or a page. One style file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from commons.errors import EmorepError, cut
from leaderboard.errors import LeaderboardError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from commons.corridors.record import Record

# kind: what it shows, who draws it ("module:function", imported when it is asked for)
KINDS = {
    "bars": ("each task: upstreams with their intervals", "leaderboard.plots.upstreams:bars"),
    "heatmap": ("upstreams by tasks", "leaderboard.plots.upstreams:heatmap"),
    "ranks": ("ranks that the tests allow", "leaderboard.plots.upstreams:ranks"),
    "groups": ("UA by gender, language, ...; of every speaker", "leaderboard.plots.groups:groups"),
    "reliability": (
        "accuracy against confidence, before and after correction",
        "leaderboard.plots.reliability:reliability",
    ),
    "layers": ("figures of every layer; learned weights", "leaderboard.plots.layers:layers"),
    "features": ("features that a head selected: how often, their weights", "leaderboard.plots.features:features"),
    "confusion": ("confusion matrices", "leaderboard.plots.matrices:confusion"),
    "transfer": ("trained on one corpus, tested on another (transfer: cells)", "leaderboard.plots.matrices:transfer"),
    "shots": ("figures over labels a class (shots: cells)", "leaderboard.plots.curves:shots"),
    "robustness": ("changed test audio (perturbed: cells)", "leaderboard.plots.robustness:robustness"),
    "curves": ("learning curves of fine-tuned encoders, by fold", "leaderboard.plots.training:curves"),
    "forest": ("paired differences of heads on one upstream", "leaderboard.plots.training:forest"),
    "pretraining": ("figures of a run's checkpoints (NAME@RUN/... cells)", "leaderboard.plots.curves:pretraining"),
}


def draw(
    results: Path, records: Sequence[Record], kind: str, width: str, asked: Sequence[str] | None = None
) -> Iterator[tuple[str, Figure]]:
    """The pictures of a kind that the records allow, each with a file name; none where they hold nothing for it.

    Args:
        width: `column` or `page`.
        asked: tasks that somebody named; of others, records of changed audio are in their own picture alone.
    """
    from leaderboard.plots.style import styled
    from leaderboard.records.changed_audio import aside

    module, function = KINDS[kind][1].split(":")
    if kind != "robustness":
        records = aside(records, asked)
    with styled():
        for name, figure in getattr(import_module(module), function)(results, records, width):
            yield file_name(kind, *name), figure


def file_name(*parts: str) -> str:
    """A name for a picture, plain as LaTeX's \\includegraphics wants it."""
    return "-".join(re.sub(r"[^\w.+-]", "_", part, flags=re.ASCII)[:60] for part in parts)


def write(
    results: Path,
    records: Sequence[Record],
    kinds: Sequence[str],
    widths: Sequence[str],
    out: Path,
    asked: Sequence[str] | None = None,
) -> tuple[list[Path], list[str], list[str]]:
    """Draw and save pictures; names of column-wide files end in `-column`.

    Returns:
        the files, a line for every kind of which nothing could be drawn, and one for every kind that a fault stopped.

    Raises:
        LeaderboardError: nothing could be drawn, or a file cannot be written.
    """
    from leaderboard.plots.style import save

    made: list[Path] = []
    lacking, stopped = [], []
    for kind in kinds:
        before = len(made)
        try:
            for width in widths:
                for name, figure in draw(results, records, kind, width, asked):
                    made += save(figure, _free(out, name, "-column" * (width == "column"), made))
        except EmorepError:
            raise
        except Exception as error:  # a fault in one picture costs the later ones of its kind, and no other kind
            after = f"after {made[-1].stem}" if len(made) > before else "the first"
            stopped.append(f"{kind}: a picture cannot be drawn, {after}: {type(error).__name__}: {cut(str(error))}")
        else:
            if len(made) == before:
                lacking.append(f"{kind}: nothing is drawn, since no result here has what it shows ({KINDS[kind][0]})")
    if not made and not stopped:
        raise LeaderboardError(
            f"{results}: no result for {', '.join(kinds)}: {'; '.join(KINDS[kind][0] for kind in kinds)}"
        )
    return made, lacking, stopped


def _free(out: Path, name: str, ending: str, made: Sequence[Path]) -> Path:
    """A path without its suffix, numbered where two names look alike, as those of a task's versions do."""
    path, again = out / f"{name}{ending}", 2
    while path.parent / f"{path.name}.pdf" in made:
        path, again = out / f"{name}-{again}{ending}", again + 1
    return path
