"""Networks that are trained: of sound and of words, forecast, measured, and their predictions averaged."""

from pathlib import Path

import pytest

import leaderboard
import run_benchmark
from cells.plan import planned
from cells.request import parse, understood
from cells.workplace import Workplace
from tests.upstreams.sounds import SOUND

NETWORKS = (
    SOUND
    + """

class Words(torch.nn.Module):
    modality, depth, width, ragged, seen = "text", 1, 3, True, {}

    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.table = torch.nn.Embedding(256, 3)

    def windows(self, text):
        return [list(text.encode()[:40])]

    def forward(self, texts):
        return [self.table(torch.tensor(text))[None] for text in texts]
"""
)
SETTINGS = "{steps: 6, epochs: 1, batch: 4, scorings: 3, random_rates: [0.01], averaged: 2}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, with_demo) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    with_demo(folder / "cache")
    (folder / "nets.py").write_text(NETWORKS)
    (folder / "quick.yaml").write_text(SETTINGS)
    setting = understood(parse(["-u", "fbank", "-t", "demo", "--cache", str(folder / "cache")]), print).setting
    ids = Workplace().task("demo", setting).utterances.index
    (folder / "words.csv").write_text("id,text_gold\n" + "".join(f"{one},words of {one}\n" for one in ids))
    return folder


def words(folder: Path, upstream: str, *more: str) -> list[str]:
    return ["-u", upstream.format(nets=folder / "nets.py"), "-t", "demo", "-d", f"finetune@{folder / 'quick.yaml'}",
            "--limit", "48", "--seeds", "1", "--jobs", "1", "--results", str(folder / "results"),
            "--cache", str(folder / "cache"), "--text", f"demo={folder / 'words.csv'}", *more]  # fmt: skip


def test_the_predictions_of_a_network_of_sound_and_of_one_of_words_are_averaged(folder, capsys):
    late = words(folder, "late:{nets}:Sound,{nets}:Words")
    assert run_benchmark.main([*late, "--dry-run"]) == 0
    said = capsys.readouterr().out.splitlines()
    forecasts = [line for line in said if "trainings (folds x seeds), 0 of them done;" in line]
    assert ["Sound" in line or "Words" in line for line in forecasts] == [True, True]
    assert sum(line.startswith("average: late:nets.py:Sound") for line in said) == 3  # read-outs
    assert not (folder / "results").exists()

    assert run_benchmark.main(late) == 0
    results = folder / "results" / "limited"
    records = leaderboard.load(results)[0]
    fused = [record for record in records if record.upstream.fusion == "late"]
    assert len(fused) == 3
    for whole in fused:
        parts = [leaderboard.find(results, name, "demo", whole.cell.downstream) for name in whole.upstream.parts]
        assert [part.upstream.modality for part in parts] == ["audio", "text"]
        own = whole.downstream
        assert own.trained == "encoder (all)" and whole.upstream.input == "speech + text (gold)"
        assert own.trainable == sum(part.downstream.trainable for part in parts)
        assert own.hours == pytest.approx(sum(part.downstream.hours for part in parts))
    assert leaderboard.verify(results) == []
    capsys.readouterr()
    assert run_benchmark.main([*late, "--dry-run"]) == 0
    assert "measure" not in capsys.readouterr().out


def test_trainings_that_fail_at_their_first_step_stand_outside_of_the_totals(folder, capsys):
    """Those of fbank, with their three read-outs; the reference rows stay where another cell does."""
    asked = words(folder, "{nets}:Sound", "--results", str(folder / "none"), "--dry-run")
    assert run_benchmark.main(asked) == 0
    (totals,) = (line for line in capsys.readouterr().out.splitlines() if " trainings of networks, " in line)
    assert run_benchmark.main([*asked[:2], "fbank", *asked[2:]]) == 1
    said = capsys.readouterr().out.splitlines()
    assert totals in said
    refused = [line for line in said if line.startswith("cannot be run: fbank · demo · finetune")]
    assert len(refused) == 3 and all("fbank cannot be fine-tuned" in line for line in refused)
    assert sum("fbank" in line for line in said) == 3
    assert run_benchmark.main(["-u", "fbank", *asked[2:]]) == 1
    assert capsys.readouterr().out.splitlines()[3:] == ["nothing is left to do"]


def test_a_network_of_sound_beside_one_of_words_is_not_trained(folder):
    request = understood(parse(words(folder, "{nets}:Sound+{nets}:Words")), lambda line: None)
    plan = planned(request, Workplace(), lambda line: None)
    assert len(plan.failed) == 3
    assert all(
        "those of nets.py:Words are pieces of text" in outcome.failure.replace(str(folder) + "/", "")
        for outcome in plan.failed
    )
