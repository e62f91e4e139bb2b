"""What an API server may answer in the place of what it should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from servicereflector.emitter.answers import respond_error
from servicereflector.kube.status import ApiError, expired_watch

GONE = (
    b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},'
    b'"status":"Failure","message":"too old resource version","reason":"Expired","code":410}}\n'
)


@dataclass
class Behaviour:
    """Of one server, across its restarts.

    :ivar error: what every request is answered with, and its Retry-After in seconds.
    :ivar gone_below: watches from older versions are answered 410.
    :ivar gone_event: watches are answered 200, and an ERROR event.
    :ivar gone_continue: what asks for a further page is answered 410.
    :ivar replay: a watch begins so many versions before the one that is asked for.
    """

    error: tuple[int, int] | None = None
    gone_below: int = 0
    gone_event: bool = False
    gone_continue: bool = False
    replay: int = 0


class Misbehaving(Resource):
    """A server's resource behind its behaviour."""

    isLeaf = True

    def __init__(self, inner: IResource, behaviour: Behaviour, note: Callable[[str], None]) -> None:
        super().__init__()
        self._inner = inner
        self._behaviour = behaviour
        self._note = note

    def render(self, request: Request) -> object:
        behaviour = self._behaviour
        args = request.args
        watches = b"watch" in args
        if behaviour.error is not None:
            code, seconds = behaviour.error
            self._note(f"answered {code}")
            if seconds:
                request.setHeader(b"Retry-After", b"%d" % seconds)
            return respond_error(request, ApiError(code, "the server has trouble"))
        told = args.get(b"resourceVersion")
        if watches and told and int(told[0]) < behaviour.gone_below:
            self._note("a watch is answered 410")
            return respond_error(request, expired_watch(1, 2))
        if watches and behaviour.gone_event:
            self._note("a watch is answered with an ERROR event")
            request.setHeader(b"Content-Type", b"application/json")
            return GONE
        if behaviour.gone_continue and b"continue" in args:
            self._note("a continue token is answered 410")
            return respond_error(request, ApiError(410, "the continue token is too old"))
        if watches and behaviour.replay and told and (version := int(told[0])) > behaviour.replay:
            self._note("a watch repeats events")
            earlier = b"resourceVersion=%d" % (version - behaviour.replay)
            request.uri = request.uri.replace(b"resourceVersion=%d" % version, earlier)
        return self._inner.render(request)
