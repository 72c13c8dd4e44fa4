"""A plugin of pytest: tests marked as claims, and a ledger of them at the end of the run.

``@pytest.mark.claim("my-order", "second order")`` on a test, the sentence being optional; ``--claims-json PATH`` also writes the
ledger to a file. It works under pytest-xdist: what the ledger needs travels with the reports.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from dataclasses import asdict, dataclass
from typing import Any

import pytest

KEY, OPEN = "bdia_claim", "bdia_undecided"
_ORDER = ("skipped", "measured", "undecided", "failed")


@dataclass
class Entry:
    """A line of the ledger.

    Attributes
    ----------
    id, statement
        Of the claim.
    verdict
        "measured" (the test passed), "undecided" (an assertion could not tell), "failed", or "skipped".
    test
        Its node id.
    seconds
        Setup, call and teardown.
    """

    id: str
    statement: str
    verdict: str
    test: str
    seconds: float


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


def ledger(stats: dict[str, list[Any]]) -> list[Entry]:
    """Return the ledger of a run's reports, by id."""
    found: dict[tuple[str, str], Entry] = {}
    for reports in stats.values():
        for report in reports:
            if not isinstance(report, pytest.TestReport):
                continue
            for key, value in report.user_properties:
                if key != KEY:
                    continue
                claim, statement = json.loads(str(value))
                entry = found.setdefault((claim, report.nodeid), Entry(claim, statement, "skipped", report.nodeid, 0.0))
                entry.seconds += report.duration
                entry.verdict = max(entry.verdict, _verdict(report), key=_ORDER.index)
    return sorted(found.values(), key=lambda entry: (entry.id, entry.test))


def _verdict(report: pytest.TestReport) -> str:
    if report.failed:
        return "undecided" if any(key == OPEN for key, _ in report.user_properties) else "failed"
    return "measured" if report.when == "call" and report.passed else "skipped"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the ledger."""
    entries = ledger(terminalreporter.stats)
    if path := config.getoption("--claims-json"):
        from bdia_numerics.runs.files import write

        lines = [asdict(entry) for entry in entries]
        write(path, json.dumps({"claims": lines}, indent=1) + "\n")
    if not entries:
        return
    terminalreporter.section("claims")
    widths = [max(len(str(row[k])) for row in map(_row, entries)) for k in range(2)]
    for row in map(_row, entries):
        terminalreporter.write_line(f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]:>7}  {row[3]}".rstrip())
    counts = {verdict: sum(entry.verdict == verdict for entry in entries) for verdict in reversed(_ORDER)}
    terminalreporter.write_line(", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count))


def _row(entry: Entry) -> tuple[str, str, str, str]:
    said = f" ({entry.statement})" if entry.statement else ""
    return entry.id, entry.verdict, f"{entry.seconds:.2f} s", entry.test + said
