"""The example of docs/add_your_own.md, tried as a new user would."""

import textwrap
from pathlib import Path

import numpy as np
import pytest

from tests.upstreams.sounds import ROOT, extract, speak, tone
from upstreams.__main__ import main

NAME = f"{ROOT / 'examples' / 'octaves.py'}:Octaves"


def test_the_example_passes_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", NAME]) == 0
    assert "seen {}" in capsys.readouterr().out


def test_the_example_hears_octaves(tmp_path: Path) -> None:
    utterances = speak(tmp_path, [tone(180), tone(3000)])
    means = extract(NAME, utterances, {"pooled"}, tmp_path, device="cpu", jobs=1).pooled[:, 0, 0]
    assert np.argmax(means, axis=1).tolist() == [2, 6]  # bins of 31.25 Hz: 5.8 and 96


def test_the_readme_shows_the_example_as_it_is() -> None:
    source = (ROOT / "examples" / "octaves.py").read_text().partition("\n\n\n")[2]
    assert textwrap.indent(source, "    ") in (ROOT / "docs" / "add_your_own.md").read_text()
