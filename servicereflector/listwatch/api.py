"""What following an API takes of a client; errors are ApiError or the transport's own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from ..kube.resources import Resource
from ..kube.status import ApiError


class Stoppable(Protocol):
    def stop(self) -> None: ...


class Api(Protocol):
    def list(
        self,
        resource: Resource,
        *,
        namespace: str,
        label_selector: str,
        field_selector: str,
        limit: int,
        continue_token: str,
    ) -> Coroutine[Any, Any, bytes]: ...

    def watch(
        self,
        resource: Resource,
        *,
        namespace: str,
        label_selector: str,
        field_selector: str,
        resource_version: str,
        timeout_seconds: int,
        on_data: Callable[[bytes], None],
        on_end: Callable[[Exception | None], None],
    ) -> Coroutine[Any, Any, Stoppable]: ...

    def conceal(self, error: ApiError) -> ApiError:
        """An error that came as an event, without what nobody else may read."""
        ...

    def reconnect(self) -> None:
        """The next request goes over a new connection, perhaps to another replica."""
