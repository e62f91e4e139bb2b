"""Why a request brought no usable answer, in words for a log line or a status page.

An answer that the API gave and meant is an :class:`~servicereflector.kube.status.ApiError`;
everything else that can go wrong with a request is a :class:`TransportError` of this module.
"""

from __future__ import annotations

from collections.abc import Iterator

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectingCancelledError
from twisted.python.failure import Failure

from ..reasons import Code
from .connection import WrongFingerprint


class TransportError(Exception):
    """No answer came, or none that can be used. The text names the server, never a credential."""

    told_as = Code.UNREACHABLE


class TlsFailed(TransportError):
    """The two sides could not agree on who they are: a certificate of one of them is not, or no
    longer, what the other one takes."""

    told_as = Code.TLS_FAILED


class RequestTimedOut(TransportError):
    """The deadline of the whole request ran out; its connection was dropped."""

    told_as = Code.TIMED_OUT


class BodyTooLarge(TransportError):
    """The answer's body, decompressed, is larger than the client takes; it was dropped."""

    told_as = Code.ANSWER_TOO_LARGE


class BadAnswer(TransportError):
    """The server answered with success, and with something that no Kubernetes API says."""

    told_as = Code.BAD_ANSWER


def transport_error(server: str, error: BaseException | Failure) -> Exception:
    """What to raise for an error of Twisted's HTTP client.

    A cancellation stays a :class:`CancelledError`, in however many layers Twisted wrapped it.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ConnectingCancelledError):
            return CancelledError()
        if isinstance(cause, TransportError | CancelledError):
            return cause
    # The first is what happened; those after it are what the parser made of that.
    tls = bool(causes) and isinstance(causes[0], SSL.Error | VerificationError | WrongFingerprint)
    return (TlsFailed if tls else TransportError)(
        f"{server}: {_words(causes[0]) if causes else 'no answer'}"
    )


def _causes(error: BaseException | Failure | None) -> Iterator[BaseException]:
    """The innermost errors: ResponseFailed and its like carry a list of Failures, and nest."""
    if isinstance(error, Failure):
        error = error.value
    reasons = getattr(error, "reasons", None)
    if reasons:
        for reason in reasons:
            yield from _causes(reason)
    elif error is not None:
        yield error


def _words(error: BaseException) -> str:
    if isinstance(error, VerificationError):
        return "the server's certificate is for another name"
    if isinstance(error, SSL.Error):
        told = error.args[0] if error.args and isinstance(error.args[0], list) else []
        return f"TLS: {', '.join(str(entry[-1]) for entry in told) or 'connection closed'}"
    # Some carry what the server sent, of whatever length.
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
