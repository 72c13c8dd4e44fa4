"""Every figure is a row of figures.toml: it is measured, compared with its limit, listed, and on request written to the page."""

import pytest
from threadpoolctl import threadpool_limits
from timing import PAGE, ROWS, Rows, allowed, better, shown, written


def pytest_addoption(parser):
    parser.addoption("--ratios", action="store_true", help="list rows in seconds, and let only ratios fail")
    parser.addoption("--write", action="store_true", help=f"write the figures of this run to {PAGE.name}")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Compute with one thread of BLAS: threads that wait for each other count as processor time, ours and the peer's unequally."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def figures(benchmark, pytestconfig):
    """Return a function that takes another, which returns {row: figure}, and compares every figure with its row's limit.

    A figure above its limit is measured again, up to twice: what else runs on a machine only adds. A figure fails at 1.5 times its limit.
    """

    def compare(measure):
        found = benchmark.pedantic(measure, rounds=1)
        for _ in range(2):
            if all(allowed(row, value, 1) for row, value in found.items()):
                break
            again = measure()
            found = {row: better(row, value, again[row]) for row, value in found.items()}
        benchmark.extra_info.update(found)
        pytestconfig.stash.setdefault(Rows, {}).update(found)
        # Seconds are those of the machine that the limits were set on; a ratio is the same on any.
        fails = [row for row in found if not (pytestconfig.getoption("--ratios") and "unit" in ROWS[row])]
        over = {row: found[row] for row in fails if not allowed(row, found[row], 1.5)}
        assert not over, f"more than 1.5 times the limit: {over}"
        return found

    return compare


def pytest_terminal_summary(terminalreporter, config):
    """List every figure with its limit, and write the page where that is asked for."""
    found = config.stash.get(Rows, {})
    if found:
        terminalreporter.section("figures")
        for row, value in found.items():
            mark = "" if allowed(row, value, 1) else ", NOT MET"
            terminalreporter.write_line(f"{row}: {shown(row, value)}{mark}")
        if config.getoption("--write"):
            PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
            terminalreporter.write_line(f"written to {PAGE}")
