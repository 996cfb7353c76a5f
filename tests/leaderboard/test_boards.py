"""A shared board: what is merged was proved, conflicts are told, archives give nothing away and do no harm."""

import hashlib
import json
import shlex
import shutil
import stat
import zipfile

import numpy as np
import pandas as pd
import pytest
import yaml

import leaderboard
from commons.corridors.record import Record
from commons.errors import EmorepError
from commons.marks import UNVERIFIED
from leaderboard import LeaderboardError
from leaderboard.__main__ import main
from leaderboard.boards import archive, merging, withheld
from leaderboard.records import parquet, record_store, weights
from leaderboard.records.files import path_of
from tests.leaderboard import cells

TABLE = cells.utterances(60, 6)
OPEN, CLOSED = "CC BY 4.0", "licence agreement; no redistribution"


def place(results, record):
    return path_of(results, record.cell.upstream, record.cell.task, record.cell.downstream)


def lab(folder, upstreams=("fbank",), seed=1, **names):
    """A folder of results with a cell for each upstream."""
    return [cells.make(folder, upstream=name, seed=seed + i, table=TABLE, **names) for i, name in enumerate(upstreams)]


def rewritten(results, record, **update) -> Record:
    """The record with other sections, written in its place."""
    return record_store.put(place(results, record), record.model_copy(update=update))


def facts(record):
    """The receiver's copy of the corpus."""
    columns = {"target": TABLE["emotion"], "group": TABLE["speaker"]} | {n: TABLE[n] for n in ("speaker", "gender")}
    return pd.DataFrame(columns)


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_two_labs_make_one_board_that_says_who_brought_what(tmp_path, capsys):
    anna, ben, board = tmp_path / "anna" / "results", tmp_path / "ben", tmp_path / "board"
    for record in lab(anna, ("fbank", "mfcc")):
        leaderboard.log_scoring(anna, record)
    (other,) = lab(ben, ("opensmile",), seed=7)
    line = '{"scored": "2026-01-01T00:00:00Z", "upstream": "a", "task": "emodb", "downstream": "probe"}'
    (ben / "scored.jsonl").write_text(f'{line}\n{line}\n{{"task": "emo')  # of an earlier version, killed
    leaderboard.log_scoring(ben, other)
    assert main(["merge", str(anna), f"Ben B.={ben}", "--into", str(board)]) == 0
    assert "anna 2, Ben B. 1" in capsys.readouterr().out.replace("Ben B. 1, anna 2", "anna 2, Ben B. 1")
    records, damage = leaderboard.load(board)
    assert {r.cell.upstream: r.contributor for r in records} == {"fbank": "anna", "mfcc": "anna", "opensmile": "Ben B."}
    assert damage == [] and leaderboard.verify(board) == [], "leaderboard.csv is there, too"
    assert leaderboard.openings(board) == {"emodb": 5}, "every opening of both"
    before = contents(board)
    assert main(["merge", str(anna), "--into", str(board)]) == 0
    assert contents(board) == before, "what is there already is not written again"
    onwards = tmp_path / "onwards"
    merging.merge([str(board)], onwards)
    assert {r.contributor for r in leaderboard.load(onwards)[0]} == {"anna", "Ben B."}


def told(board, theirs, **options):
    (account,) = merging.merge([str(theirs)], board, **options)
    return account, "\n".join(account.lines)


def test_of_two_records_of_a_cell_the_boards_stands_and_the_difference_is_told(tmp_path):
    board, theirs = tmp_path / "board", tmp_path / "theirs"
    (mine,) = lab(board)
    (other,) = lab(theirs, seed=9)
    account, text = told(board, theirs)
    value, their_value = (record.scores.metrics["UA"].value for record in (mine, other))
    assert account.wrong and "fbank · emodb · probe: more than rounding" in text
    assert f"UA {value:.1f} here, {their_value:.1f} there" in text and "of 120 predictions differ" in text
    assert leaderboard.find(board, "fbank", "emodb", "probe", verify=True) == mine
    cell = (mine.cell.upstream, mine.cell.task, mine.cell.downstream)
    weights.write(board, cell, mine.cell.key, mine.cell.seeds[0], lambda folder: {})
    account, text = told(board, theirs, prefer_new=True)
    stands = leaderboard.find(board, *cell, verify=True)
    assert stands.scores == other.scores and stands.contributor == "theirs"
    assert len(list(place(board, mine).parent.iterdir())) == 3, "files and weights of the one before are gone"


@pytest.mark.parametrize(("flipped", "processor", "verdict"), [
    (1, "B", "as rounding does"), (1, "A", "more than rounding"), (30, "B", "more than rounding"),
])  # fmt: skip
def test_the_processor_tells_rounding_from_a_real_difference(tmp_path, flipped, processor, verdict):
    board, theirs = tmp_path / "board", tmp_path / "theirs"
    (mine,) = lab(board)
    rewritten(board, mine, run=mine.run.model_copy(update={"processor": "A"}))
    made = cells.sections(TABLE)
    made["run"]["processor"] = processor
    predictions = cells.predict(TABLE, seed=1)
    column = predictions.table["prediction"].to_numpy(dtype=object).copy()
    column[:flipped] = np.where(column[:flipped] == "anger", "sadness", "anger")
    predictions.table["prediction"] = column
    leaderboard.record(theirs, cells.measured(made, predictions, TABLE))
    account, text = told(board, theirs)
    assert verdict in text and f"{flipped} of 120 predictions differ" in text
    assert account.wrong == (verdict != "as rounding does") and ("processor: A here, B there" in text) == (
        processor == "B"
    )


def test_cells_that_were_asked_otherwise_are_a_conflict_that_says_how(tmp_path):
    board, theirs = tmp_path / "board", tmp_path / "theirs"
    lab(board)
    lab(theirs, audit="b" * 64, version=2)
    account, text = told(board, theirs)
    assert account.wrong and "task version: 1 here, 2 there" in text and "audit: aaaaaaaa here, bbbbbbbb there" in text
    lab(theirs, ("mfcc",), audit="b" * 64)
    account, _ = told(board, theirs)
    assert any("version 1, audit bbbbbbbb is not the board's" in remark for remark in account.remarks)


def test_further_seeds_are_taken_and_fewer_are_not(tmp_path):
    board, theirs = tmp_path / "board", tmp_path / "theirs"
    for folder, seeds in ((board, [0]), (theirs, [0, 1])):
        made = cells.sections(TABLE)
        made["cell"]["seeds"] = seeds
        leaderboard.record(folder, cells.measured(made, cells.predict(TABLE, seeds=len(seeds), depth=None), TABLE))
    back, _ = told(theirs, board)
    account, _ = told(board, theirs)
    assert leaderboard.find(board, "fbank", "emodb", "probe").cell.seeds == [0, 1] and not account.wrong
    assert back.counts["as the board has"] == 1


@pytest.mark.parametrize("archive_first", [False, True])
def test_neither_proof_nor_a_seed_is_lost_to_the_other(tmp_path, archive_first):
    """Of a closed corpus an archive has no targets: it cannot be proved without a copy, and takes no proved one's place
    for a further seed; nor does the proved one take its place, and with it the seed."""
    one, two, board, path = (tmp_path / name for name in ("one", "two", "board", "a.zip"))
    for folder, seeds in ((one, [0]), (two, [0, 1])):
        made = cells.sections(TABLE, licence=CLOSED)
        made["cell"]["seeds"] = seeds
        leaderboard.record(folder, cells.measured(made, cells.predict(TABLE, seeds=len(seeds), depth=None), TABLE))
    archive.pack(two, leaderboard.load(two)[0], path, "Ben")
    first, second = (path, one) if archive_first else (one, path)
    told(board, first)
    account, text = told(board, second)
    stands = leaderboard.find(board, "fbank", "emodb", "probe", verify=True)
    assert stands.cell.seeds == ([0, 1] if archive_first else [0]) and (UNVERIFIED in stands.marks) == archive_first
    conflict = "further seeds, which cannot be proved here; the board's stands (--replace takes this one)"
    assert account.wrong == (conflict in text) == (not archive_first)


@pytest.mark.parametrize("how", ["figure", "bytes", "place", "huge", "name", "smoke"])
def test_a_record_that_proves_nothing_is_refused_by_name(tmp_path, monkeypatch, how):
    board, theirs = tmp_path / "board", tmp_path / "theirs"
    (record,) = lab(theirs)
    path = place(theirs, record)
    if how == "figure":
        score = record.scores.metrics["UA"].model_copy(update={"value": 99.0})
        scores = record.scores.model_copy(update={"metrics": record.scores.metrics | {"UA": score}})
        rewritten(theirs, record, scores=scores)
    elif how == "bytes":
        (path.parent / record.files.predictions.name).write_bytes(b"PAR1")
    elif how == "place":
        shutil.copytree(path.parent, theirs / "other" / "emodb")
        shutil.rmtree(path.parent)
    elif how == "name":  # that of a record, which would be overwritten on the board
        own = path.parent / record.files.predictions.name
        stolen = record.files.predictions.model_copy(update={"name": "superb.json"})
        own.rename(own.with_name("superb.json"))
        rewritten(theirs, record, files=record.files.model_copy(update={"predictions": stolen}))
    elif how == "smoke":
        rewritten(theirs, record, cell=record.cell.model_copy(update={"limit": 60}))
    else:
        monkeypatch.setattr(merging, "MOST_ROWS", 100)
    account, text = told(board, theirs)
    assert account.wrong and account.counts["refused"] >= 1 and "refused" in text
    assert not list(board.rglob("*.json"))


def packed(folder, out, **names):
    records = lab(folder, **names)
    archive.pack(folder, records, out, "Anna")
    return records[0]


def test_an_open_corpus_goes_whole_but_for_vectors_and_the_archive_is_always_the_same(tmp_path):
    mine, board = tmp_path / "mine", tmp_path / "board"
    record = packed(mine, tmp_path / "a.zip", licence=OPEN)
    archive.pack(mine, [record], tmp_path / "b.zip", "Anna")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    names = zipfile.ZipFile(tmp_path / "a.zip").namelist()
    assert len(names) == 3 and not [name for name in names if "vectors" in name]
    assert main(["merge", str(tmp_path / "a.zip"), "--into", str(board)]) == 0
    (stands,) = leaderboard.load(board)[0]
    assert stands.contributor == "Anna" and stands.files.vectors is None and UNVERIFIED not in stands.marks
    assert stands.files.predictions == record.files.predictions and leaderboard.verify(board) == []


def test_a_closed_corpus_keeps_its_labels_and_a_copy_of_it_brings_them_back(tmp_path, capsys):
    mine, board, path = tmp_path / "mine", tmp_path / "board", tmp_path / "a.zip"
    record = packed(mine, path, licence=CLOSED)
    with zipfile.ZipFile(path) as opened:
        for name in opened.namelist():
            (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "out" / name).write_bytes(opened.read(name))
    table = pd.read_parquet(next((tmp_path / "out").rglob("*.parquet")))
    assert not {"target", "group", "speaker", "gender"} & set(table.columns)
    assert {"id", "fold", "seed", "prediction", "score:anger"} <= set(table.columns)
    account, _ = told(board, path)
    (bare,) = leaderboard.load(board)[0]
    assert UNVERIFIED in bare.marks and sum(account.remarks.values()) == 1 and leaderboard.verify(board) == []
    for name, seed in (("good", 3), ("fair", 4)):
        cells.make(board, upstream=name, seed=seed, table=TABLE, licence=CLOSED)
    for command in ("verify", "csv", "table", "page", "compare", "methods"):
        assert main([command, "--results", str(board)]) == 0, command
    assert main(["compare", "fbank", "good", "--results", str(board)]) == 1
    assert "marked unverified lack targets" in capsys.readouterr().err
    assert main(["verify", "--results", str(board)]) == 0 and main(["table", "--results", str(board)]) == 0
    said = capsys.readouterr().out
    assert "1 cell without targets not recomputed" in said and f"{UNVERIFIED}: brought without targets" in said
    told(board, path, facts=facts)
    whole = leaderboard.find(board, "fbank", "emodb", "probe", verify=True)
    assert whole.files.predictions == record.files.predictions, "byte by byte what the sender has"
    leaderboard.csv(board)
    assert UNVERIFIED not in whole.marks and leaderboard.verify(board) == []


def test_targets_that_are_not_those_of_the_receivers_copy_are_refused(tmp_path):
    mine, path = tmp_path / "mine", tmp_path / "a.zip"
    packed(mine, path, licence=CLOSED)

    def other(record):
        return facts(record).assign(target=TABLE["emotion"].to_numpy()[::-1])

    def none(record):
        raise EmorepError("no such corpus")

    for source in (mine, path):
        account, text = told(tmp_path / "board", source, facts=other)
        assert account.wrong and "does not follow from this copy" in text
    account, _ = told(tmp_path / "board", path, facts=none)
    assert not account.wrong and "no such corpus" in next(iter(account.remarks))


def test_true_labels_as_predictions_are_not_sent(tmp_path):
    mine = tmp_path / "mine"
    kept, sent = lab(mine, ("fbank", "mfcc"), licence=CLOSED)
    kept = rewritten(mine, kept, marks=["oracle"])
    packed_now, left = archive.pack(mine, [kept, sent], tmp_path / "a.zip", "Anna")
    assert packed_now == 1 and "true labels" in left[0] and "fbank" in left[0]
    with pytest.raises(LeaderboardError, match="no cell is left"):
        archive.pack(mine, [kept], tmp_path / "b.zip", "Anna")
    assert not (tmp_path / "b.zip").exists()


def altered(path, change):
    """The archive with its entries, (ZipInfo, bytes) each, and its manifest changed by `change(entries, manifest)`."""
    with zipfile.ZipFile(path) as opened:
        entries = [(entry, opened.read(entry)) for entry in opened.infolist() if entry.filename != archive.MANIFEST]
        manifest = json.loads(opened.read(archive.MANIFEST))
    change(entries, manifest)
    with zipfile.ZipFile(path, "w") as opened:
        for entry, data in entries:
            opened.writestr(entry, data, entry.compress_type)
        opened.writestr(zipfile.ZipInfo(archive.MANIFEST), json.dumps(manifest))


def named(name, data=b"{}", mode=stat.S_IFREG | 0o644, compression=zipfile.ZIP_STORED):
    """A change that adds a file, which the manifest names truly."""

    def change(entries, manifest):
        entry = zipfile.ZipInfo(name)
        entry.external_attr, entry.compress_type = mode << 16, compression
        entries.append((entry, data))
        manifest["files"].append({"name": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)})

    return change


HOSTILE = {
    "a slip": named("../../evil.json"),
    "an absolute place": named("/tmp/evil.json"),
    "dots as a folder": named("a/../evil.json"),
    "a place of Windows": named("a\\b/c/d.json"),
    "a program": named("a/b/evil.py"),
    "a link": named("a/b/c.json", b"/etc/passwd", stat.S_IFLNK | 0o777),
    "a bomb": named("a/b/c.json", b"0" * 10_000_000, compression=zipfile.ZIP_DEFLATED),
    "an unnamed file": lambda entries, manifest: manifest["files"].pop(),
    "other bytes": lambda entries, manifest: manifest["files"][0].update(sha256="0" * 64),
    "a manifest of another form": lambda entries, manifest: manifest.update(format=2),
    "a name that acts on a terminal": lambda entries, manifest: manifest.update(contributor="\x1b[2J"),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_a_hostile_archive_is_refused_and_nothing_of_it_is_written(tmp_path, how):
    path, into = tmp_path / "a.zip", tmp_path / "deep" / "into"
    packed(tmp_path / "mine", path, licence=OPEN)
    altered(path, lambda entries, manifest: None)
    into.mkdir(parents=True)
    archive.unpack(path, into)
    shutil.rmtree(into)
    altered(path, HOSTILE[how])
    before = contents(tmp_path)
    into.mkdir()
    with pytest.raises(LeaderboardError, match=r"a\.zip: no archive of"):
        archive.unpack(path, into)
    assert contents(tmp_path).keys() - before.keys() <= {
        "deep/into/" + name for name in zipfile.ZipFile(path).namelist()
    }


@pytest.mark.parametrize("data", [b"", b"PK\x05\x06" + bytes(18), b"no zip at all" * 100])
def test_bytes_that_are_no_archive_are_refused(tmp_path, data):
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(LeaderboardError, match="ask the sender"):
        archive.unpack(tmp_path / "a.zip", tmp_path / "into")


def test_licences_that_are_not_plainly_open_keep_labels_back():
    shared = ("CC0", "CC BY 4.0, as its home page says", "CC BY-NC-SA 4.0", "MIT", "Open Database License 1.0")
    kept = ("CC BY-NC-ND 4.0", "research only", "the user's", "", "CC0 (a); research only (b)", CLOSED, "request form")
    assert all(map(withheld.may_be_shared, shared)) and not any(map(withheld.may_be_shared, kept))


def test_a_tables_columns_come_back_in_their_order(make, results):
    record = make(table=TABLE)
    table = leaderboard.predictions(results, record)
    bare = table.drop(columns=withheld.of_corpus(record.task, table))
    pd.testing.assert_frame_equal(withheld.completed(bare, facts(record)), table)
    assert parquet.packed("x", "parquet", parquet.arrow(table))[0].sha256 == record.files.predictions.sha256


def test_the_commands_of_the_public_boards_workflow_run(tmp_path, monkeypatch, capsys):
    example = cells.ROOT / "examples" / "board"
    workflow = yaml.safe_load((example / ".github" / "workflows" / "board.yml").read_text())
    steps = [step.get("run", "") for step in workflow["jobs"]["verify"]["steps"]]
    commands = [shlex.split(run)[3:] for run in steps if run.startswith("python -m leaderboard")]
    assert {command[0] for command in commands} == {"merge", "verify", "page"}
    packed(tmp_path / "mine", tmp_path / "a.zip", licence=CLOSED)
    monkeypatch.chdir(tmp_path)
    merging.merge(["a.zip"], tmp_path / "results")
    assert [main(command) for command in commands] == [0, 0, 0] and (tmp_path / "public" / "index.html").is_file()
    path = next((tmp_path / "results").rglob("probe.json"))
    path.write_text(path.read_text().replace('"value": ', '"value": 1'))
    assert all(main(command) for command in commands)
    assert "checksum" in capsys.readouterr().out
