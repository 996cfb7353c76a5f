"""studies/strength_check.py: a limit takes fewer pairs, and changes nothing of those that it takes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from upstreams.strength.model import Config, StrengthNet, save

FILE = Path(__file__).resolve().parents[2] / "studies" / "strength_check.py"


def test_what_energies_are_relative_to_knows_no_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("strength_check", FILE)
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(study := importlib.util.module_from_spec(spec))
    (pairs := tmp_path / "pairs").mkdir()
    for number, name in enumerate(("05-01-01", "05-02-01", "05-01-02", "05-02-02", "01-01-01")):
        sound = np.random.default_rng(number).standard_normal(8000) * np.linspace(0, 0.1, 8000) ** number
        soundfile.write(pairs / f"03-01-{name}-01-01.wav", sound, 16000)
    save(tmp_path / "model", StrengthNet(Config(("a", "b"), (2, 2, 2, 2), 4)), {})
    taken: list[tuple[str, list[torch.Tensor]]] = []

    def noted(network: StrengthNet, path: Path, speakers: list[torch.Tensor]) -> tuple[np.ndarray, float]:
        taken.append((path.name, speakers))
        return np.random.default_rng(len(taken)).standard_normal((len(speakers), 9, 4)), float(len(taken))

    monkeypatch.setattr(study, "measured", noted)
    for limit in ([], ["--limit", "1"]):
        monkeypatch.setattr("sys.argv", ["strength_check", str(pairs), "--model", str(tmp_path / "model"), *limit])
        study.main()
    (name, whole), *rest = taken
    assert len(taken) == 6 and taken[4][0] == name
    torch.testing.assert_close(taken[4][1], whole)
    every = [study.model.log_mel(torch.from_numpy(study.waveform(path))) for path in sorted(pairs.iterdir())]
    torch.testing.assert_close(whole, [study.model.colour(every[1:]), study.model.colour(every[:1])])
    assert rest
