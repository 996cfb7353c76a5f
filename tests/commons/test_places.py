"""Whether a folder can be written to is known before the work."""

from __future__ import annotations

from pathlib import Path

import pytest

from cells import request
from commons import places
from commons.errors import Refused


def test_a_folder_that_is_there_or_can_be_made_can_be_written_to(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "new" / "deeper"):
        assert places.unwritable(folder) == ""
    assert list(tmp_path.iterdir()) == [], "nothing is left"


def test_what_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        assert "file is a file; a folder is expected" in places.unwritable(folder)
    (tmp_path / "link").symlink_to("gone")
    assert "link is a link to gone, which is not there" in places.unwritable(tmp_path / "link" / "below")
    assert "no file can be written there" in places.unwritable(Path("/proc/x"))
    assert "longer than 255 bytes" in places.unwritable(tmp_path / ("r" * 300) / "results")


@pytest.mark.parametrize("option", ["--results", "--cache"])
def test_run_benchmark_says_so_before_it_works(tmp_path: Path, option: str) -> None:
    (tmp_path / "file").touch()
    options = request.parse(["-u", "fbank", "-t", "demo", option, str(tmp_path / "file")])
    with pytest.raises(Refused, match=rf"is a file; .*name another with {option}"):
        request.understood(options, print)


def test_columns_are_a_number_or_nothing() -> None:
    assert places.columns({"COLUMNS": "120"}) == 120
    for other in ("", "0", "-3", "wide", "9" * 5000):
        assert places.columns({"COLUMNS": other}) is None


def test_a_cache_may_have_others_below_it_which_are_only_read(tmp_path: Path) -> None:
    layered = places.layered(places.Places(cache=Path(f"{tmp_path}/a:{tmp_path}/b:~/c")))
    assert (layered.cache, layered.below) == (tmp_path / "a", (tmp_path / "b", Path("~/c").expanduser()))
    (tmp_path / "x:y").mkdir()
    assert places.layered(places.Places(cache=tmp_path / "x:y")).below == (), "a folder whose name has a colon"
