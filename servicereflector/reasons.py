"""Reason codes: what logs, Events, the status and docs/reasons.md call whatever happens.

They are stable: alerts are made of them. They are written as Kubernetes' own reasons are. Each
stands for what has a remedy of its own, not for each place in the program that finds it.
"""

from __future__ import annotations

from enum import Enum
from json import JSONDecodeError


class Code(str, Enum):
    """Why something is as it is; docs/reasons.md tells what follows from it, and the remedy."""

    # What has become of an exported Service.
    MIRRORED = "Mirrored"
    ADDRESS_REFUSED = "AddressRefused"
    FIELD_LEFT_OUT = "FieldLeftOut"
    FAMILY_FIXED = "FamilyFixed"
    SLICE_TAKEN = "SliceTaken"
    NAME_SHARED = "NameShared"
    NOT_LISTED = "NotListed"
    NO_ENDPOINTS = "NoEndpoints"
    NAMESPACE_MISSING = "NamespaceMissing"
    NAMESPACE_TERMINATING = "NamespaceTerminating"
    LEADER_PENDING = "LeaderPending"
    STANDBY = "Standby"
    NAME_TAKEN = "NameTaken"
    ENDPOINTS_TAKEN = "EndpointsTaken"
    HELD = "Held"
    STALE = "Stale"
    WITHDRAWN = "Withdrawn"
    ORPHANED = "Orphaned"
    NAMESPACE_REFUSED = "NamespaceRefused"
    PORT_REFUSED = "PortRefused"
    EXTERNAL_NAME_REFUSED = "ExternalNameRefused"
    HOST_REFUSED = "HostRefused"
    TAKEN_OVER = "TakenOver"
    RECREATED = "Recreated"
    GONE = "Gone"

    # Why a request to a source, or to the host, failed.
    UNREACHABLE = "Unreachable"
    TIMED_OUT = "TimedOut"
    TLS_FAILED = "TlsFailed"
    CREDENTIALS_UNUSABLE = "CredentialsUnusable"
    UNAUTHORIZED = "Unauthorized"
    FORBIDDEN = "Forbidden"
    QUOTA_EXCEEDED = "QuotaExceeded"
    NOT_SERVED = "NotServed"
    TOO_MANY_REQUESTS = "TooManyRequests"
    EXPIRED = "Expired"
    OLDER_LIST = "OlderList"
    SERVER_ERROR = "ServerError"
    REQUEST_REFUSED = "RequestRefused"
    BAD_ANSWER = "BadAnswer"
    ANSWER_TOO_LARGE = "AnswerTooLarge"
    WATCH_CUT = "WatchCut"

    # Sources.
    RECOVERED = "Recovered"
    RESTORED = "Restored"
    OBJECT_REJECTED = "ObjectRejected"
    QUOTA_REACHED = "QuotaReached"
    SLICES_NOT_SERVED = "SlicesNotServed"
    SOURCE_ADDED = "SourceAdded"
    SOURCE_CHANGED = "SourceChanged"
    SOURCE_REMOVED = "SourceRemoved"
    SOURCE_FILE_UNUSABLE = "SourceFileUnusable"
    SOURCE_DIR_UNREADABLE = "SourceDirUnreadable"
    SOURCE_NAME_TAKEN = "SourceNameTaken"

    # The host.
    HOST_VERSION = "HostVersion"
    SLICES_FORBIDDEN = "SlicesForbidden"
    SERVICE_RANGE_UNKNOWN = "ServiceRangeUnknown"
    NAMESPACE_KEPT = "NamespaceKept"
    NAMESPACE_DELETED = "NamespaceDeleted"
    EVENTS_NOT_WRITTEN = "EventsNotWritten"
    EVENTS_FORBIDDEN = "EventsForbidden"

    # Leader election.
    LEADER_ELECTED = "LeaderElected"
    STANDING_BY = "StandingBy"
    LEASE_UNAVAILABLE = "LeaseUnavailable"
    LEASE_LOST = "LeaseLost"
    LEASE_RELEASED = "LeaseReleased"
    LEASE_NOT_RELEASED = "LeaseNotReleased"

    # The Emitter.
    CERTIFICATE_SHOWN = "CertificateShown"
    CERTIFICATE_REPLACED = "CertificateReplaced"
    CERTIFICATE_EXPIRING = "CertificateExpiring"
    FILE_UNUSABLE = "FileUnusable"
    RULES_CHANGED = "RulesChanged"
    REVIEWS_FAILED = "ReviewsFailed"
    CLIENTS_REFUSED = "ClientsRefused"
    CONNECTIONS_LIMITED = "ConnectionsLimited"

    # The program itself.
    SYNCING = "Syncing"
    REACTOR_BLOCKED = "ReactorBlocked"
    COMPARISON_DIFFERENCE = "ComparisonDifference"
    ADMIN_SOCKET_UNAVAILABLE = "AdminSocketUnavailable"
    FLAG_IGNORED = "FlagIgnored"
    INTERNAL_ERROR = "InternalError"


def code_of(error: BaseException | None) -> Code:
    """What an error is called. Those of which people hear say it themselves, as ``told_as``; any
    other is a fault of the program."""
    if isinstance(error, TimeoutError):
        return Code.TIMED_OUT
    if isinstance(error, JSONDecodeError):
        return Code.BAD_ANSWER
    told = getattr(error, "told_as", None)
    return told if isinstance(told, Code) else Code.INTERNAL_ERROR
