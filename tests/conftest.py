"""The closing summary of a test run, and the rule that nothing is skipped."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
UNWANTED = ("skipped", "xfailed", "xpassed")


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write one line for each folder of tests: how many passed or not, and how long it took."""
    rows: dict[str, list[float]] = defaultdict(lambda: [0, 0, 0.0])
    for outcome in ("passed", "failed", "error", *UNWANTED):
        for report in terminalreporter.stats.get(outcome, []):
            row = rows[_folder(report.nodeid)]
            row[0 if outcome == "passed" else 1] += 1
            row[2] += getattr(report, "duration", 0.0)  # a failed collection has none
    terminalreporter.section("summary")
    for folder, (passed, other, seconds) in sorted(rows.items()):
        line = f"{folder:10} {passed:5} passed {other:5} not passed {seconds:7.0f} s"
        terminalreporter.write_line(line)
    if any(terminalreporter.stats.get(outcome) for outcome in UNWANTED):
        terminalreporter.write_line("A skipped or expected failure proves nothing: not accepted.")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run in which a test was skipped or expected to fail: it would prove nothing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == 0 and any(reporter.stats.get(outcome) for outcome in UNWANTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _folder(node_id: str) -> str:
    return node_id.split("::")[0].removeprefix("tests/").split("/")[0]
