"""The Connection of a cluster as it is now: credentials change while the program runs.

A service account's token is good for an hour, an exec plugin's for minutes; a mounted kubeconfig
is replaced in place. So a Connection is never kept, but asked for here before every request.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..kube.status import ApiError
from ..outages import Outage
from ..reasons import Code, code_of
from ..telling import tell_failure, tell_recovery
from .connection import ConfigError, Connection, parse_url
from .urloptions import UrlOptions

#: Seconds after a load for which doubts in it lead to no other: a server that is merely broken must
#: not have an exec plugin run all the time.
_DOUBTED = 5.0

Loader = Callable[[], Connection]
DeferToThread = Callable[[Loader], "Deferred[Connection]"]


class Credentials:
    """Keeps what a blocking loader returned, and loads it again in a thread when it is old."""

    _log = Logger()

    def __init__(
        self,
        load: Loader,
        *,
        clock: IReactorTime,
        max_age: float = 60.0,
        defer_to_thread: DeferToThread = deferToThread,
    ) -> None:
        """
        :param load: blocks, as exec plugins and files do; raises ConfigError.
        :param max_age: seconds after which a Connection is loaded again. A minute is what
            client-go gives a token file.
        """
        self._load = load
        self._clock = clock
        self._max_age = max_age
        self._defer_to_thread = defer_to_thread
        self._connection: Connection | None = None
        self._tried_at = 0.0
        self._outage = Outage()
        self._waiting: list[Deferred[Connection]] = []

    async def current(self) -> Connection:
        """The Connection to use now.

        Only the first call waits for its load. Later ones are answered with what there is while
        a thread looks for something newer: a plugin that hangs must not hold up requests which
        the old credentials still serve. (Where they do not, the 401 makes the client reload.)

        :raises ConfigError: while nothing was ever loaded.
        """
        if self._connection is None:
            return await self.reload()
        if not self._waiting and self._clock.seconds() - self._tried_at >= self._max_age:
            # Its failure is logged where it arrives.
            self._shared_load().addErrback(lambda _: None)
        return self._connection

    def conceal(self, error: ApiError) -> ApiError:
        """The error without the token in its words: some servers answer with what they were sent.
        In objects it stays, as it may be a word like any other."""
        token = self._connection.token if self._connection is not None else None
        if not token or token not in error.message:
            return error
        return ApiError(
            error.code,
            error.message.replace(token, "…"),
            reason=error.reason,
            details=error.details,
            retry_after=error.retry_after,
            continue_token=error.continue_token,
        )

    async def reload(self) -> Connection:
        """Load now, or join the load that is under way.

        :raises ConfigError: what was loaded earlier stays the current one.
        """
        return await self._shared_load()

    def doubt(self) -> None:
        """What was loaded did not serve: look for something newer now, unless that was just done.

        It is not waited for: who failed tries again later, as after any failure.
        """
        if self._clock.seconds() - self._tried_at >= _DOUBTED and not self._waiting:
            self._shared_load().addErrback(lambda _: None)

    def _shared_load(self) -> Deferred[Connection]:
        # One Deferred each: a caller that is cancelled leaves the load to the others.
        waiter: Deferred[Connection] = Deferred()
        self._waiting.append(waiter)
        if len(self._waiting) == 1:
            self._defer_to_thread(self._load).addCallbacks(self._loaded, self._failed)
        return waiter

    def _loaded(self, connection: Connection) -> None:
        self._connection = connection
        self._tried_at = self._clock.seconds()
        tally = self._outage.recovered(self._tried_at)
        tell_recovery(self._log, tally, "credentials were loaded again, {after}")
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(connection)

    def _failed(self, failure: Failure) -> None:
        self._tried_at = self._clock.seconds()
        if self._connection is not None:
            tell_failure(
                self._log,
                self._outage.failed(code_of(failure.value), self._tried_at),
                "{still}credentials could not be loaded again, the old ones stay in use: {error}",
                reason=Code.CREDENTIALS_UNUSABLE,
                error=str(failure.value)
                if failure.check(ConfigError)
                else type(failure.value).__name__,
            )
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.errback(failure)


class _Static(Credentials):
    """A Connection that nothing changes."""

    def __init__(self, connection: Connection) -> None:
        self._connection: Connection = connection

    async def current(self) -> Connection:
        return self._connection

    async def reload(self) -> Connection:
        return self._connection

    def doubt(self) -> None:
        """There is nothing else."""


def static(connection: Connection) -> Credentials:
    """Credentials that are always this Connection."""
    return _Static(connection)


def from_url(url: str) -> Credentials:
    """Credentials for an API that asks for none; https is verified against the system's roots.

    :raises ConfigError: see :func:`parse_url`.
    """
    return static(Connection(parse_url(url)))


def from_options(url: str, options: UrlOptions, *, clock: IReactorTime) -> Credentials:
    """Credentials for an API by its URL and what was said beside it.

    :raises ConfigError: for a URL or fingerprint that is none.
    """
    if options.files:
        return Credentials(partial(options.connection, url), clock=clock)
    return static(options.connection(url))
