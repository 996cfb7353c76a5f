"""Conversation tasks through the command."""

import pandas as pd
import pytest

import downstreams
import run_benchmark
import tasks
from tasks import definition


@pytest.mark.parametrize("head", ["context_gru", "dialogue_rnn", "no_context"])
def test_a_head_of_conversations_is_refused_elsewhere_before_anything_is_read(head, tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    status = run_benchmark.main(["-u", "fbank", "-t", "emodb", "-d", head, "--data", str(data)])
    assert status == 2
    assert f"{head} treats conversation, and emodb is classification; use -d probe" in capsys.readouterr().err
    assert not list(data.iterdir())


@pytest.mark.parametrize("name", tasks.names())
def test_default_heads_treat_the_task(name):
    wanted = definition.read(definition.path(name))
    assert all(wanted.kind in downstreams.resolve(head).kinds for head in wanted.heads)
    context = {"no_context", "context_gru"}
    assert set(wanted.heads) == ({"probe"} | context if wanted.kind == "conversation" else {"probe"})


def test_context_and_the_speakers_last_emotion_stand_in_the_table(tmp_path, monkeypatch):
    monkeypatch.setenv("EMOREP_RUNS", str(tmp_path / "runs"))
    status = run_benchmark.main(
        ["-u", "fbank", "-t", "demo_next", "-d", "no_context", "--limit", "80", "--seeds", "1",
         "--jobs", "1", "--cache", str(tmp_path / "cache"), "--results", str(tmp_path / "results")]
    )  # fmt: skip
    assert status == 0
    table = pd.read_csv(tmp_path / "results" / "limited" / "leaderboard.csv").set_index("upstream")
    assert set(table.index) == {"fbank", "majority", "duration", "persistence"}
    assert table.loc["persistence", "downstream"] == "reference"
    assert "oracle" in table.loc["persistence", "marks"] and "oracle" not in str(table.loc["majority", "marks"])
