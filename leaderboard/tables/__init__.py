"""Tables: one model (model.py), views that fill it from records, and forms that print it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from commons.registry import load

if TYPE_CHECKING:
    from commons.corridors.record import Record
    from leaderboard.tables.model import Look, Table

    View = Callable[[Path, Sequence[Record]], tuple[list[Table], list[str]]]
    Form = Callable[[Sequence[Table], Look], None]

# What stands across, upstreams being down: a function of the results' folder and the records, imported when it is asked
# for. It returns tables, and a line for every record that it cannot use.
VIEWS = {
    "metric": "leaderboard.tables.views:by_metric",
    "task": "leaderboard.tables.views:by_tasks",
    "language": "leaderboard.tables.views:by_language",
    "family": "leaderboard.tables.views:by_family",
    "class": "leaderboard.tables.views:by_class",
    "pairs": "leaderboard.tables.views:by_pairs",
    "cost": "leaderboard.tables.views:by_cost",
    "group": "leaderboard.tables.groups:by_group",
    "agreement": "leaderboard.tables.agreement:by_agreement",
    "calibration": "leaderboard.tables.calibration:by_calibration",
    "ablation": "leaderboard.tables.views:ablations",
    "transfer": "leaderboard.tables.transfers:by_pair",
    "unified": "leaderboard.tables.unified:by_corpus",
    "robustness": "leaderboard.tables.robustness:by_robustness",
}
# How tables are printed: a function of the tables and a `Look`.
FORMS = {
    "terminal": "leaderboard.tables.terminal:print_tables",
    "markdown": "leaderboard.tables.markdown:print_tables",
    "latex": "leaderboard.tables.latex:print_tables",
}


def view(name: str, results: Path, records: Sequence[Record]) -> tuple[list[Table], list[str]]:
    """The tables of a view of VIEWS, and a line for every record that it could not use."""
    return cast("View", load(VIEWS[name]))(results, records)


def print_in(form: str, tables: Sequence[Table], look: Look) -> None:
    """Print tables in a form of FORMS."""
    cast("Form", load(FORMS[form]))(tables, look)
