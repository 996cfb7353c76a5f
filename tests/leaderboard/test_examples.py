"""Every public function of metrics and statistics has an example, and the examples are run."""

import doctest
import inspect

import pytest

from commons import metrics
from leaderboard.comparison import corpora, familywise, permutation, ranks, standings, statistics
from leaderboard.records import intervals
from leaderboard.umap import separation

MODULES = (metrics, intervals, statistics, permutation, familywise, ranks, standings, corpora, separation)


def functions():
    """The public functions of the modules, each with its module."""
    for module in MODULES:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                yield pytest.param(module, function, id=f"{module.__name__.rpartition('.')[2]}.{name}")


@pytest.mark.parametrize(("module", "function"), list(functions()))
def test_an_example_stands_in_the_docstring_and_is_true(module, function):
    (test,) = doctest.DocTestFinder(recurse=False).find(function, function.__name__, globs=dict(vars(module)))
    assert test.examples, "a docstring with >>> is expected"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert runner.run(test).failed == 0
