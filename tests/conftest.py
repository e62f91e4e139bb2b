"""What all tests share: real servers where they are, and no leaks anywhere."""

from __future__ import annotations

import gc
import os
from collections import defaultdict
from collections.abc import Iterator

import hypothesis_profiles  # noqa: F401  (importing it sets the profile)
import pytest
from twisted.internet import reactor
from twisted.logger import LogEvent, LogLevel, globalLogPublisher

from servicereflector.testing.envtest import Binaries, BinariesMissing, find_binaries


def pytest_collection_finish() -> None:
    """What is loaded by now stays: the collections after each test need not look at it."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests told with record_property, whichever process ran them: of each name the values,
    and of each value how many of its tests passed."""
    told: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for report in (r for rs in terminalreporter.stats.values() for r in rs):
        if isinstance(report, pytest.TestReport) and report.when == "call":
            for name, value in report.user_properties:
                told[name][str(value)].append(report.passed)
    for name, values in sorted(told.items()):
        terminalreporter.section(name)
        width = max(map(len, values))
        for value, passed in sorted(values.items()):
            terminalreporter.write_line(f"{value:>{width}} {sum(passed):>4} of {len(passed)}")


@pytest.fixture(scope="session")
def envtest_binaries() -> Binaries:
    """The real kube-apiserver and etcd. Without them a test skips; in CI it fails."""
    try:
        return find_binaries()
    except BinariesMissing as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """No test may leave a delayed call, a socket or an error that nobody handled."""
    failures: list[str] = []

    def observe(event: LogEvent) -> None:
        if event.get("log_failure") is not None and event["log_level"] >= LogLevel.critical:
            failures.append(event["log_failure"].getTraceback())

    calls_before = set(reactor.getDelayedCalls())
    readers_before = set(reactor.getReaders())
    globalLogPublisher.addObserver(observe)
    yield
    gc.collect()  # an unhandled error in a Deferred is told when that is collected
    globalLogPublisher.removeObserver(observe)
    calls = [call for call in reactor.getDelayedCalls() if call not in calls_before]
    readers = [
        reader
        for reader in reactor.getReaders()
        # Twisted's own pipe for signals opens with the first subprocess.
        if reader not in readers_before and "_signals" not in type(reader).__module__
    ]
    for call in calls:
        call.cancel()
    assert not failures, "\n".join(failures)
    assert not calls, f"delayed calls left behind: {calls}"
    assert not readers, f"sockets left open: {readers}"
