"""Connections as values, and how they are kept and loaded again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from servicereflector.client.connection import ConfigError, Connection, parse_url, tls_policy
from servicereflector.client.credentials import Credentials, from_url, static
from servicereflector.testing.certificates import Authority

success = SynchronousTestCase().successResultOf
failure = SynchronousTestCase().failureResultOf


class Loader:
    """A loader that counts, and fails when it is told to."""

    def __init__(self) -> None:
        self.loads = 0
        self.error: Exception | None = None

    def __call__(self) -> Connection:
        self.loads += 1
        if self.error is not None:
            raise self.error
        return Connection("https://api.example", token=str(self.loads))


class Thread:
    """Runs a loader when the test says so."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Callable[[], Connection], Deferred[Connection]]] = []

    def __call__(self, load: Callable[[], Connection]) -> Deferred[Connection]:
        d: Deferred[Connection] = Deferred()
        self.jobs.append((load, d))
        return d

    def run(self) -> None:
        load, d = self.jobs.pop(0)
        maybeDeferred(load).chainDeferred(d)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def loader() -> Loader:
    return Loader()


@pytest.fixture
def credentials(loader: Loader, clock: Clock) -> Credentials:
    return Credentials(loader, clock=clock, max_age=60, defer_to_thread=maybeDeferred)


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    seen: list[str] = []

    def observe(event: dict[str, object]) -> None:
        ours = event["log_namespace"] == Credentials.__module__ + ".Credentials"
        if ours and event["log_level"] is LogLevel.warn:
            seen.append(str(event.get("error")))

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


def current(credentials: Credentials) -> Deferred[Connection]:
    return Deferred.fromCoroutine(credentials.current())


def reload(credentials: Credentials) -> Deferred[Connection]:
    return Deferred.fromCoroutine(credentials.reload())


def test_a_young_connection_is_not_loaded_again(
    credentials: Credentials, clock: Clock, loader: Loader
) -> None:
    """Within its age it is what was loaded."""
    success(current(credentials))
    clock.advance(59)
    assert success(current(credentials)).token == "1"
    assert loader.loads == 1


def test_an_old_connection_is_loaded_again(credentials: Credentials, clock: Clock) -> None:
    """A token that was rotated is seen after the age."""
    success(current(credentials))
    clock.advance(60)
    assert success(current(credentials)).token == "2"


def test_a_doubted_connection_is_loaded_again_but_not_all_the_time(
    credentials: Credentials, clock: Clock, loader: Loader
) -> None:
    """Long before its age; what was loaded just now is not doubted."""
    success(current(credentials))
    credentials.doubt()
    assert loader.loads == 1
    clock.advance(5)
    for _ in range(3):
        credentials.doubt()
    assert success(current(credentials)).token == "2"
    assert loader.loads == 2
    loader.error = ConfigError("gone")
    clock.advance(5)
    credentials.doubt()
    assert success(current(credentials)).token == "2"


def test_an_old_connection_serves_while_the_new_one_is_loaded(clock: Clock, loader: Loader) -> None:
    """A slow plugin holds up nobody; its result serves the next."""
    thread = Thread()
    credentials = Credentials(loader, clock=clock, defer_to_thread=thread)
    first = current(credentials)
    thread.run()
    success(first)
    clock.advance(60)
    assert success(current(credentials)).token == "1"
    assert success(current(credentials)).token == "1"
    assert len(thread.jobs) == 1
    thread.run()
    assert success(current(credentials)).token == "2"


def test_concurrent_callers_share_a_load(clock: Clock, loader: Loader) -> None:
    """However many wait, the loader runs once."""
    thread = Thread()
    credentials = Credentials(loader, clock=clock, defer_to_thread=thread)
    waiting = [current(credentials), reload(credentials), current(credentials)]
    thread.run()
    assert [success(d).token for d in waiting] == ["1", "1", "1"]
    assert loader.loads == 1


def test_a_cancelled_caller_leaves_the_load_to_the_others(clock: Clock, loader: Loader) -> None:
    """The one gives up, the other gets what was loaded."""
    thread = Thread()
    credentials = Credentials(loader, clock=clock, defer_to_thread=thread)
    impatient, patient = current(credentials), current(credentials)
    impatient.cancel()
    failure(impatient)
    thread.run()
    assert success(patient).token == "1"


def test_reload_loads_whatever_the_age(credentials: Credentials, loader: Loader) -> None:
    """After a 401 the age says nothing."""
    success(current(credentials))
    assert success(reload(credentials)).token == "2"
    assert success(current(credentials)).token == "2"


def test_the_first_load_that_fails_is_the_callers(credentials: Credentials, loader: Loader) -> None:
    """There is nothing to fall back on; the next call tries again."""
    loader.error = ConfigError("no file")
    failure(current(credentials), ConfigError)
    loader.error = None
    success(current(credentials))


def test_a_later_load_that_fails_keeps_the_old_and_warns(
    credentials: Credentials, clock: Clock, loader: Loader, warnings: list[str]
) -> None:
    """Once, and once more a minute later; it is tried once an age, not once a request."""
    success(current(credentials))
    loader.error = ConfigError("no file")
    for _ in range(3):
        clock.advance(60)
        assert success(current(credentials)).token == "1"
        assert success(current(credentials)).token == "1"
    assert loader.loads == 4
    assert warnings == ["no file", "no file"]


def test_a_failure_after_a_recovery_is_warned_of_again(
    credentials: Credentials, clock: Clock, loader: Loader, warnings: list[str]
) -> None:
    """It is a new one."""
    success(current(credentials))
    for error in (ConfigError("one"), None, ConfigError("two")):
        loader.error = error
        clock.advance(60)
        success(current(credentials))
    assert warnings == ["one", "two"]


def test_reload_that_fails_is_the_callers_and_keeps_the_old(
    credentials: Credentials, loader: Loader
) -> None:
    """Who asked for it must know; the others go on."""
    success(current(credentials))
    loader.error = ConfigError("no file")
    failure(reload(credentials), ConfigError)
    assert success(current(credentials)).token == "1"


def test_static_credentials_are_always_the_same() -> None:
    """Loaded again or not."""
    connection = Connection("https://api.example")
    credentials = static(connection)
    assert success(current(credentials)) is connection
    assert success(reload(credentials)) is connection


def test_a_url_is_credentials_of_its_own() -> None:
    """No token, and the system's trust roots."""
    assert success(current(from_url("https://api.example:6443/"))) == Connection(
        "https://api.example:6443"
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://host",
        "https://host:6443",
        "https://10.0.0.1",
        "https://[2001:db8::1]:6443",
        "https://rancher.example/k8s/clusters/c-1",
    ],
)
def test_a_url_of_an_api_is_taken(url: str) -> None:
    """With or without port and prefix; a slash at the end is dropped."""
    assert parse_url(f" {url}/ ") == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:6443",
        "ftp://host",
        "https://",
        "https://:6443",
        "https://host:",
        "https://host:0",
        "https://host:70000",
        "https://host:x",
        "https://[::1",
        "https://höst",
        "https://host/a b",
        "https://host/a\nb",
        "https://host?a=b",
        "https://host#a",
    ],
)
def test_what_is_no_url_of_an_api_is_refused(url: str) -> None:
    """With one line."""
    with pytest.raises(ConfigError) as raised:
        parse_url(url)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("url", ["https://u:s3cret@host", "https://host?t=s3cret", "u:s3cret@h"])
def test_a_refused_url_is_not_repeated_where_it_may_hold_a_secret(url: str) -> None:
    """User information and queries stay out of the message."""
    with pytest.raises(ConfigError) as raised:
        from_url(url)
    assert "s3cret" not in str(raised.value)


def test_a_connection_does_not_show_its_secrets() -> None:
    """Neither key nor token is in its repr."""
    connection = Connection("https://h", token="s3cret", private_key=b"s3cret")
    assert "s3cret" not in repr(connection) + str(connection)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path, "ca")


def test_a_certificate_needs_its_key(authority: Authority) -> None:
    """One without the other is refused."""
    certificate, _ = authority.client("jane")
    with pytest.raises(ConfigError, match="needs its private key"):
        tls_policy(Connection("https://h", certificate=certificate.read_bytes()))


def test_a_certificate_needs_its_own_key(authority: Authority) -> None:
    """Another's key is refused."""
    certificate, key = authority.client("jane")[0], authority.client("joe")[1]
    with pytest.raises(ConfigError, match="do not match"):
        tls_policy(
            Connection(
                "https://h",
                certificate=certificate.read_bytes(),
                private_key=key.read_bytes(),
            )
        )


def test_a_key_that_is_none_is_refused(authority: Authority) -> None:
    """And not repeated."""
    certificate, _ = authority.client("jane")
    with pytest.raises(ConfigError, match="private key") as raised:
        tls_policy(
            Connection("https://h", certificate=certificate.read_bytes(), private_key=b"s3cret")
        )
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    "pem", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_an_authority_that_is_no_certificate_is_refused(pem: bytes) -> None:
    """An empty file trusts nobody; that is never meant."""
    with pytest.raises(ConfigError, match="certificate authority"):
        tls_policy(Connection("https://h", ca=pem))


def test_the_options_of_a_host_are_made_once(authority: Authority) -> None:
    """An Agent asks at every request."""
    policy = tls_policy(Connection("https://h", ca=authority.ca_file.read_bytes()))
    assert policy.creatorForNetloc(b"h", 443) is policy.creatorForNetloc(b"h", 443)
