"""Merging results of several people into one folder: each cell is proved before it is taken, and conflicts are told."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import commons.files
from commons.corridors.record import Record
from commons.errors import EmorepError, cut
from commons.marks import OLD_INTERVALS, UNVERIFIED
from leaderboard.boards import archive, withheld
from leaderboard.boards.conflicts import Verdict, compared
from leaderboard.errors import LeaderboardError
from leaderboard.records import files, openings, parquet, record_store, verify, weights
from leaderboard.records.comparable import Question, question
from leaderboard.records.differences import differences
from leaderboard.records.files import path_of, writing
from leaderboard.text import plain

if TYPE_CHECKING:
    import pandas as pd

    Facts = Callable[[Record], pd.DataFrame]  # of a record's task: a row an utterance, from a copy of the corpus

MOST_ROWS = 50_000_000  # of predictions
MOST_UNPACKED = 8 * 2**30  # bytes of a Parquet file's columns
MOST_COLUMNS = 5_000
MOST_OF_RECORD = archive.MOST_OF_RECORD


@dataclass
class Account:
    """What became of the cells of one source.

    Attributes:
        who: the contributor.
        counts: `brought`, `as the board has`, `kept the board's` and `refused`, and how many cells of each.
        remarks: what holds of many cells, such as that they come without targets, and of how many.
        lines: what people must know: conflicts, refusals, cells of another version of a task.
        wrong: whether a cell was refused or is in conflict.
    """

    who: str
    counts: Counter[str] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)
    wrong: bool = False


@dataclass(frozen=True)
class Brought:
    """A record that comes, proved.

    Attributes:
        path: its file; its Parquet files lie beside it.
        table: its predictions.
        filled: targets were added to the table, so that its file is another.
    """

    path: Path
    record: Record
    table: pd.DataFrame
    filled: bool = False


def merge(sources: Sequence[str], into: Path, *, prefer_new: bool = False, facts: Facts | None = None) -> list[Account]:
    """Add the cells of folders and archives to the results in `into`; returns an account of each source.

    How often tests were opened, which a folder says and an archive does not, is added as well.

    Args:
        sources: `PATH` or `NAME=PATH`, NAME being the contributor; else an archive's sender, or a folder's name.
        prefer_new: of two records of a cell that differ, take the one that comes; else the board's stands.
        facts: gives targets and groups from the receiver's copy of a corpus; raises EmorepError where it has none.

    Raises:
        LeaderboardError: a source is no folder of results and no archive, or `into` cannot be written.
    """
    board = _Board(into, prefer_new)
    said = []
    for source in sources:
        with _opened(source) as (folder, who):
            if folder.resolve() == into.resolve():
                raise LeaderboardError(f"{source}: is the folder to merge into; name other folders of results")
            account = Account(who)
            for path in files.paths(folder):
                try:
                    one, remarks = _with_targets(_proved(folder, path), facts)
                    account.remarks.update(remarks)
                    with commons.files.locked(into):
                        board.add(one, account)
                except EmorepError as error:
                    account.counts["refused"] += 1
                    account.wrong = True
                    account.lines.append(f"refused: {plain(str(error).replace(str(folder), who))}")
            with commons.files.locked(into):
                openings.take_over(folder, into)
        said.append(account)
    return said


@contextmanager
def _opened(source: str) -> Iterator[tuple[Path, str]]:
    """The folder of a source's records, and the contributor."""
    name, equals, rest = source.partition("=")
    given = name if equals and name and not Path(source).expanduser().exists() else ""
    path = Path(rest if given else source).expanduser()
    if given and (not given.isprintable() or len(given) > 100):
        raise LeaderboardError(f"{cut(source)}: a contributor's name is one line of 1 to 100 characters")
    if path.is_dir():
        yield path, given or _name_of(path)
    elif path.is_file():
        with tempfile.TemporaryDirectory() as folder:
            sender = archive.unpack(path, Path(folder))
            yield Path(folder), given or sender
    else:
        raise LeaderboardError(f"{path}: no such folder or archive; name folders of results, or archives of `submit`")


def _name_of(folder: Path) -> str:
    """What a folder of results is called: its own name, or that of the folder above it where it is `results`."""
    parts = [part for part in folder.absolute().resolve().parts if part != "results"]
    return plain(parts[-1])[:100] if len(parts) > 1 else "results"


def _proved(source: Path, path: Path) -> Brought:
    """A record with its stored predictions, from which all its figures follow.

    Raises:
        LeaderboardError: it is damaged, its figures do not follow, or its files are larger than allowed.
    """
    try:
        if path.stat().st_size > MOST_OF_RECORD:
            raise LeaderboardError(f"{path}: {path.stat().st_size} bytes; a record has up to {MOST_OF_RECORD}")
        record, damage = record_store.examine(source, path)
        if record and record.cell.limit is not None:
            damage = [*damage, f"{path}: a smoke run is no result"]
        if record and not damage:
            damage = _strange_names(path, record)
        if record and not damage:
            damage = parquet.damaged(path, record, contents=True) or _too_large(path, record)
        if record and not damage:
            record, damage = verify.examined(source, path)
        if damage or record is None:
            raise LeaderboardError("; ".join(damage) or f"{path}: is gone")
        return _with_intervals(Brought(path, record, parquet.stored(path, record)))
    except EmorepError:
        raise
    except Exception as error:  # what strangers wrote may break any assumption
        raise LeaderboardError(f"{path}: no usable record ({type(error).__name__}: {cut(str(error))})") from error


def _with_intervals(one: Brought) -> Brought:
    """The record with intervals of the formula of today, where its own are of an earlier one."""
    record = one.record
    if OLD_INTERVALS not in record.marks or "target" not in one.table:
        return one
    from leaderboard.records.scoring import score

    scores = verify.as_now(record.scores, score(one.table, record.task))
    marks = [mark for mark in record.marks if mark != OLD_INTERVALS]
    return replace(one, record=record.model_copy(update={"scores": scores, "marks": marks}))


def _strange_names(path: Path, record: Record) -> list[str]:
    """A line where a record names a file that is not its own: on the board it could take the place of another's."""
    return [
        f"{path}: names {cut(repr(file.name), 80)}, which is no file of this cell"
        for file in parquet.named(record)
        if not files.is_beside(file.name, path)
    ]


def _too_large(path: Path, record: Record) -> list[str]:
    """A line where a Parquet file would unpack to more than is taken: a small file may hold very many rows."""
    import pyarrow.parquet as pq

    for file in parquet.named(record):
        facts = pq.read_metadata(path.parent / file.name)
        unpacked = sum(facts.row_group(index).total_byte_size for index in range(facts.num_row_groups))
        if facts.num_rows > MOST_ROWS or unpacked > MOST_UNPACKED or facts.num_columns > MOST_COLUMNS:
            return [
                f"{file.name}: {facts.num_rows} rows, {facts.num_columns} columns, {unpacked} bytes: more than is taken"
            ]
    return []


def _with_targets(one: Brought, facts: Facts | None) -> tuple[Brought, list[str]]:
    """The record with targets of the receiver's copy where it lacks them; those that it has are compared with the copy.

    Returns:
        also a line where the copy is absent, or another one.

    Raises:
        LeaderboardError: targets, groups or figures are not those that follow from the copy.
    """
    from leaderboard.records.scoring import check, score

    record, table = one.record, one.table
    if facts is None:
        return one, [f"{UNVERIFIED}: it comes without targets; --data DIR adds them"] * ("target" not in table)
    try:
        own = facts(record)
    except EmorepError as error:
        return one, [f"targets are not compared with a copy of the corpus: {plain(str(error))}"]
    filled = "target" not in table
    if filled:
        table = withheld.completed(table, own)
        check(table, record.task)
        now = score(table, record.task)
        wrong = differences("scores", verify.as_now(record.scores, now), now)
    else:
        wrong = [f"{name}: not that of this copy" for name in withheld.differing(table, own)]
    if wrong:
        raise LeaderboardError(
            f"{_called(record)}: does not follow from this copy of the corpus: {'; '.join(wrong[:3])}"
        )
    marks = [mark for mark in record.marks if mark != UNVERIFIED]
    made = record.model_copy(update={"marks": marks})
    return _with_intervals(replace(one, record=made, table=table, filled=filled)), []


class _Board:
    """The results that others are merged into."""

    def __init__(self, into: Path, prefer_new: bool) -> None:
        self._into, self._prefer_new = into, prefer_new
        self._versions: dict[str, set[Question]] = {}
        for path in files.paths(into):
            with suppress(EmorepError, OSError):  # `verify` names what is damaged
                self._know(record_store.read(path)[0])

    def _know(self, record: Record) -> None:
        self._versions.setdefault(record.cell.task, set()).add(question(record))

    def add(self, one: Brought, account: Account) -> None:
        """Write a proved record, unless the board's own stands. The board is locked meanwhile."""
        record, place = one.record, path_of(self._into, *_cell(one.record))
        if record.contributor is None:
            record = record.model_copy(update={"contributor": account.who})
        mine, damage = record_store.examine(self._into, place)
        if mine and not damage:
            damage = parquet.damaged(place, mine, contents=True)
        if damage:
            account.lines.append(f"{_called(record)}: the board's own was damaged and is replaced: {'; '.join(damage)}")
            weights.remove(self._into, *_cell(record))
        elif mine and not self._gives_way(place, mine, one, account):
            return
        if {question(record)} < self._versions.get(record.cell.task, set()) | {question(record)}:
            version = f"version {record.task.version}, audit {record.task.audit[:8]}"
            account.remarks[f"{plain(record.cell.task)}: {version} is not the board's; in tables of its own"] += 1
        self._know(record)
        _write(place, replace(one, record=record))
        account.counts["brought"] += 1

    def _gives_way(self, place: Path, mine: Record, one: Brought, account: Account) -> bool:
        """Whether the board's own record gives way to one that comes; what differs is added to the account."""
        comparison = compared(mine, parquet.stored(place, mine), one.record, one.table)
        ours, theirs = ({*r.cell.seeds} for r in (mine, one.record))
        proved, comes_proved = (UNVERIFIED not in r.marks for r in (mine, one.record))
        unproved = comparison.verdict is Verdict.MORE_SEEDS and proved and not comes_proved
        if comparison.verdict is Verdict.MORE_SEEDS and not unproved:
            return True
        if comparison.verdict is Verdict.SAME:
            gains = comes_proved and not proved and ours <= theirs
            account.counts["as the board has"] += not gains
            return gains
        taken = "it takes the board's place" if self._prefer_new else "the board's stands (--replace takes this one)"
        doubt = ", which cannot be proved here" if unproved else ""
        account.lines.append(f"conflict: {_called(mine)}: {comparison.verdict.value}{doubt}; {taken}")
        account.lines += [f"  {line}" for line in comparison.lines]
        account.wrong |= comparison.verdict is not Verdict.ROUNDING
        account.counts["kept the board's"] += not self._prefer_new
        if self._prefer_new:  # those of the board are of another fit
            weights.remove(self._into, *_cell(mine))
        return self._prefer_new


def _write(place: Path, one: Brought) -> None:
    """Write the files of a record, then the record."""
    named = one.record.files
    with writing(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        if one.filled:
            named = named.model_copy(update={"predictions": parquet.save(place, "parquet", parquet.arrow(one.table))})
        for file in parquet.named(one.record):
            if not (one.filled and file == one.record.files.predictions):
                _copy(one.path, place, file.name)
    record_store.put(place, one.record.model_copy(update={"files": named}))


def _copy(path: Path, place: Path, name: str) -> None:
    """Copy a file that lies beside the record at `path` beside the one at `place`."""
    commons.files.write(place.parent / name, (path.parent / name).read_bytes())


def _cell(record: Record) -> tuple[str, str, str]:
    return record.cell.upstream, record.cell.task, record.cell.downstream


def _called(record: Record) -> str:
    return plain(" · ".join(_cell(record)))


def shares(records: Sequence[Record]) -> str:
    """Who brought how many of some records: `anna 3, ben 5, measured here 2`."""
    counts = Counter(record.contributor or "" for record in records)
    several = [f"{plain(name)} {n}" for name, n in sorted(counts.items()) if name]
    return ", ".join([*several, *([f"measured here {counts['']}"] if counts[""] else [])])
