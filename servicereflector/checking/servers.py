"""What the answers of a server tell, or that there were none."""

from __future__ import annotations

from ..client.connection import ConfigError
from ..client.errors import BadAnswer, TlsFailed
from ..kube.objects import BadObject
from ..kube.status import ApiError
from .findings import Finding, Found, fail, ok, warn

#: Seconds by which clocks may differ before it is worth a word.
SKEW = 5.0


def judge_error(subject: str, error: Exception) -> Finding:
    """Why a server could not be asked, and what to do about it."""
    told = str(error) or type(error).__name__
    of_host = subject == "host"
    if isinstance(error, ConfigError):
        remedy = "mend the file that it names, or name another"
        return fail(subject, Found.CREDENTIALS_UNUSABLE, told, remedy)
    if isinstance(error, TlsFailed):
        remedy = (
            "the kubeconfig's certificate-authority is not the server's"
            if of_host
            else "name its authority with ca-file=, its name with server-name=, or pin its"
            " certificate with fingerprint=: service-reflector status there shows it"
        )
        return fail(subject, Found.TLS_FAILED, told, remedy)
    if isinstance(error, ApiError) and error.code == 401:
        credentials = (
            "renew the kubeconfig's credentials"
            if of_host
            else "give it a token-file= or a client-certificate= and client-key="
        )
        return fail(subject, Found.UNAUTHORIZED, told, f"it does not know who asks: {credentials}")
    if isinstance(error, ApiError) and error.code == 403:
        remedy = "let it list services and endpoints there: manifests/emitter.yaml has such a role"
        return fail(subject, Found.FORBIDDEN, told, remedy)
    if isinstance(error, ApiError | BadAnswer | BadObject):
        remedy = "is it the URL of an Emitter or of an API server, and nothing in between?"
        return fail(subject, Found.BAD_ANSWER, told, remedy)
    remedy = "is the address right, does the server run, and may one go there from here?"
    return fail(subject, Found.UNREACHABLE, told, remedy)


def judge_clock(subject: str, server: float | None, asked: float, answered: float) -> Finding:
    """
    :param server: its time, in seconds since 1970, whole ones; None where it told none.
    :param asked: when by our clock; ``answered`` likewise.
    """
    if server is None:
        return warn(subject, Found.NO_CLOCK, "tells no time", "a proxy may have taken the header")
    # It was some moment of that second, between the question and the answer.
    ahead = max(server - answered, asked - (server + 1), 0.0)
    if ahead <= SKEW:
        return ok(subject, Found.IN_TIME, f"its clock is within {SKEW:g} s of this machine's")
    which = "ahead of" if server > answered else "behind"
    return warn(
        subject,
        Found.CLOCK_SKEW,
        f"its clock is {ahead:.0f} s {which} this machine's",
        "let all machines ask a time server: certificates and delays are judged by clocks",
    )


def judge_slices(subject: str, served: bool) -> Finding:
    """Whether EndpointSlices can be had."""
    if served:
        return ok(subject, Found.SERVES_SLICES, "EndpointSlices (discovery.k8s.io/v1) are served")
    consequence = (
        "mirrors will have Endpoints only, of 1,000 addresses at the most"
        if subject == "host"
        else "its Endpoints are read in their place"
    )
    return ok(subject, Found.NO_SLICES, f"no EndpointSlices (discovery.k8s.io/v1): {consequence}")
