"""Code that every room may import. It imports no room, and torch only inside functions."""

import sys

if sys.argv[:1] == ["-m"]:  # Python's name for a program while `python -m ROOM` imports its package
    from commons.early import begin

    begin()
