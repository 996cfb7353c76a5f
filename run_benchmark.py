#!/usr/bin/env python
"""emorep: how much emotion do speech representations hold?

    python run_benchmark.py -u emotion2vec -t emodb

Reads the request, plans its jobs, runs them, shows the tables; the rooms meet in cells/. Nothing heavy is imported
before there is work for it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

if __name__ == "__main__":  # a signal during the imports that follow is one line
    from commons.early import begin

    begin()

from cells.request import Request, parse, understood
from commons import commands, places
from commons.errors import EmorepError, Refused

KEPT = "what was done is kept; the same command goes on from there"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0 all done, 1 some cell failed or was absent, 2 a wrong request."""
    requests: list[Request] = []

    def work() -> int:
        options = parse(argv)
        if options.list:
            from cells.listing import show

            show(places.chosen(options))
            return 0
        if options.status or options.cancel:
            from cells import status

            return status.show(places.chosen(options).results, options.cancel)
        try:
            requests.append(understood(options, warn))
        except EmorepError as error:
            raise Refused(str(error)) from error
        return run(requests[0])

    def keep() -> None:
        for request in requests:
            tabulate(request)

    return commands.run(work, warn, keep, KEPT, argv)


def run(request: Request) -> int:
    """Every cell of the request; a failure stops its own cells only."""
    from cells import ablation, engines, forecast, groups
    from cells.board import Board
    from cells.plan import planned
    from cells.workplace import Workplace

    place = Workplace()
    request, absent = ablation.trained(request, place, warn)  # its variants become upstreams
    plan = planned(request, place, warn)
    if request.shard:
        plan = groups.shard(plan, request.shard)
    if request.looks:
        if request.prefetch:
            print(*forecast.ready(plan, request, absent), sep="\n")
        else:
            plan, expected = forecast.feasible(plan, place)
            print(*forecast.lines(plan, request, place, absent, expected), sep="\n")
        return 1 if plan.failed else 0
    if request.card and plan.jobs:
        warn(forecast.short(plan, place))
    board, ended = Board(request, plan), 0
    for outcome in engines.outcomes(request, place, plan, warn):
        board.add(outcome)
        ended += 1
    status = board.show(absent)
    if ended < len(plan.jobs):
        warn(f"the run was cancelled: {ended} of {len(plan.jobs)} jobs have ended; {KEPT}")
        return 1
    return status


def tabulate(request: Request) -> None:
    """Write the CSV of what is done, if anything is."""
    import leaderboard
    from cells.board import write_csv

    if leaderboard.load(request.results)[0]:
        write_csv(request)


def warn(message: str) -> None:
    """Say something that the user should know."""
    print(f"{commands.called('run_benchmark.py')}: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
