"""Everything that decides about a request: who makes it, whether it may, and what it is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from OpenSSL import crypto
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from ..reasons import Code
from ..reloading import Reloaded
from ..store.scope import Scope
from .attributes import Attributes, forbidden, unauthorized
from .clientcerts import ClientAuthorities
from .identity import AccessError, User, authenticated
from .reviews import AccessReviews, TokenReviews
from .tokenfile import Tokens, digest_of
from .views import Views

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client shows.

    :ivar token: a bearer token, ``""`` for none.
    :ivar chain: what the client sent beside its certificate.
    """

    token: str = ""
    certificate: crypto.X509 | None = None
    chain: Sequence[crypto.X509] = ()


class RuleFile(Reloaded[T]):
    """A file that says who may do what. What is taken back in it is over within a second."""

    log = Logger()
    period = 0.3
    patience = 2.0
    settles = True

    def __init__(
        self,
        reactor: IReactorTime,
        path: Path,
        parse: Callable[[bytes], T],
        *,
        what: str,
        defer_to_thread: Callable[..., Deferred[None]] = deferToThread,
    ) -> None:
        """
        :param parse: raises AccessError.
        :param what: the file, in words.
        :raises AccessError: naming the file.
        """
        self.what = what
        self.when_renewed: Callable[[], None] = lambda: None

        def load() -> T:
            try:
                return parse(path.read_bytes())
            except OSError as error:
                raise AccessError(f"{path}: {error.strerror}") from None
            except UnicodeDecodeError:
                raise AccessError(f"{path}: not UTF-8") from None
            except AccessError as error:
                raise AccessError(f"{path}: {error}") from None

        super().__init__(reactor, [path], load, defer_to_thread=defer_to_thread)

    def renewed(self) -> None:
        self.log.info("{what} has changed", reason=Code.RULES_CHANGED, what=self.what)
        self.when_renewed()


@dataclass(frozen=True, slots=True)
class Rules:
    """
    :ivar authorities: who vouches for client certificates.
    :ivar tokens: whose each token is.
    :ivar token_reviews: the host cluster, which knows its own tokens.
    :ivar views: what each user is shown; None where all see everything.
    :ivar access_reviews: the host cluster's own rules; None where all may read who are known.
    """

    authorities: RuleFile[ClientAuthorities] | None = None
    tokens: RuleFile[Tokens] | None = None
    token_reviews: TokenReviews | None = None
    views: RuleFile[Views] | None = None
    access_reviews: AccessReviews | None = None

    @property
    def files(self) -> list[RuleFile[ClientAuthorities] | RuleFile[Tokens] | RuleFile[Views]]:
        return [f for f in (self.authorities, self.tokens, self.views) if f is not None]

    async def user_of(self, shown: Credentials) -> User:
        """The first whom one of the rules knows, in kube-apiserver's order.

        :raises ApiError: 401 where nobody does; 429 and 503 where the host could not be asked.
        """
        user = None
        if self.authorities is not None and shown.certificate is not None:
            user = self.authorities.value.user_of(shown.certificate, shown.chain)
        if user is None and self.tokens is not None and shown.token:
            user = self.tokens.value.get(digest_of(shown.token))
        if user is None and self.token_reviews is not None and shown.token:
            user = await self.token_reviews.user_of(shown.token)
        if user is None:
            raise unauthorized()
        return authenticated(user)

    async def scope_of(self, user: User, asked: Attributes) -> Scope | None:
        """What exists for the user; None where everything does.

        :raises ApiError: 403 for what it may not do; 429 and 503 where the host could not be asked.
        """
        if self.access_reviews is not None:
            await self.access_reviews.check(user, asked)
        if self.views is None:
            return None
        scope = self.views.value.scope_of(user)
        if scope is None and not asked.path:
            raise forbidden(user.name, asked)
        return scope
