"""A plugin of pytest: tests marked as claims, and a ledger of them at the end of the run.

``@pytest.mark.claim("my-order", "second order")`` on a test, the sentence being optional; ``--claims-json PATH`` also writes the
ledger to a file. It works under pytest-xdist: what the ledger needs travels with the reports.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Generator
from itertools import chain
from typing import Any

import pytest

KEY, OPEN = "bdia_claim", "bdia_undecided"
_ORDER = ("skipped", "measured", "undecided", "failed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --claims-json."""
    parser.getgroup("bdia_numerics").addoption(
        "--claims-json", metavar="PATH", default=None, help="write the ledger of claims to a JSON file"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "claim(id, statement=''): the test decides a claim, which the ledger lists")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the claims of each test into its reports; pytest.UsageError for a marker without an id."""
    for item in items:
        for mark in item.iter_markers("claim"):
            given = dict(zip(("id", "statement"), mark.args, strict=False)) | dict(mark.kwargs)
            if set(given) - {"id", "statement"} or not isinstance(given.get("id"), str) or len(mark.args) > 2:
                raise pytest.UsageError(
                    f"{item.nodeid}: claim{mark.args} has no id: write @pytest.mark.claim('my-id', 'what it says')"
                )
            item.user_properties.append((KEY, json.dumps([given["id"], str(given.get("statement", ""))])))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Mark the report of a test that failed since an assertion was undecided."""
    report = yield
    # Not imported: where nothing has loaded the assertions, none of them raised. A session without a claim does not wait for the package.
    orders = sys.modules.get("bdia_numerics.testing.orders")
    if orders is not None and call.excinfo is not None and isinstance(call.excinfo.value, orders.UndecidedOrder):
        report.user_properties.append((OPEN, ""))
    return report


def ledger(stats: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Return a line for each claim and test in a run's reports, by id.

    It has the "id" and the "statement" of the claim, the node id of its "test", the "seconds" of setup, call and teardown, and a "verdict":
    "measured" (the test passed), "undecided" (an assertion could not tell), "failed", or "skipped".
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for report in chain.from_iterable(stats.values()):
        for key, value in report.user_properties if isinstance(report, pytest.TestReport) else ():
            if key == KEY:
                claim, statement = json.loads(str(value))
                line = {
                    "id": claim,
                    "statement": statement,
                    "verdict": "skipped",
                    "test": report.nodeid,
                    "seconds": 0.0,
                }
                line = found.setdefault((claim, report.nodeid), line)
                line["seconds"] += report.duration
                line["verdict"] = max(line["verdict"], _verdict(report), key=_ORDER.index)
    return [found[key] for key in sorted(found)]


def _verdict(report: pytest.TestReport) -> str:
    if report.failed:
        return "undecided" if any(key == OPEN for key, _ in report.user_properties) else "failed"
    return "measured" if report.when == "call" and report.passed else "skipped"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the ledger."""
    lines = ledger(terminalreporter.stats)
    if path := config.getoption("--claims-json"):
        from bdia_numerics.runs.files import write

        write(path, json.dumps({"claims": lines}, indent=1) + "\n")
    if not lines:
        return
    terminalreporter.section("claims")
    widths = [max(len(line[key]) for line in lines) for key in ("id", "verdict")]
    for line in lines:
        said, seconds = f" ({line['statement']})" if line["statement"] else "", f"{line['seconds']:.2f} s"
        shown = f"{line['id']:{widths[0]}}  {line['verdict']:{widths[1]}}  {seconds:>7}  {line['test']}{said}"
        terminalreporter.write_line(shown.rstrip())
    counts = Counter(line["verdict"] for line in lines)
    words = (f"{counts[verdict]} {verdict}" for verdict in reversed(_ORDER) if counts[verdict])
    terminalreporter.write_line(", ".join(words))
