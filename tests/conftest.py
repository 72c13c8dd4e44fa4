"""What all tests share: those of POSIX are left out elsewhere, and a limit of the size of files stands in for a full disk."""

import functools
import gc
import os
from contextlib import contextmanager

import pytest
import typer.main
import typer.testing

# The tree of commands, which depends on nothing that a test changes, takes longer to build than most commands take to refuse an option.
typer.testing._get_command = functools.cache(typer.main.get_command)


# Searches for garbage are seldom, from the collection of tests on: jax and Hypothesis ask to be called at each.
gc.set_threshold(50_000, 20, 20)


def pytest_collection_finish():
    """Leave ten thousand tests and the libraries out of each search for garbage."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item):
    if os.name != "posix" and item.get_closest_marker("posix"):
        pytest.skip("needs POSIX: fork, signals, limits of resources, or bash")


@pytest.fixture
def full_disk():
    """Return a context in which no file of this process can grow beyond a size."""
    import resource

    @contextmanager
    def limited(size):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited
