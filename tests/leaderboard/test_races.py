"""Several processes at one folder of results, and bytes that change under a reader."""

import multiprocessing
import threading

import pytest

import leaderboard
from leaderboard.__main__ import main
from leaderboard.records import parquet, record_store
from leaderboard.tables import spreadsheet
from tests.leaderboard import cells


def rows(results):
    return len((results / "leaderboard.csv").read_text().splitlines()) - 1


def test_runs_that_end_together_lose_no_row_of_the_csv(make, results, monkeypatch):
    """While one run reads the records, another writes one and its own CSV; the older CSV must not be the last."""
    make()
    load, first = spreadsheet.load, [True]

    def meanwhile(folder):
        loaded = load(folder)
        if first:
            first.clear()
            make(upstream="mfcc")
            spreadsheet.write(results)
            assert rows(results) == 2
        return loaded

    monkeypatch.setattr(spreadsheet, "load", meanwhile)
    leaderboard.csv(results)
    assert rows(results) == 2 and spreadsheet.outdated(results) == []


def test_processes_that_write_one_folder_together_leave_every_row(results):
    """Each writes its record and then the CSV; whoever is last, the CSV is that of all records."""
    table = cells.utterances(40, 4)

    def work(upstream):
        cells.make(results, upstream=upstream, table=table, depth=None, pooled=False, seeds=1)
        leaderboard.csv(results)

    several = [multiprocessing.get_context("fork").Process(target=work, args=(f"u{i}",)) for i in range(6)]
    for one in several:
        one.start()
    for one in several:
        one.join()
    assert [one.exitcode for one in several] == [0] * 6
    assert rows(results) == 6 and spreadsheet.outdated(results) == []


def test_a_reader_during_a_replacement_finds_the_cell_whole(make, results, monkeypatch):
    """Between reading a record and looking for its files another process replaces both."""
    make()
    looked, first = parquet.damaged, [True]

    def meanwhile(path, record, **settings):
        if first:
            first.clear()
            make(seed=5)
        return looked(path, record, **settings)

    for problems in (lambda: leaderboard.load(results)[1], lambda: leaderboard.verify(results)):
        first[:] = [True]
        make(seed=1)
        monkeypatch.setattr(parquet, "damaged", meanwhile)
        assert problems() == []
        monkeypatch.setattr(parquet, "damaged", looked)
    first[:] = [True]
    make(seed=1)
    monkeypatch.setattr(parquet, "damaged", meanwhile)
    said = []
    assert leaderboard.find(results, "fbank", "emodb", "probe", warn=said.append) and not said


def test_readers_and_a_writer_at_once(make, results):
    make(seed=0, depth=None, pooled=False)
    table, done, problems = cells.utterances(), threading.Event(), []

    def write():
        for seed in range(1, 25):
            cells.make(results, seed=seed, table=table, depth=None, pooled=False)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        records, said = leaderboard.load(results)
        kept, lost = record_store.intact(results, records)
        problems += said + lost
        assert len(records) == len(kept) == 1
    writer.join()
    assert problems == []


def flipped(path, readable):
    """Flip one bit of a file so that `readable()` still is, and its figures are others; the last flip if none does."""
    whole = path.read_bytes()
    for position in range(len(whole) // 4, len(whole) // 2, 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        try:
            readable()
        except Exception:
            continue
        return


@pytest.mark.parametrize("command", [["compare"], ["compare", "good", "poor"], ["page"], ["plot", "ranks"],
                                     ["table", "--by", "family"]])  # fmt: skip
def test_a_flipped_bit_of_the_predictions_is_named_and_nothing_computed_on_it(make, results, capsys, command):
    import pyarrow.parquet as pq

    table = cells.utterances(300, 10)
    for upstream, right in (("good", 0.9), ("fair", 0.6), ("poor", 0.2)):
        broken = make(upstream=upstream, right=right, table=table)
    path = results / "poor" / "emodb" / broken.files.predictions.name
    flipped(path, lambda: pq.read_table(path))
    code = main([*command, "--results", str(results)])
    out, err = capsys.readouterr()
    assert code == 1 and path.name in err and "its sha256 is not the recorded one" in err
    assert command[0] != "compare" or "poor" not in out


def test_a_flipped_bit_of_the_vectors_costs_its_panel(make, results, capsys, flat):
    import pyarrow.parquet as pq

    broken = make()
    make(upstream="mfcc")
    path = results / "fbank" / "emodb" / broken.files.vectors.name
    flipped(path, lambda: pq.read_table(path))
    assert main(["umap", "--results", str(results), "--width", "page"]) == 1
    err = capsys.readouterr().err
    assert path.name in err and "its sha256 is not the recorded one" in err
