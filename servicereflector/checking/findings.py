"""What was found, in a line for each, or as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..kube.text import shown


class Result(str, Enum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Found(str, Enum):
    """Why, in one word that stays; docs/check.md explains each."""

    REACHABLE = "Reachable"
    UNREACHABLE = "Unreachable"
    TLS_FAILED = "TlsFailed"
    UNAUTHORIZED = "Unauthorized"
    FORBIDDEN = "Forbidden"
    BAD_ANSWER = "BadAnswer"
    CREDENTIALS_UNUSABLE = "CredentialsUnusable"
    PERMITTED = "Permitted"
    NOT_PERMITTED = "NotPermitted"
    SERVES_SLICES = "ServesEndpointSlices"
    NO_SLICES = "NoEndpointSlices"
    IN_TIME = "ClockInTime"
    CLOCK_SKEW = "ClockSkew"
    NO_CLOCK = "NoClock"
    LISTED = "Listed"
    NOT_LISTED = "NotListed"
    NO_SOURCES = "NoSources"
    SOURCE_FILE_UNUSABLE = "SourceFileUnusable"
    ADDRESS_REFUSED = "AddressRefused"
    ADDRESSES_OVERLAP = "AddressesOverlap"
    ADDRESSES_APART = "AddressesApart"
    NAME_TAKEN = "NameTaken"
    NAME_SHARED = "NameShared"
    NO_CONFLICTS = "NoConflicts"
    PODS_REACHED = "PodsReached"
    PODS_NOT_REACHED = "PodsNotReached"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    :ivar subject: ``host``, or the name of a source.
    :ivar message: what was seen.
    :ivar remedy: what to do about it; ``""`` where nothing is to be done.
    """

    subject: str
    result: Result
    code: Found
    message: str
    remedy: str = ""


def ok(subject: str, code: Found, message: str) -> Finding:
    return Finding(subject, Result.OK, code, message)


def warn(subject: str, code: Found, message: str, remedy: str) -> Finding:
    return Finding(subject, Result.WARN, code, message, remedy)


def fail(subject: str, code: Found, message: str, remedy: str) -> Finding:
    return Finding(subject, Result.FAIL, code, message, remedy)


def in_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """For people: what fails in capitals, and all of it in the last line."""
    for finding in findings:
        mark = finding.result.value
        told = f"{finding.subject}: {finding.message}"
        if finding.remedy:
            told += f" ({finding.code.value}): {finding.remedy}"
        yield f"{mark.upper() if finding.result is Result.FAIL else mark:<4}  {shown(told, 1000)}"
    results = [finding.result for finding in findings]
    counts = ", ".join(f"{results.count(one)} {one.value}" for one in Result)
    yield f"{counts}. Nothing was written."


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        "findings": [
            {
                "subject": finding.subject,
                "result": finding.result.value,
                "code": finding.code.value,
                "message": finding.message,
                "remedy": finding.remedy,
            }
            for finding in findings
        ]
    }


def count_of(number: int, what: str) -> str:
    """``1 Service``, ``2 Services``."""
    plural = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{number} {what if number == 1 else plural}"


def has_failed(findings: Sequence[Finding]) -> bool:
    return any(finding.result is Result.FAIL for finding in findings)
