"""python -m upstreams strength train, score: frame scores of how strong the emotion is."""

from __future__ import annotations

import argparse
import math
import os
from dataclasses import asdict, replace
from pathlib import Path

from commons import places
from commons.commands import MOST_JOBS, whole
from upstreams.errors import UpstreamError
from upstreams.strength.settings import PUBLISHED, SHIPPED, USUAL

PICTURES = 6  # of scores, over the spectrograms of files spread over the speech


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the others."""
    strength = commands.add_parser("strength", help="how strong the emotion is, frame by frame")
    several = strength.add_subparsers(required=True, metavar="COMMAND")
    jobs = whole(1, MOST_JOBS)
    train = several.add_parser("train", help="learn it from tables of emotions")
    train.add_argument("tables", nargs="+", type=Path, metavar="CSV", help="path,speaker,emotion[,corpus]: whole files")
    train.add_argument("--output", type=Path, required=True, metavar="FILE", help="such as strength.safetensors")
    train.add_argument(
        "--epochs",
        type=whole(1),
        metavar="N",
        help=f"default: {USUAL.epochs}; with --published at most, {PUBLISHED.epochs}",
    )
    train.add_argument("--published", action="store_true", help="the paper's rate, batch, patience and dropout; slow")
    train.add_argument("--seed", type=whole(0), default=1, metavar="N")
    score = several.add_parser("score", help="write the scores of folders of speech")
    score.add_argument(
        "model", nargs="?", type=Path, default=SHIPPED, metavar="FILE", help="that train wrote; default: ours"
    )
    score.add_argument(
        "--data", dest="speech", nargs="+", type=Path, required=True, metavar="DIR", help="folders of speech"
    )
    score.add_argument("--speakers", nargs="+", type=Path, default=[], metavar="CSV",
                       help="path,speaker[,emotion,corpus]: who speaks, and which files are neutral (heeded where the "
                       "model knows the corpus); of other files a folder counts as a speaker")  # fmt: skip
    score.add_argument("--output", type=Path, required=True, metavar="FILE", help="such as scores.parquet")
    score.add_argument("--min-seconds", type=float, default=0.5, metavar="S", help="shorter files are skipped")
    score.add_argument("--max-seconds", type=float, default=20.0, metavar="S", help="longer files are scored in parts")
    score.add_argument("--pictures", type=Path, metavar="DIR", help="draw some of the scores over their spectrograms")
    for command, run in ((train, _train), (score, _score)):
        places.add_to(command, "cache")
        command.add_argument("--jobs", type=jobs, default=os.cpu_count() or 1, metavar="N")
        command.set_defaults(run=run)


def _train(arguments: argparse.Namespace) -> int:
    from commons import hashing
    from upstreams.extraction import Extraction
    from upstreams.pretraining.checkpoints import Facts
    from upstreams.strength import model, ranking, table, training

    _writable(arguments.output)
    rows = table.load(arguments.tables)
    held_out = table.held_out(rows)
    audio = training.audio_of(rows, arguments.jobs)
    values = training.functionals(audio, Extraction(places.chosen(arguments).cache, "cpu", arguments.jobs))
    wanted = ranking.strengths(ranking.learnt(values, audio), values, audio)
    others = ranking.learnt(values[~held_out], audio[~held_out])
    shares = ranking.ordered(others, values[held_out], audio[held_out])
    for emotion in sorted(set(audio["emotion"]) - {table.NEUTRAL}):
        share = f"{100 * shares[emotion]:.1f} %" if emotion in shares else "none"
        print(f"{emotion}: {share} of pairs of speakers held out ranked above neutral by the ranking of the others; "
              f"mean strength {wanted[audio['emotion'] == emotion].mean():.2f}")  # fmt: skip

    usual = PUBLISHED if arguments.published else USUAL
    settings = replace(usual, epochs=arguments.epochs or usual.epochs, seed=arguments.seed)
    facts: Facts = {
        "recipe": asdict(settings),
        "hours": round(float(audio["duration"].sum()) / 3600, 2),
        "audio": hashing.of_json(list(audio["sha256"])),
    }
    if (seen := table.seen(rows)) is not None:
        facts["seen"] = seen

    def after(epoch: training.Epoch, network: model.StrengthNet) -> None:
        error = (
            f"error {epoch.error:.3f} (a constant {epoch.constant:.3f}, the best for them {epoch.best_constant:.3f})"
        )
        accuracy = f"emotion {100 * epoch.accuracy:.0f} %"
        print(f"epoch {epoch.number}: loss {epoch.loss:.3f}; speakers held out: {error}, {accuracy}", flush=True)
        if settings.patience is not None and epoch.best:  # so that a kill loses no more than what comes after
            model.save(arguments.output, network, facts)

    network = training.fit(training.spectra(audio), wanted, audio["emotion"], held_out, settings, after)
    model.save(arguments.output, network, facts)
    print(f"{arguments.output}: {sum(p.numel() for p in network.parameters()) / 1e6:.2f} M parameters")
    return 0


def _score(arguments: argparse.Namespace) -> int:
    from commons import hashing
    from commons.progress import bar
    from upstreams.pretraining import scores
    from upstreams.pretraining.batches import SAMPLE_RATE
    from upstreams.pretraining.pack import Bounds, build
    from upstreams.strength import model, scoring, table

    _writable(arguments.output)
    least = model.FFT / SAMPLE_RATE
    if not 2 * least <= 2 * arguments.min_seconds <= arguments.max_seconds < math.inf:
        raise UpstreamError(f"expected --min-seconds of at least {least:g}, and --max-seconds of at least twice that")
    if arguments.pictures and (said := places.unwritable(arguments.pictures)):
        raise UpstreamError(f"--pictures: {said}")
    network, facts = model.load(arguments.model)
    if "seen" not in facts:
        raise UpstreamError(
            f"{arguments.model}: does not say whose labels it was learnt from; train it on tables with a column corpus"
        )
    known = table.voices(arguments.speakers, facts["seen"])
    with bar("decoding speech", "files") as progress:
        bounds = Bounds(arguments.min_seconds, arguments.max_seconds)
        pack = build(arguments.speech, places.chosen(arguments).cache, bounds, arguments.jobs, progress)
    voices = scoring.voices(pack, arguments.speech, known)
    of_files = dict(zip(pack.names, voices, strict=True))
    named, calm = {one.name for one in known.values()}, {one.name for one in voices if one.neutral}
    if known and not named & {one.name for one in voices}:
        raise UpstreamError(
            f"--speakers: {arguments.speakers[0]} names no file of the speech, but {next(iter(known))} and the "
            "like; name a table of these very files"
        )
    origin = f"{arguments.model.name}, sha256 {hashing.of_file(arguments.model)[:16]}"
    with bar("scoring", "utterances") as progress:
        shown: list[scores.Scored] = []
        scored = scoring.of_pack(network, pack, voices, progress)
        scored = scoring.noting(scored, scoring.spread(pack, PICTURES), shown)
        frames = scores.write(arguments.output, scored, facts["seen"], origin)
    print(f"{arguments.output}: {len(of_files)} files, {frames} frames; {len(pack.skipped)} files skipped")
    to_calm = sum(one.name in calm for one in of_files.values())
    to_all = sum(one.name in named - calm for one in of_files.values())
    print(f"energies are relative to the speaker's neutral files in {to_calm} files, to all of the speaker's in "
          f"{to_all}, to all of a folder in {len(of_files) - to_calm - to_all}")  # fmt: skip
    if arguments.pictures:
        scoring.pictures(arguments.pictures, pack, shown)
        print(f"{arguments.pictures}: {len(shown)} pictures")
    return 0


def _writable(path: Path) -> None:
    """Raises UpstreamError before hours of work whose result could not be written."""
    if not path.parent.is_dir():
        raise UpstreamError(f"{path}: the folder {path.parent} does not exist; make it, or name another place")
    if path.is_dir():
        raise UpstreamError(f"{path} is a folder; name a file in it")
    if said := places.unwritable(path.parent):
        raise UpstreamError(said)
