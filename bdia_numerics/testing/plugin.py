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

KEY, OPEN, NUMBERS = "bdia_claim", "bdia_undecided", "bdia_numbers"
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
    """Put what the assertions measured into the report, mark one of an assertion that was undecided, and show none of their frames."""
    for space in _spaces(call.excinfo):
        if space.get("__name__", "").startswith("bdia_numerics."):
            space["__tracebackhide__"] = _through_assertions  # --full-trace shows them
    report = yield
    # Not imported: where nothing has loaded the assertions, none of them ran. A session without a claim does not wait for the package.
    samplers = sys.modules.get("bdia_numerics.testing.samplers")
    if samplers is not None:
        if call.excinfo is not None and isinstance(call.excinfo.value, samplers.Undecided):
            report.user_properties.append((OPEN, ""))
        if samplers.NOTES:
            report.user_properties.append((NUMBERS, "; ".join(samplers.NOTES)))
            samplers.NOTES.clear()
    return report


def _spaces(excinfo: pytest.ExceptionInfo[BaseException] | None) -> list[dict[str, Any]]:
    """Return the global names of each frame in a traceback."""
    return [] if excinfo is None else [entry.frame.f_globals for entry in excinfo.traceback]


def _through_assertions(excinfo: pytest.ExceptionInfo[BaseException] | None) -> bool:
    """Say whether a traceback goes through the package's assertions: it then shows none of the package, as the message says all."""
    return any(space.get("__name__", "").startswith("bdia_numerics.testing.") for space in _spaces(excinfo))


def ledger(stats: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Return a line for each claim and test in a run's reports, by id.

    It has the "id" and the "statement" of the claim, the node id of its "test", the "numbers" that the assertions measured, the "seconds"
    of setup, call and teardown, and a "verdict": "measured" (the test passed), "undecided" (an assertion could not tell), "failed", or
    "skipped".
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for report in chain.from_iterable(stats.values()):
        given = report.user_properties if isinstance(report, pytest.TestReport) else ()
        numbers = "; ".join(str(value) for key, value in given if key == NUMBERS)
        for key, value in given:
            if key == KEY:
                claim, statement = json.loads(str(value))
                line = {
                    "id": claim,
                    "statement": statement,
                    "verdict": "skipped",
                    "test": report.nodeid,
                    "numbers": "",
                    "seconds": 0.0,
                }
                line = found.setdefault((claim, report.nodeid), line)
                line["seconds"] += report.duration
                line["numbers"] = numbers or line["numbers"]
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
        numbers = f": {line['numbers']}" if line["numbers"] else ""
        shown = f"{line['id']:{widths[0]}}  {line['verdict']:{widths[1]}}  {seconds:>7}  {line['test']}{said}{numbers}"
        terminalreporter.write_line(shown.rstrip())
    counts = Counter(line["verdict"] for line in lines)
    words = (f"{counts[verdict]} {verdict}" for verdict in reversed(_ORDER) if counts[verdict])
    terminalreporter.write_line(", ".join(words))
