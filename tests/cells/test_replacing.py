"""What is said before a cell replaces the record of something else under its name."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from cells import replacing
from commons.errors import EmorepError
from leaderboard.records import weights
from tests.leaderboard import cells


def test_what_goes_is_told_and_what_was_imported_stays(tmp_path: Path) -> None:
    record = cells.make(tmp_path)
    cell = ("fbank", "emodb", "probe")

    def told(**upstream: str) -> str:
        own = SimpleNamespace(**{"precision": "fp32", "fingerprint": record.upstream.fingerprint} | upstream)
        return replacing.told(
            record, SimpleNamespace(cell=cell, upstream=own, setting=SimpleNamespace(results=tmp_path))
        )

    assert told() == "", "a record that is out of date is measured again without a word"
    assert told(precision="bf16") == "fbank · emodb · probe: replaces the record that is there: its precision is fp32"
    assert told(fingerprint="e" * 64).endswith("its upstream has other weights or other code")
    weights.write(tmp_path, cell, record.cell.key, record.cell.seeds[0], lambda folder: {})
    assert told().endswith("its kept weights go, too")
    record = record.model_copy(update={"marks": ["imported"]})
    with pytest.raises(EmorepError, match="were imported under this name; import them with another --name, or"):
        told()
