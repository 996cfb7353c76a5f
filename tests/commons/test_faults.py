"""What is wrong with the values of a user's file."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from commons.faults import LONGEST, faults


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rate: float = Field(default=1, gt=0)


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")

    inner: Inner = Inner()
    seen: dict[str, Literal["audio", "labels"]] | Literal["unknown"] = "unknown"
    name: str = ""

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if "/" in name:
            raise ValueError("a name has no /")
        return name


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ({"nam": 1}, ["nam: unknown key (known: inner, seen, name)"]),
        ({"inner": {"rat": 1}}, ["inner.rat: unknown key"]),
        ({"inner": {"rate": -1}}, ["inner.rate: Input should be greater than 0; the file holds -1"]),
        ({"name": "a/b"}, ["name: a name has no /; the file holds 'a/b'"]),
        ({"seen": 3}, ["seen: Input should be a valid dictionary or Input should be 'unknown'; the file holds 3"]),
        (["no", "mapping"], ["file: Input should be a valid dictionary or instance of Whole"]),
    ],
)
def test_a_fault_names_key_expectation_and_content(content: object, lines: list[str]) -> None:
    with pytest.raises(ValidationError) as raised:
        Whole.model_validate(content)
    assert faults(raised.value, Whole.model_fields) == lines


def test_every_fault_has_a_line_and_long_values_are_cut() -> None:
    with pytest.raises(ValidationError) as raised:
        Whole.model_validate({"x": 1, "inner": "long" * 1000, "seen": {"emodb": "maybe"}})
    lines = faults(raised.value)
    assert [line.partition(":")[0] for line in lines][:2] == ["inner", "seen.emodb"] and "x: unknown key" in lines
    assert all(len(line) < 3 * LONGEST and "[" not in line for line in lines)
