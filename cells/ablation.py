"""Ablations: variants are trained if they are missing, measured as ordinary cells, and shown in a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import leaderboard
import upstreams
from cells import engines
from cells.jobs import Pretrain
from cells.plan import Plan
from commons.errors import EmorepError

if TYPE_CHECKING:
    from cells.request import Request
    from cells.workplace import Workplace
    from commons.corridors.record import Record
    from upstreams import Ablation


def trained(request: Request, place: Workplace, warn: Callable[[str], None]) -> tuple[Request, dict[str, str]]:
    """The request plus an upstream for each variant; and absent variants, each with the reason.

    Variants that are not trained yet are trained now, as jobs of the request's engine, unless the request only looks
    ahead. A request without an ablation is returned as it is.

    Raises:
        EmorepError: no variant can be trained.
    """
    ablation = request.ablation
    if ablation is None:
        return request, {}
    failed = _train(request, ablation, place, warn)
    absent = {variant: failed[name] for variant in ablation.variants if (name := ablation.upstream(variant)) in failed}
    if len(absent) == len(ablation.variants) and not request.looks:
        reasons = "".join(f"\n  {variant}: {why}" for variant, why in absent.items())
        raise EmorepError(f"no variant of {ablation.name} can be trained:{reasons}")
    variants = [
        upstreams.resolve(ablation.upstream(variant), request.places)
        for variant in ablation.variants
        if variant not in absent
    ]
    return replace(request, upstreams=tuple(dict.fromkeys([*request.upstreams, *variants]))), absent


def _train(request: Request, ablation: Ablation, place: Workplace, warn: Callable[[str], None]) -> dict[str, str]:
    """Train the missing variants; returns why each that is still missing is."""
    jobs = _jobs(request, ablation)
    if request.looks:
        return {job.id: _ahead(job) for job in jobs}
    outcomes = list(engines.outcomes(request, place, Plan(tuple(jobs), (), ()), warn))
    if len(outcomes) < len(jobs):
        raise EmorepError("the run was cancelled; what was trained is kept; the same command goes on from there")
    return {outcome.job: " ".join(outcome.failure.split()) for outcome in outcomes if outcome.failure}


def _ahead(job: Pretrain) -> str:
    """What the training of a variant is."""
    try:
        recipe = job.ablation.recipe(job.variant)
    except EmorepError as error:
        return str(error)
    steps, seconds = recipe.optimiser.steps, recipe.batch.seconds
    return f"{steps:,} steps of {seconds:g} s, {steps * seconds / 3600:,.1f} h of audio in all, then its cells"


def _jobs(request: Request, ablation: Ablation) -> list[Pretrain]:
    """A job for each variant that is not trained yet; its id is the name of the upstream."""
    known = {ablation.name: ablation}
    files = {name: str(Path(file).expanduser().absolute()) for name, file in request.files}
    jobs = []
    missing = upstreams.missing(ablation, request.places, files, request.speech, request.seen)
    names = {}
    for run in missing:
        name, variant = run
        known[name] = own = known.get(name) or upstreams.ablation(name)
        names[run] = own.upstream(variant)
    for run, before in missing.items():
        jobs.append(
            Pretrain(
                id=names[run],
                ablation=_anywhere(known[run[0]]),
                variant=run[1],
                speech=tuple(folder.absolute() for folder in request.speech),
                runs=request.places.runs.expanduser().absolute(),
                seen=request.seen,
                files=files,
                setting=request.setting,
                after=tuple(names[one] for one in before),
            )
        )
    return jobs


def _anywhere(ablation: Ablation) -> Ablation:
    """The ablation with a recipe file of the user's by its absolute path."""
    path = Path(ablation.config).expanduser()
    return ablation.model_copy(update={"config": str(path.absolute())}) if path.is_file() else ablation


def failed(request: Request, absent: Mapping[str, str]) -> list[str]:
    """The absent variants, but for those that need a file which the user did not name."""
    return [variant for variant in absent if not _lacks_a_file(request, variant)]


def _lacks_a_file(request: Request, variant: str) -> bool:
    given = dict(request.files)
    try:
        recipe = request.ablation.recipe(variant) if request.ablation else None
    except EmorepError:
        return False
    named = (recipe.init, recipe.score_file) if recipe else ()
    return any(file.startswith("$") and file[1:] not in given for file in named if file)


def show(request: Request, records: Sequence[Record], absent: dict[str, str]) -> list[Path]:
    """Print the table of the ablation with the paper's figures; returns the files to which it was written."""
    ablation = request.ablation
    if ablation is None:
        return []
    upstream = {variant: ablation.upstream(variant) for variant in ablation.variants}
    facts = (ablation.name, ablation.title, upstream, ablation.published, ablation.measure, ablation.source)
    return leaderboard.ablation(request.results, *facts, records, absent)
