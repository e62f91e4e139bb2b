"""The gate before a resource: a request passes, or is told in Kubernetes' words why it does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from OpenSSL import crypto
from twisted.application.internet import TimerService
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from ..emitter.answers import header_of, parameters_of, respond_error
from ..emitter.consumers import Consumer, set_consumer
from ..kube.status import ApiError
from ..reasons import Code
from ..store.scope import Scope
from .attributes import Attributes, attributes_of, forbidden, unauthorized
from .identity import ANONYMOUS, User
from .rules import Credentials, Rules

#: What a kubelet or a load balancer asks, who have no credentials.
_OPEN_PATHS = (b"/healthz", b"/livez", b"/readyz")

#: Seconds between two looks at whether open watches may go on: a cluster does not tell that it has
#: taken back a token or a right.
RECHECK = 60.0

#: Seconds between two lines of the log about refused requests.
_TELL = 60.0


@dataclass(slots=True)
class GateStats:
    """
    :ivar refused: how many requests were, by the code of the answer.
    """

    refused: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Passed:
    """A request that has passed, and with what."""

    shown: Credentials | None
    asked: Attributes
    consumer: Consumer


class Access(MultiService):
    """The rules, and the gates that hold them; what is taken back ends open watches.

    :ivar stats: of all gates.
    """

    log = Logger()

    def __init__(self, reactor: IReactorTime, rules: Rules) -> None:
        super().__init__()
        self.rules = rules
        self.stats = GateStats()
        self._reactor = reactor
        self._gates: list[Gate] = []
        self._refused_before = 0
        self._told_at = -_TELL
        for file in rules.files:
            file.when_renewed = self.check_again
            file.setServiceParent(self)
        timer = TimerService(RECHECK, self.check_again)
        timer.clock = reactor
        timer.setServiceParent(self)

    def gate(self, resource: IResource, *, credentials: bool, anonymous: bool = False) -> Gate:
        """A gate before the resource.

        :param credentials: whether they are taken: not where they cross the network in clear text.
        :param anonymous: where they are not, whether nobody in particular may pass.
        """
        gate = Gate(self, resource, credentials=credentials, anonymous=anonymous)
        self._gates.append(gate)
        return gate

    @property
    def problems(self) -> list[str]:
        """What is wrong with the files, a line for each."""
        return [f"{f.what} stays as it was: {f.problem}" for f in self.rules.files if f.problem]

    def consumers(self) -> dict[str, int]:
        """How many requests of each user are under way: watches, but for moments."""
        names = (p.consumer.name for gate in self._gates for p in gate.open.values() if p)
        return dict(sorted(Counter(names).items()))

    def check_again(self) -> None:
        """End the watches that may not go on, or are to show something else."""
        for gate in self._gates:
            for passed in tuple(gate.open.values()):
                if passed is not None:
                    Deferred.fromCoroutine(self._check(gate, passed))

    async def _check(self, gate: Gate, passed: _Passed) -> None:
        try:
            _, scope = await gate.judge(passed.shown, passed.asked)
        except ApiError as error:
            if error.code in (401, 403):
                passed.consumer.revoke()
            return  # a host that cannot be asked takes nothing back
        except Exception:
            text = "an open watch could not be checked"
            self.log.failure(text, reason=Code.INTERNAL_ERROR)
            return
        if scope != passed.consumer.scope:
            passed.consumer.revoke()

    def count(self, code: int, who: str) -> None:
        """Count a refused request, and tell of it now and then.

        :param who: a user, or an address.
        """
        self.stats.refused[code] += 1
        now = self._reactor.seconds()
        if now >= self._told_at + _TELL:
            total = self.stats.refused.total()
            self.log.info(
                "refused with {code}: {who}; requests refused since the last such line: {count}",
                reason=Code.CLIENTS_REFUSED,
                code=code,
                who=who,
                count=total - self._refused_before,
            )
            self._told_at, self._refused_before = now, total


class Gate(Resource):
    """
    :ivar open: the requests under way; None of one that is still looked at.
    """

    isLeaf = True
    log = Logger()

    def __init__(
        self, access: Access, resource: IResource, *, credentials: bool, anonymous: bool
    ) -> None:
        super().__init__()
        self.open: dict[Request, _Passed | None] = {}
        self._access = access
        self._resource = resource
        self._credentials = credentials
        self._anonymous = anonymous

    def render(self, request: Request) -> int:
        if request.path in _OPEN_PATHS:
            request.render(self._resource)
            return NOT_DONE_YET
        self.open[request] = None
        request.notifyFinish().addBoth(lambda _: self.open.pop(request, None))
        Deferred.fromCoroutine(self._serve(request)).addErrback(self._broken, request)
        return NOT_DONE_YET

    async def _serve(self, request: Request) -> None:
        try:
            passed = await self._admit(request)
        except ApiError as error:
            self._answer(request, error)
            return
        if request in self.open:  # else its client has gone
            self.open[request] = passed
            set_consumer(request, passed.consumer)
            request.render(self._resource)

    async def _admit(self, request: Request) -> _Passed:
        shown = _credentials_of(request) if self._credentials else None
        method = request.method.decode("ascii", "replace")
        path = request.path.decode("ascii", "replace")
        asked = attributes_of(method, path, parameters_of(request))
        user, scope = ANONYMOUS, None
        who = str(getattr(request.client, "host", "somebody"))
        try:
            user, scope = await self.judge(shown, asked)
            who = f"user {user.name!r}"
            _check_impersonation(request, user)
        except ApiError as error:
            self._access.count(error.code, who)
            raise
        return _Passed(shown, asked, Consumer(user.name, scope))

    async def judge(
        self, shown: Credentials | None, asked: Attributes
    ) -> tuple[User, Scope | None]:
        """Who it is, and what exists for it.

        :param shown: None where no credentials are taken.
        :raises ApiError: 401, 403; 429 and 503 where the host could not be asked.
        """
        rules = self._access.rules
        if shown is not None:
            user = await rules.user_of(shown)
        elif self._anonymous:
            user = ANONYMOUS
        else:
            raise unauthorized()
        return user, await rules.scope_of(user, asked)

    def _answer(self, request: Request, error: ApiError) -> None:
        if request in self.open:
            request.write(respond_error(request, error))
            request.finish()

    def _broken(self, failure: Failure, request: Request) -> None:
        self.log.failure(
            "{path} failed", failure=failure, reason=Code.INTERNAL_ERROR, path=request.path
        )
        self._answer(request, ApiError(500, "Internal error occurred"))


def _credentials_of(request: Request) -> Credentials:
    words = header_of(request, b"Authorization").split(" ", 2)
    token = words[1] if len(words) > 1 and words[0].lower() == "bearer" else ""
    certificate, chain = _certificate_of(request)
    return Credentials(token, certificate, chain)


def _certificate_of(request: Request) -> tuple[crypto.X509 | None, Sequence[crypto.X509]]:
    """What the client showed in the handshake, which did not look at it."""
    if not request.isSecure():
        return None, ()
    transport = request.transport
    assert isinstance(transport, TLSMemoryBIOProtocol)
    connection = transport.getHandle()
    return connection.get_peer_certificate(), connection.get_peer_cert_chain() or ()


def _check_impersonation(request: Request, user: User) -> None:
    """Nobody may act as another: the Emitter has no rules for that.

    :raises ApiError: 403.
    """
    for name, values in request.requestHeaders.getAllRawHeaders():
        if name.lower().startswith(b"impersonate-"):
            named = values[0].decode("latin-1") if name.lower() == b"impersonate-user" else ""
            raise forbidden(user.name, Attributes("impersonate", resource="users", name=named))
