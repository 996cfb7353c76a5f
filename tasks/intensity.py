"""Levels of intensity on one scale (`intensity.yaml`): places of levels and of utterances, and their counts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from commons import yamlfile
from commons.errors import cut
from commons.faults import faults
from tasks import corpora
from tasks.errors import TaskError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

FILE = Path(__file__).with_name("intensity.yaml")
Neutral = Literal["zero", "masked"]
AROUSAL = MappingProxyType({f"arousal {place:g}": place for place in (0.0, 0.25, 0.5, 0.75, 1.0)})  # level -> place

Place = Annotated[float, Field(ge=0, le=1)]


class Scale(BaseModel):
    """The content of intensity.yaml.

    Attributes:
        levels: corpus -> level -> its place, ascending.
        arousal: corpus -> the smallest and the largest value of its arousal.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    levels: dict[str, dict[str, Place]]
    arousal: dict[str, tuple[float, float]] = {}

    @model_validator(mode="after")
    def _is_a_scale(self) -> Scale:
        for corpus in (*self.levels, *self.arousal):
            if corpus not in corpora.names():
                raise ValueError(f"no corpus {corpus!r} (known: {', '.join(corpora.names())})")
        for corpus, places in self.levels.items():
            if len(places) < 2 or sorted(set(places.values())) != list(places.values()):
                raise ValueError(f"{corpus}: two levels or more are expected, each above the one before")
        for corpus, (low, high) in self.arousal.items():
            if not low < high:
                raise ValueError(f"arousal of {corpus}: [smallest, largest] is expected, got [{low:g}, {high:g}]")
        return self


@cache
def read(file: Path = FILE) -> Scale:
    """The scale in a file. Raises TaskError, which names the file and what is wrong in it."""
    try:
        return Scale.model_validate(yamlfile.mapping(file, "levels: and, where wanted, arousal:"))
    except yamlfile.NotYaml as error:
        raise TaskError(str(error)) from None
    except ValidationError as error:
        raise TaskError(f"{file}: {cut('; '.join(faults(error)), 2000)}") from error


def places_of(corpus: str, labels: Mapping[str, object]) -> tuple[float, ...]:
    """The place of each class of an ordinal task, in their order.

    Args:
        labels: class -> levels of the corpus that belong to it; they must have one place.

    Raises:
        ValueError: the map does not know the corpus or a level, or the levels of a class have several places.
    """
    known = read().levels.get(corpus)
    if known is None:
        raise ValueError(f"{FILE.name} has no levels of {corpus} (it has those of {', '.join(read().levels)})")
    places: list[float] = []
    for name, levels in labels.items():
        own = cast("list[str]", levels) if isinstance(levels, list) else []
        if strange := [level for level in own if level not in known]:
            raise ValueError(f"labels: level {strange[0]!r} is not in {FILE.name} ({corpus} has {', '.join(known)})")
        if len(several := {known[level] for level in own}) != 1:
            raise ValueError(f"labels: {name}: levels of one place are expected, got {len(several)} places")
        places += several
    return tuple(places)


def levels_of(corpus: str) -> Mapping[str, float]:
    """The levels of a corpus with their places: those of intensity.yaml, or those that arousal gives; else none."""
    scale = read()
    return scale.levels.get(corpus, AROUSAL if corpus in scale.arousal else {})


def by_arousal(corpus: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with a level from their rated arousal, the nearest quarter of its scale.

    As they are where intensity.yaml has no arousal of the corpus; without a level where an utterance has no arousal.
    """
    import numpy as np

    scale = read()
    if corpus not in scale.arousal or "arousal" not in rows:
        return rows
    low, high = scale.arousal[corpus]
    shares = ((rows["arousal"].to_numpy(dtype=np.float64) - low) / (high - low)).clip(0, 1)
    names = list(AROUSAL)
    levels = [None if np.isnan(share) else names[int(share * (len(names) - 1) + 0.5)] for share in shares.tolist()]
    return rows.assign(intensity=np.array(levels, dtype=object))


def scaled(corpus: str, rows: pd.DataFrame, neutral: Neutral = "masked") -> np.ndarray:
    """(N,) float64 place of every utterance of a corpus on the scale; NaN where it has none.

    Args:
        rows: its utterances.
        neutral: neutral utterances are at 0, where others have a place, or have no place. The level that a corpus gives
            them (RAVDESS: normal) is the level of no emotion, so it is not used.

    Raises:
        TaskError: an utterance has a level that intensity.yaml does not have.
    """
    import numpy as np

    places = np.full(len(rows), np.nan)
    if "intensity" in rows:
        known = levels_of(corpus)
        strange = rows[rows["intensity"].notna() & ~rows["intensity"].isin(list(known))]
        if len(strange):
            has = ", ".join(known) or "no levels"
            raise TaskError(
                f"{corpus}: {strange.index[0]} has the level {strange['intensity'].iloc[0]!r}, which is not in {FILE} "
                f"({len(strange)} such utterances; {corpus} has {has} there); give it a place there"
            )
        places = rows["intensity"].map(known).to_numpy(dtype=np.float64, copy=True)
    if "emotion" in rows:
        zero = neutral == "zero" and not np.isnan(places).all()
        places[(rows["emotion"] == "neutral").to_numpy()] = 0.0 if zero else np.nan
    return places


def contribution(corpus: str, rows: pd.DataFrame, neutral: Neutral = "masked") -> str:
    """A line on what a corpus contributes: how many of its utterances lie where on the scale, and how many nowhere.

    Raises:
        TaskError: as `scaled`.
    """
    import numpy as np

    places = scaled(corpus, rows, neutral)
    known = places[~np.isnan(places)]
    values, counts = np.unique(known, return_counts=True)
    said = ", ".join(f"{n} at {value:g}" for value, n in zip(values, counts, strict=True)) or "none"
    return f"{corpus}: {said}; masked {len(rows) - len(known)} of {len(rows)} utterances"
