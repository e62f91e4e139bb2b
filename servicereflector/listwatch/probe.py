"""The Service that finds out whether an API serves a resource and lets us list it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger, LogLevel

from ..kube.lists import decode_list
from ..kube.objects import BadObject
from ..kube.resources import Resource
from ..kube.status import ApiError
from ..outages import Outage
from ..reasons import Code
from .api import Api
from .poller import Poller

#: Seconds between two questions to an API that does not serve the resource: it may be upgraded.
REFRESH = 60.0

#: What an API answers that does not serve a resource, or not to us.
ABSENT = (401, 403, 404, 405, 406)


class Probe(Poller):
    """Asks until the answer is yes.

    :param source: the name that log lines give the API.
    :param found: called with the first yes; after it nothing is asked before :meth:`ask_later`.
    :param absent: called with each no.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        api: Api,
        resource: Resource,
        *,
        random: Callable[[], float],
        source: str,
        namespace: str = "",
        found: Callable[[], None],
        absent: Callable[[], None],
        outage: Outage | None = None,
    ) -> None:
        super().__init__(reactor, random, source=source, outage=outage)
        self.what = f"whether it has {resource.plural}"
        self._api = api
        self._resource = resource
        self._namespace = namespace
        self._found = found
        self._absent = absent
        self._answered = False  # with yes
        self._told = False  # of a no

    def startService(self) -> None:
        if self._answered:
            Service.startService(self)
        else:
            super().startService()

    def ask_later(self) -> None:
        """What was found is gone: ask again, as after a no."""
        self._answered = False
        self._ask_in(REFRESH)

    async def _look(self) -> None:
        try:
            body = await self._api.list(
                self._resource,
                namespace=self._namespace,
                label_selector="",
                field_selector="",
                limit=1,
                continue_token="",
            )
            decode_list(self._resource, body)
        except (ApiError, BadObject) as error:
            if isinstance(error, ApiError) and error.code not in ABSENT:
                raise
            self._no(error)
        else:
            self._answered, self._told = True, False
            self._found()

    def _no(self, error: Exception) -> None:
        # The first no is news, its repetitions are not.
        level = LogLevel.debug if self._told else LogLevel.info
        self._told = True
        self.log.emit(
            level,
            "{source}: no {resource}: {error}",
            reason=Code.SLICES_NOT_SERVED,
            source=self._source,
            resource=self._resource.plural,
            error=str(error),
        )
        self._absent()
        self._ask_in(REFRESH)
