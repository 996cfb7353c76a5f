"""`emorep apply CELL a.wav b.wav`: what the kept heads of a cell give for files of the user's own.

A cell has a fitted head for each fold and seed. Their probabilities (of values, their predictions) are averaged, unless
one fold or one seed is named. What a head learnt beside, such as gender, stands in further columns; sequences, which
have no mean, where one head answers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":  # a signal during the imports that follow is one line
    from commons.early import begin

    begin()

from commons import commands, device, places
from commons.errors import EmorepError, NotThere, Refused, UnknownName, cut

if TYPE_CHECKING:
    import pandas as pd

    from cells.kept_heads import Head
    from commons.corridors.fitted import Answers, FurtherAnswers
    from commons.corridors.record import Record
    from commons.places import Places

PROGRAM = "python -m cells.apply"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0 done, 1 a file or the weights cannot be used, 2 a wrong request."""
    return commands.run(lambda: _apply(_parse(arguments)), warn, arguments=arguments)


def warn(message: str) -> None:
    """Say something that the user should know."""
    print(f"{commands.called(PROGRAM)}: {message}", file=sys.stderr)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    here = commands.Parser(
        prog=commands.called(PROGRAM),
        description="Class probabilities (or values) of audio files, by the weights that run --keep-weights left.",
        epilog="example: emorep apply results/emotion2vec/emodb/finetune.json call-1.wav call-2.wav",
    )
    add = here.add_argument
    add("cell", metavar="CELL", help="the file of a record, or UPSTREAM/TASK/HEAD in the results")
    add("audio", nargs="*", metavar="FILE", help="audio files")
    add("--text", metavar="FILE", type=Path,
        help="texts: a table of id and text, or a text on each line; beside audio, id is its file")  # fmt: skip
    add("--fold", metavar="NAME", help="the head of this fold alone (default: the mean of all)")
    add("--seed", type=commands.whole(0, commands.MOST_SEEDS), metavar="N", help="of this seed alone (default: all)")
    add("-u", "--upstream", metavar="NAME", help="where the upstream is now, if its name is a file's")
    add("--out", metavar="FILE", type=Path, help="a .csv or .parquet file (default: CSV on the output)")
    add("--device", choices=device.DEVICES, default="auto")
    places.add_to(here, "results", "cache")
    return here.parse_args(arguments)


def _apply(options: argparse.Namespace) -> int:
    if options.out is not None and options.out.suffix.lower() not in (".csv", ".parquet"):
        raise Refused(f"--out {options.out}: expected a name that ends with .csv or .parquet")
    where = places.chosen(options)
    results, record = _record(options.cell, where.results)
    from cells.kept_heads import Applied, heads_of

    heads = heads_of(results, record, options.fold, options.seed)
    table = _inputs(options, where, heads[0].modality)
    applied = Applied(where, device.choose(options.device), options.upstream, table)
    made = mean([applied.to(head) for head in heads])
    _say(heads)
    _write(_rows(made, heads[0].classes, table), options.out)
    return 0


def _record(cell: str, results: Path) -> tuple[Path, Record]:
    """The results folder and the record of a cell. Raises EmorepError: there is none, or it is damaged."""
    import leaderboard
    from leaderboard.records.record_store import examine

    path = Path(cell).expanduser()
    if cell.endswith(".json"):
        if not path.is_file():
            raise NotThere("record", path)
        results = path.absolute().parent.parent.parent
        record, damage = examine(results, path.absolute())
        if damage or record is None:
            raise EmorepError("\n".join(damage))
        return results, record
    if not results.is_dir():
        raise Refused(f"{results}: no such folder; name the folder of results with --results")
    records = {
        f"{one.cell.upstream}/{one.cell.task}/{one.cell.downstream}": one for one in leaderboard.load(results)[0]
    }
    if cell not in records:
        raise UnknownName("cell", cell, [name for name, one in records.items() if leaderboard.kept(results, one)])
    return results, records[cell]


def _inputs(options: argparse.Namespace, where: Places, modality: str) -> pd.DataFrame:
    """The utterances as a table. Raises EmorepError: what the upstream reads is missing or cannot be read."""
    from cells import applied_to

    wants_audio, wants_text = "audio" in modality, "text" in modality
    if wants_audio != bool(options.audio) or wants_text != bool(options.text):
        asked = {"audio": "audio files", "text": "texts (--text FILE)"}.get(modality, "audio files and --text FILE")
        raise Refused(f"the cell's upstream reads {modality}: name {asked}, and nothing else")
    if not wants_audio:
        return applied_to.texts(options.text)
    table = applied_to.audio([Path(name) for name in options.audio], where.cache)
    return applied_to.with_texts(table, options.text) if wants_text else table


def mean(several: Sequence[Answers]) -> Answers:
    """The mean of what the heads give, as float64. Sequences have none: they stay where there is one head."""
    import numpy as np

    from commons.corridors.fitted import Answers

    further: dict[str, list[FurtherAnswers]] = {}
    for own in (one for answers in several for one in answers.further):
        further.setdefault(own.name, []).append(own)
    scores = np.mean([one.scores.astype(np.float64) for one in several], axis=0)
    if left_out := [name for name, own in further.items() if own[0].scores is None and len(several) > 1]:
        warn(f"{', '.join(left_out)} left out: sequences of several heads have no mean; name one by --fold and --seed")
    return Answers(scores, tuple(_of_all(own) for name, own in further.items() if name not in left_out))


def _of_all(several: Sequence[FurtherAnswers]) -> FurtherAnswers:
    """The mean of what those heads give that learnt a target."""
    import numpy as np

    scores = [one.scores.astype(np.float64) for one in several if one.scores is not None]
    return replace(several[0], scores=np.mean(scores, axis=0)) if scores else several[0]


def _say(heads: Sequence[Head]) -> None:
    """Say whose predictions these are."""
    if len(heads) == 1:
        return
    folds, seeds = len({head.fold for head in heads}), len({head.seed for head in heads})
    warn(
        f"the mean of {len(heads)} heads ({folds} folds x {seeds} seeds). Figures in the tables are of each head on "
        "speakers that it does not know; the mean was not measured, and most heads know the speakers of the corpus"
    )


def _rows(made: Answers, classes: Sequence[str], table: pd.DataFrame) -> pd.DataFrame:
    """A row for each utterance: its name, the probability of each class, and the prediction; then further targets."""
    import numpy as np
    import pandas as pd

    rows = pd.DataFrame({"file" if "path" in table.columns else "id": list(table.index)})
    if not classes:
        return rows.assign(prediction=made.scores)

    def columns(prefix: str, name: str, names: Sequence[str], scores: np.ndarray) -> pd.DataFrame:
        shares = pd.DataFrame(scores, columns=[f"{prefix}:{one}" for one in names])
        return shares.assign(**{name: np.asarray(names, dtype=object)[scores.argmax(1)]})

    several = [rows, columns("score", "prediction", classes, made.scores)]
    for own in made.further:
        texts = pd.DataFrame({own.name: own.sequences})
        several.append(texts if own.scores is None else columns(own.name, own.name, own.classes, own.scores))
    return pd.concat(several, axis=1)


def _write(rows: pd.DataFrame, out: Path | None) -> None:
    from commons import files

    if out is None:
        sys.stdout.write(rows.to_csv(index=False, float_format="%.6g"))
        return
    content = rows.to_parquet(index=False) if out.suffix.lower() == ".parquet" else rows.to_csv(index=False)
    assert content is not None
    try:
        files.write(out, content)
    except OSError as error:
        raise EmorepError(f"{cut(str(out))}: cannot be written ({error.strerror or error})") from error


if __name__ == "__main__":
    sys.exit(main())
