"""Records of earlier versions, whose names alone tell what was derived from what, stay readable.

tests/leaderboard/schema_1.json was written by the first schema, names_alone.json by the last version before records
told these facts. Neither file ever changes.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import leaderboard
from commons.corridors.record import Record
from leaderboard import LeaderboardError
from leaderboard.boards import merging
from leaderboard.records import earlier, files, record_store
from leaderboard.records.comparable import aspect
from leaderboard.tables import transfers, views
from tasks import catalogue, definition
from tests.leaderboard import cells

HERE = Path(__file__).parent
NOTHING = {"derived": None, "aspect": "", "base": None, "sources": [], "source_corpora": [], "shots": None}
TASKS = {
    "emodb": {},
    "emobox:emodb": {},
    "csv:my/table": {},
    "csv:my/calls_intensity": {},
    "iemocap_arousal": {},
    "ravdess_intensity": {"aspect": "intensity"},
    "iemocap_next": {"aspect": "next turn"},
    "meld_binary": {"aspect": "polarity"},
    "transfer:emodb,urdu": {"derived": "transfer", "aspect": "transfer", "base": "urdu", "sources": ["emodb"]},
    "transfer-standardised:a, b": {
        "derived": "transfer-standardised", "aspect": "transfer-standardised", "base": "b", "sources": ["a"],
    },
    "across-languages:here,urdu": {
        "derived": "across-languages", "aspect": "across-languages", "base": "urdu", "sources": ["here"],
    },
    "shots:emodb,4": {"derived": "shots", "aspect": "shots 4", "base": "emodb", "shots": 4},
    "shots:csv:a,b/c,16": {"derived": "shots", "aspect": "shots 16", "base": "csv:a,b/c", "shots": 16},
    "labels:emodb,sadness+anger": {"derived": "labels", "aspect": "labels anger+sadness", "base": "emodb"},
    "gender:emodb": {"derived": "gender", "aspect": "gender", "base": "emodb"},
    "sentence:emodb": {"derived": "sentence", "aspect": "sentence", "base": "emodb"},
    "speaker:emodb": {"derived": "speaker", "aspect": "speaker", "base": "emodb"},
}  # fmt: skip
NOBODY = {"modality": "audio", "base": None, "ablation": None, "variant": None, "run": None, "step": None}
UPSTREAMS = {
    "emotion2vec": {},
    "hf:facebook/wav2vec2-base": {},
    "mine.py:Enc@weights/a.pt": {},
    "models/mine.py:Enc": {},
    "s3prl:wavlm_base_plus": {},
    "random:hubert_base@7": {"base": "hubert_base"},
    "emotion2vec:losses/frame": {"base": "emotion2vec", "ablation": "losses", "variant": "frame"},
    "emotion2vec@runs/mine/both/step-00001000.safetensors": {
        "base": "emotion2vec", "run": "emotion2vec@runs/mine/both", "step": 1000,
    },
    "emotion2vec@small~1a2b3c4d/step-00000002.safetensors": {
        "base": "emotion2vec", "run": "emotion2vec@small~1a2b3c4d", "step": 2,
    },
    "emotion2vec@step-00000003.safetensors~00000009": {"base": "emotion2vec", "run": "emotion2vec", "step": 3},
}  # fmt: skip


def as_read(results: Path, task: str, upstream: str) -> Record:
    """The record that is read where the first schema's has these names."""
    content = json.loads((HERE / "schema_1.json").read_text())
    content["cell"] |= {"task": task, "upstream": upstream}
    content["task"]["name"], content["upstream"]["name"] = task, upstream
    path = files.path_of(results, upstream, task, content["cell"]["downstream"])
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    record, damage = record_store.examine(results, path)
    assert not damage
    return record


def test_records_of_schema_1_stay_readable_for_ever(results):
    content = (HERE / "schema_1.json").read_text()
    record = Record.model_validate_json(content)
    assert record.scores.metrics["UA"].low < record.scores.metrics["UA"].value
    assert "emodb" in leaderboard.markdown([record])


@pytest.mark.parametrize("name", TASKS)
def test_what_a_task_was_derived_from_is_filled_in(results, name):
    task = as_read(results, name, "fbank").task
    assert {key: getattr(task, key) for key in NOTHING} == NOTHING | TASKS[name]
    assert aspect(task) == task.aspect


@pytest.mark.parametrize("name", UPSTREAMS)
def test_where_an_upstream_comes_from_is_filled_in(results, name):
    upstream = as_read(results, "emodb", name).upstream
    assert {key: getattr(upstream, key) for key in NOBODY} == NOBODY | UPSTREAMS[name]


def test_only_variants_of_ours_stand_in_tables_of_ablations(results):
    several = [as_read(results, "emodb", name) for name in UPSTREAMS]
    (table,), _ = views.ablations(results, several)
    assert table.title.startswith("losses of emotion2vec") and set(map(table.name, table.rows)) == {
        "frame",
        "emotion2vec",
    }


def test_a_filled_record_keeps_its_checksum(results):
    content = (HERE / "names_alone.json").read_text()
    assert "aspect" not in content
    path = files.path_of(results, "fbank", "transfer:emodb,urdu", "probe")
    path.parent.mkdir(parents=True)
    path.write_text(content)
    record, damage = record_store.examine(results, path)
    assert not damage and record.checksum == record_store.checksum(content)
    assert transfers.pair(record.task) == ("transfer", "emodb", "urdu")
    path.write_text(content.replace('"transfer:emodb,urdu"', '"transfer:emovo,urdu"', 1))
    assert record_store.examine(results, path)[1]


@pytest.mark.parametrize("name", catalogue.names())
def test_what_our_tasks_ask_is_filled_in(results, name):
    """Earlier records said it of derived tasks alone."""
    assert as_read(results, name, "fbank").task.aspect == definition.read(definition.path(name)).aspect


def test_facts_that_a_record_tells_are_never_taken_from_names(make, results):
    table = cells.utterances()
    made = cells.sections(table, name="shots:emodb,4", upstream="emotion2vec:losses/frame", aspect="")
    measured = cells.measured(made, cells.predict(table), table)
    says = {"derived": "transfer", "aspect": "of two", "base": "there", "sources": ["here"], "source_corpora": ["h"]}
    task = measured.task.model_copy(update=NOTHING | says)
    upstream = measured.upstream.model_copy(update=NOBODY)
    written = leaderboard.record(results, replace(measured, task=task, upstream=upstream))
    ((record,), _) = leaderboard.load(results)
    assert record == written and record.task == task and record.upstream == upstream
    assert transfers.pair(record.task) == ("transfer", "here", "there") and not views.ablations(results, [record])[0]


def test_a_cell_must_tell_what_its_task_asks(results):
    table = cells.utterances()
    measured = cells.measured(cells.sections(table), cells.predict(table), table)
    silent = replace(measured, task=measured.task.model_copy(update={"aspect": None}))
    with pytest.raises(LeaderboardError, match=r"task\.aspect"):
        leaderboard.record(results, silent)


def test_one_seed_of_a_head_that_draws_is_marked_in_records_of_before(make):
    record = make()
    for deterministic, seeds, marked in ((True, [0], False), (False, [0], True), (False, [0, 1], False)):
        changed = {
            "cell": record.cell.model_copy(update={"seeds": seeds}),
            "downstream": record.downstream.model_copy(update={"deterministic": deterministic}),
        }
        assert ("one_seed" in earlier.completed(record.model_copy(update=changed)).marks) == marked


def test_intervals_of_an_earlier_formula_are_marked_until_they_are_computed_again(make, results, tmp_path):
    record = make()
    scores = record.scores.model_copy(update={"intervals": 1})
    low = record.scores.metrics["UA"].model_copy(update={"low": 1.0})
    scores = scores.model_copy(update={"metrics": scores.metrics | {"UA": low}})
    path = files.path_of(results, "fbank", "emodb", "probe")
    record_store.put(path, record.model_copy(update={"scores": scores}))
    old, damage = leaderboard.load(results)
    assert damage == [] and old[0].marks == ["old_intervals"] and leaderboard.verify(results) == []
    merging.merge([str(results)], tmp_path / "board")
    (anew,), damage = leaderboard.load(tmp_path / "board")
    assert damage == [] and anew.marks == [] and anew.scores == record.scores
