"""What all tests share: real servers where they are, and no leaks anywhere."""

from __future__ import annotations

import gc
import os
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import hypothesis_profiles  # noqa: F401  (importing it sets the profile)
import pytest
from twisted.internet import reactor
from twisted.logger import LogEvent, LogLevel, globalLogPublisher

from servicereflector.testing.envtest import Binaries, BinariesMissing, find_binaries

#: Folders whose modules share a cluster of the session: one worker runs them all.
SHARING = ("/differential", "/contract")

#: What takes longest, by a part of its path. It begins first: in the end no worker is to have
#: nothing to do beside it.
LONG = (
    "/chaos/test_chaos.py",
    "/differential/",
    "/e2e/test_restarts.py",
    "/test_ownership_machine.py",
    "/test_simulation.py",
    "/e2e/test_plan.py",
    "/e2e/",
    "/test_command.py",
    "/test_mirror_plan.py",
    "/test_mesh",
    "/documents/test_install.py",
    "/contract/",
    "/clients/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((i for i, p in enumerate(LONG) if p in str(item.path)), 99))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """More than there are cores: end-to-end tests mostly wait. Each has up to two clusters."""
    return min((os.cpu_count() or 1) + 1, 6)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """A module is one worker's, for what it has started; so are some folders."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            path = super()._split_scope(nodeid)
            folder = path.rpartition("/")[0]
            return folder if folder.endswith(SHARING) else path

    return Scheduling(config, log)


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
