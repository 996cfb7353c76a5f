"""Records: whole or absent, inside their folder whatever they are called, and provable."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import leaderboard
from commons.corridors.predictions import Predictions
from commons.corridors.record import Record
from commons.corridors.record_keys import keys
from leaderboard import LeaderboardError
from leaderboard.records import files, parquet
from leaderboard.records.earlier import completed
from leaderboard.records.record_store import checksum
from tests.leaderboard import cells

HERE = Path(__file__).parent


def contents(results: Path) -> dict[str, bytes]:
    return {str(p.relative_to(results)): p.read_bytes() for p in results.rglob("*") if p.is_file()}


def test_what_is_written_is_found_again(make, results):
    record = make()
    assert leaderboard.find(results, "fbank", "emodb", "probe", verify=True) == record
    assert leaderboard.find(results, "mfcc", "emodb", "probe") is None
    assert leaderboard.load(results) == ([record], [])
    assert leaderboard.verify(results) == []


def seeds_recorded(results, seeds, extends=None, edge=False, commit=None, draws=True, **changed):
    """Record some seeds of one made-up head, which draws or says that it does not; no seed depends on the others."""
    table = cells.utterances()
    drawn = [cells.predict(table, seeds=1, depth=None, seed=10 + s) for s in seeds]
    for s, one in zip(seeds, drawn, strict=True):
        one.table["seed"] = s
    predictions = Predictions(
        table=pd.concat([one.table for one in drawn], ignore_index=True),
        choices=[c | {"seed": s, "edge": edge} for s, one in zip(seeds, drawn, strict=True) for c in one.choices],
        layer_weights=[[0.25 + s, 0.75 - s] for s in seeds for _ in range(6)],
        outputs=np.full((len(table), 4), float(seeds[0]), np.float16),
    )
    made = cells.sections(table, head="superb", **changed)
    made["cell"]["seeds"] = list(seeds)
    made["downstream"]["deterministic"] = not draws
    made["run"]["git_commit"] = commit
    return leaderboard.record(results, cells.measured(made, predictions, table), extends)


def test_seeds_added_to_a_record_leave_what_all_at_once_leave(results, tmp_path):
    two = seeds_recorded(results, [0, 1])
    four = seeds_recorded(results, [2, 3], extends=two)
    at_once = seeds_recorded(tmp_path / "at once", [0, 1, 2, 3])
    for part in ("cell", "scores", "chosen", "marks", "files"):
        assert getattr(four, part) == getattr(at_once, part)
    assert leaderboard.find(results, "fbank", "emodb", "superb", verify=True) == four
    assert leaderboard.verify(results) == []


def test_runs_of_other_facts_stand_beside_the_last_one(results):
    record = None
    for seed, commit in enumerate(["a", "a", "b", "a", "c"]):
        record = seeds_recorded(results, [seed], extends=record, commit=commit)
    assert [run.git_commit for run in record.earlier_runs] == ["b", "a"]
    assert record.run.git_commit == "c"
    assert leaderboard.find(results, "fbank", "emodb", "superb") == record


def test_nothing_is_added_to_damaged_predictions(results):
    two = seeds_recorded(results, [0, 1])
    (path,) = results.rglob(two.files.predictions.name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(LeaderboardError, match=r"sha256.*\n.*--force"):
        seeds_recorded(results, [2], extends=two)


def test_edge_is_said_where_most_choices_lay_at_one(results):
    inside = seeds_recorded(results, [0, 1])
    assert "edge" not in inside.marks
    assert "edge" not in seeds_recorded(results, [2], extends=inside, edge=True).marks  # a third of them
    at_ends = seeds_recorded(results, [0], edge=True)
    assert "edge" in at_ends.marks
    assert "edge" not in seeds_recorded(results, [1, 2], extends=at_ends).marks


def test_one_seed_of_a_head_that_draws_is_marked_until_there_is_another(results, tmp_path):
    one = seeds_recorded(results, [1])
    assert "one_seed" in one.marks
    assert "one_seed" not in seeds_recorded(results, [0], extends=one).marks
    assert "one_seed" not in seeds_recorded(tmp_path / "other", [0], draws=False).marks, "one is all there is"


def test_the_parquets_hold_what_the_design_says(make, results):
    record = make(seeds=2)
    table = leaderboard.predictions(results, record)
    head = ["id", "fold", "seed", "target", "prediction"]
    scores = [f"score:{name}" for name in cells.CLASSES]
    assert list(table.columns) == [*head, *scores, "group", "speaker", "gender", "layer:0", "layer:1", "layer:2"]
    assert (table.dtypes[scores] == np.float32).all() and len(table) == record.files.predictions.rows == 240
    assert (table["layer:0"].notna() == (table["seed"] == 0)).all()
    vectors = pq.read_table(results / "fbank" / "emodb" / record.files.vectors.name)
    assert vectors.column_names == ["id", "fold", "pooled"] and vectors.num_rows == 120
    assert np.stack(vectors["pooled"].to_pandas()).dtype == np.float16


def test_no_path_of_this_machine_leaves_it(make, results):
    make()
    for name, content in contents(results).items():
        assert b"/home/" not in content, name
    frame = leaderboard.predictions(results, leaderboard.load(results)[0][0])
    assert not frame.astype(str).apply(lambda column: column.str.contains("/home/")).to_numpy().any()


HOSTILE = [
    "hf:org/model", "random:x", "../evil", ".", "..", "...", "limited", "a b", "a/../../b", "C:\\x", "ä%2F", "=cmd()",
    "models/mine.py:Mine", "x\ny", "hf:" + "long/" * 80, "hf:" + "long/" * 80 + "er", "情" * 40,
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_stays_inside_and_comes_back(results, name):
    made = [cells.make(results, upstream=name), cells.make(results, name=name), cells.make(results, head=name)]
    assert {p.parents[2] for p in results.rglob("*.json")} == {results}
    assert all(p.is_relative_to(results) for p in (q.resolve() for q in results.parent.rglob("*.parquet")))
    loaded, problems = leaderboard.load(results)
    assert not problems and len(loaded) == 3
    for record in map(completed, made):  # a name such as random:x tells that the weights are a draw
        cell = record.cell
        assert leaderboard.find(results, cell.upstream, cell.task, cell.downstream) == record


def test_short_names_stay_where_they_are(results):
    for name in ("hf:org/model", "limited", "x" * 150):
        part = files.encode(name)
        assert len(part) <= 150 and (unquote(part) == name)
    assert {len(files.encode("x" * n)) for n in (151, 255, 5000)} == {150}


def test_names_never_meet_in_one_file(results):
    paths = {files.path_of(results, name, "t", "d") for name in HOSTILE}
    assert len(paths) == len(HOSTILE)


def test_smoke_runs_are_a_folder_of_their_own(make, results):
    make()
    cells.make(results / "limited", upstream="mfcc")
    assert [r.cell.upstream for r in leaderboard.load(results)[0]] == ["fbank"]
    assert [r.cell.upstream for r in leaderboard.load(results / "limited")[0]] == ["mfcc"]
    assert "mfcc" not in leaderboard.csv(results).read_text()


def test_a_new_result_takes_the_place_of_the_old(make, results):
    old, new = make(seed=1), make(seed=2)
    folder = results / "fbank" / "emodb"
    assert {p.name for p in folder.iterdir()} == {"probe.json", new.files.predictions.name, new.files.vectors.name}
    assert old.files.predictions.name != new.files.predictions.name
    other = make(head="probe_stats")
    make(seed=3)
    assert leaderboard.find(results, "fbank", "emodb", "probe_stats", verify=True) == other


def test_what_killed_runs_left_goes_with_the_next_record_a_day_later(make, results):
    orphan = make(seed=1).files.predictions.name
    folder = results / "fbank" / "emodb"
    (folder / "probe.json").unlink()  # as if the disk had been full when the record was to be written
    other = make(head="probe.x")  # a head whose files have names much like it
    left = [folder / orphan, folder / ".probe.json.abc.tmp"]
    young = folder / f"probe.{'0' * 12}.parquet"
    for path in (left[1], young):
        path.touch()
    kept = [folder / "notes.parquet", folder / other.files.predictions.name]
    kept[0].touch()
    for path in (*left, *kept):
        os.utime(path, (time.time() - 90_000,) * 2)
    make(seed=2)
    assert not any(path.exists() for path in left) and all(path.exists() for path in (*kept, young))
    assert leaderboard.verify(results) == []


@pytest.mark.parametrize("survives", range(3))
def test_an_end_at_any_write_leaves_the_old_result_whole(make, results, monkeypatch, survives):
    """The new one is two Parquets and the record; the process may end before each of them."""
    old = make(seed=1)
    replace, done = os.replace, []

    def replace_some(source, target):
        if len(done) == survives:
            raise KeyboardInterrupt
        done.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_some)
    table = cells.utterances(seed=7)
    with pytest.raises(KeyboardInterrupt):
        cells.make(results, seed=2, table=table)
    monkeypatch.undo()
    assert leaderboard.find(results, "fbank", "emodb", "probe", verify=True) == old
    assert leaderboard.verify(results) == [] and not list(results.rglob("*.tmp"))


def test_killed_while_recording_again_and_again(results):
    """kill -9 at any moment: what is found is one of the two results, whole."""
    code = (
        "import sys; from pathlib import Path; from tests.leaderboard import cells\n"
        "for seed in range(10**6): cells.make(Path(sys.argv[1]), seed=seed % 2); print(flush=True)"
    )
    for lines in (1, 3, 4):
        root = HERE.parents[1]
        process = subprocess.Popen([sys.executable, "-c", code, results], cwd=root, stdout=subprocess.PIPE)
        for _ in range(lines):
            process.stdout.readline()
        process.kill()
        process.communicate()
        warnings = []
        assert leaderboard.find(results, "fbank", "emodb", "probe", verify=True, warn=warnings.append), warnings


def test_a_full_disk_is_told_and_keeps_the_old_result(make, results, monkeypatch):
    old = make(seed=1)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LeaderboardError, match=r"fbank/emodb/probe.json.*No space left"):
        make(seed=2)
    with pytest.raises(LeaderboardError, match=r"leaderboard.csv.*No space left"):
        leaderboard.csv(results)
    monkeypatch.undo()
    assert leaderboard.find(results, "fbank", "emodb", "probe", verify=True) == old
    assert not list(results.rglob("*.tmp"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def flip_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "truncated JSON": ("probe.json", cut, True),
    "empty JSON": ("probe.json", lambda p: p.write_bytes(b""), True),
    "unknown key": ("probe.json", lambda p: p.write_text(p.read_text().replace('"created"', '"creatd"')), True),
    "truncated predictions": ("probe.????????????.parquet", cut, True),
    "truncated vectors": ("probe.*.vectors.parquet", cut, True),
    "no predictions": ("probe.????????????.parquet", Path.unlink, True),
    "flipped byte": ("probe.????????????.parquet", flip_byte, False),
}


def test_a_record_in_the_wrong_place_is_no_result(make, results):
    """A folder copied to another name must not count as another upstream."""
    make()
    shutil.copytree(results / "fbank", results / "wavlm")
    loaded, problems = leaderboard.load(results)
    assert len(loaded) == 1 and "wavlm/emodb/probe.json: holds the record of fbank" in problems[0]
    assert leaderboard.find(results, "wavlm", "emodb", "probe") is None and leaderboard.verify(results) == problems


@pytest.mark.parametrize("pattern, damage, cheap", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_reported_by_file_and_the_rest_stands(make, results, pattern, damage, cheap):
    """`cheap`: seen without reading the Parquet files."""
    make()
    good = make(upstream="mfcc")
    damage(next((results / "fbank" / "emodb").glob(pattern)))
    for verify in (False, True):
        warnings = []
        record = leaderboard.find(results, "fbank", "emodb", "probe", verify=verify, warn=warnings.append)
        assert bool(warnings) == (record is None) == (cheap or verify)
    loaded, problems = leaderboard.load(results)
    assert good in loaded and bool(problems) == cheap
    problems = leaderboard.verify(results)
    assert len(problems) == 1 and "probe." in problems[0]


def test_any_flipped_digit_of_a_record_is_damage(make, results):
    """A figure that is not what was written must not be shown as the result, wherever it stands."""
    make()
    path = results / "fbank" / "emodb" / "probe.json"
    whole = path.read_text()
    path.write_text(json.dumps(json.loads(whole), sort_keys=True))
    assert leaderboard.load(results)[1] == [], "only the content counts"
    digits = [m.start() for m in re.finditer(r"(?<=[ \d])\d(?=[\d,.\n])", whole)]
    for at in digits[:: len(digits) // 40]:
        flipped = whole[:at] + str((int(whole[at]) + 1) % 10) + whole[at + 1 :]
        if whole[at] == "9" and whole[at + 1].isdigit() and not whole[at - 1].isdigit():
            continue  # a number that begins with 0 is no JSON
        if json.loads(flipped) == json.loads(whole):
            continue  # the 17th digit of a float may leave its value
        path.write_text(flipped)
        warnings = []
        assert leaderboard.find(results, "fbank", "emodb", "probe", warn=warnings.append) is None
        assert leaderboard.load(results)[0] == [] and re.search("run the cell again|newer emorep", warnings[0])
    path.write_text(whole)
    assert leaderboard.load(results)[1] == []


def test_a_record_without_a_checksum_is_an_old_one(make, results):
    record = make()
    path = results / "fbank" / "emodb" / "probe.json"
    path.write_text(record.model_dump_json(exclude={"checksum": True, "task": {"corpora_of_family"}}))
    assert leaderboard.find(results, "fbank", "emodb", "probe").scores == record.scores
    assert leaderboard.verify(results) == []


def rewrite(results: Path, record: Record, change) -> None:
    """Change the predictions and make the record name the changed file, as a forger would."""
    path = files.path_of(results, "fbank", "emodb", "probe")
    table = leaderboard.predictions(results, record)
    change(table)
    file = parquet.save(path, "parquet", parquet.arrow(table))
    named = record.files.model_copy(update={"predictions": file})
    content = record.model_copy(update={"files": named}).model_dump_json()
    path.write_text(json.dumps(json.loads(content) | {"checksum": checksum(content)}))


def flip(column: str):
    def change(table: pd.DataFrame) -> None:
        was = table.loc[3, column]
        table.loc[3, column] = next(name for name in cells.CLASSES if name != was)

    return change


def regroup(table: pd.DataFrame) -> None:
    table.loc[3, "group"] = "s0"


@pytest.mark.parametrize("change", [flip("prediction"), flip("target"), flip("layer:2"), regroup])
def test_verify_finds_one_changed_cell_of_the_predictions(make, results, change):
    record = make()
    rewrite(results, record, lambda table: None)
    assert leaderboard.verify(results) == []
    rewrite(results, record, change)
    assert any("not those of the predictions" in line for line in leaderboard.verify(results))


def leaves(value, at=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*at, index))
    elif isinstance(value, int | float):
        yield at


def test_verify_finds_any_changed_figure(make, results):
    make()
    path = results / "fbank" / "emodb" / "probe.json"
    whole = json.loads(path.read_text())
    places = list(leaves(whole["scores"]))
    assert len(places) > 80
    for place in places:
        forged = json.loads(json.dumps(whole))
        inner = forged["scores"]
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] += 1
        path.write_text(json.dumps(forged))
        assert any(str(place[-1]) in line for line in leaderboard.verify(results)), place


def test_verify_finds_a_hidden_contamination_and_an_outdated_csv(make, results):
    make(seen={"emodb": "labels"})
    leaderboard.csv(results)
    path = results / "fbank" / "emodb" / "probe.json"
    path.write_text(path.read_text().replace('"marks": [\n  "contaminated:labels"\n ]', '"marks": []', 1))
    problems = leaderboard.verify(results)
    assert any("contaminated:labels missing" in line for line in problems)
    assert any("leaderboard.csv" in line for line in problems)


def test_same_names_what_differs(make):
    first, again, other = make(seed=1), make(seed=1), make(seed=2)
    assert leaderboard.same(first, again) == []
    lines = leaderboard.same(first, other)
    assert any(line.startswith("scores.metrics.UA.value") for line in lines) and "predictions: sha256" in lines[-1]


def test_a_newer_schema_says_so(make, results):
    make()
    path = results / "fbank" / "emodb" / "probe.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 99'))
    assert "newer emorep (schema 99)" in leaderboard.load(results)[1][0]


def test_every_key_is_explained():
    assert all(explanation for _, explanation in keys())
    assert len(keys()) > 90
