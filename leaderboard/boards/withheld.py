"""What of a cell's predictions may be handed on: facts of the corpus only where its licence allows it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from commons.corridors.record import Record, Task
from commons.marks import UNVERIFIED
from leaderboard.errors import LeaderboardError
from leaderboard.records.parquet import kept

if TYPE_CHECKING:
    import pandas as pd

# Licences under which a table made of the corpus's labels may be handed on. Everything else is kept back: licences that
# forbid derivatives (ND), and all that are not known.
OPEN = re.compile(r"(CC0|CC BY|Open Database License|ODbL|MIT|Apache|GPL)\b")
CLOSED = re.compile(r"\bND\b|agreement|redistribution|request")


def may_be_shared(licence: str) -> bool:
    """Whether a corpus's licence lets its labels be handed on. Of several, joined by `;`, all must do so.

    >>> [may_be_shared(text) for text in ("CC BY-NC-SA 4.0", "CC BY-NC-ND 4.0", "research only", "CC0; not stated")]
    [True, False, False, False]
    """
    return all(OPEN.match(part.strip()) and not CLOSED.search(part) for part in licence.split(";"))


def of_corpus(task: Task, table: pd.DataFrame) -> list[str]:
    """Columns of stored predictions that are facts of the corpus, in the table's order."""
    wanted = {"target", "group", *kept(task)}
    return [name for name in table.columns if name in wanted]


def reduced(record: Record, table: pd.DataFrame) -> pd.DataFrame:
    """The predictions as they may be handed on: whole where the licence allows it, else without facts of the corpus.

    Raises:
        LeaderboardError: the predictions themselves are targets that must be kept back.
    """
    if may_be_shared(record.task.licence) or UNVERIFIED in record.marks:
        return table
    if "oracle" in record.marks:
        raise LeaderboardError(
            f"its predictions are true labels of {record.task.corpus}; its licence ({record.task.licence}) keeps them"
        )
    return table.drop(columns=of_corpus(record.task, table))


def completed(table: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """Predictions with facts of the corpus, columns in the order in which a measured cell has them.

    Args:
        table: stored predictions without targets.
        facts: a row an utterance id: `target`, `group` and what else is known of it.

    Raises:
        LeaderboardError: an utterance is none of the corpus's, or has no target.
    """
    ids = table["id"].astype(str)
    if strange := sorted(set(ids) - set(facts.index)):
        raise LeaderboardError(f"{len(strange)} utterances have no target in this copy of the corpus: {strange[0]} ...")
    own = facts.loc[ids.to_list()].set_axis(table.index)
    head = [name for name in ("id", "fold", "seed") if name in table]
    layers = [name for name in table.columns if name.startswith("layer:")]
    rest = [name for name in table.columns if name not in {*head, *layers, *own.columns}]
    whole = table.drop(columns=[name for name in own.columns if name in table]).join(own)
    return whole[[*head, "target", *rest, *(name for name in own.columns if name != "target"), *layers]]


def differing(table: pd.DataFrame, facts: pd.DataFrame) -> list[str]:
    """Columns of stored predictions (`target`, `group`) that are not those of this copy of the corpus."""
    ids = table["id"].astype(str)
    if not set(ids) <= set(facts.index):
        return ["id"]
    own = facts.loc[ids.to_list()]
    return [name for name in ("target", "group") if (own[name].to_numpy() != table[name].to_numpy()).any()]
