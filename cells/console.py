"""The command `emorep`: the same commands as `python run_benchmark.py` and `python -m ROOM`, in any folder.

`python -m tasks` runs a user's own tasks.py where the working folder holds one; this command never does.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from commons import commands, early
from commons.errors import Refused

COMMANDS = {
    "run": ("run_benchmark", "measure upstreams on tasks: python run_benchmark.py"),
    "tasks": ("tasks.__main__", "tasks, corpora, audits: python -m tasks"),
    "upstreams": ("upstreams.__main__", "upstreams, pre-training, the store of features: python -m upstreams"),
    "apply": ("cells.apply", "kept weights on files of your own: python -m cells.apply"),
    "leaderboard": ("leaderboard.__main__", "tables, statistics, pictures, the page: python -m leaderboard"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands; returns its exit status, 2 where there is no such command."""
    if arguments is None:
        early.begin()
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = words[0] if words else "--help"
    if name in COMMANDS:
        if arguments is None:
            sys.argv = [f"emorep {name}", *words[1:]]  # the command then acts as the program, and ends the process
        given = None if arguments is None else words[1:]
        return int(importlib.import_module(COMMANDS[name][0]).main(given))
    return commands.run(lambda: _help(name), lambda said: print(said, file=sys.stderr), arguments=arguments)


def _help(name: str) -> int:
    lines = ["usage: emorep COMMAND ...", *(f"  {command:<12} {about}" for command, (_, about) in COMMANDS.items())]
    if name in ("-h", "--help"):
        print("\n".join(lines))
        return 0
    raise Refused("\n".join([f"emorep: there is no command {name[:80]!r}", *lines]))


if __name__ == "__main__":
    sys.exit(main())
