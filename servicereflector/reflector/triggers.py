"""When Pods changed, as the endpoints and EndpointSlice controllers tell it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ..kube.objects import Record

#: k8s.io/api/core/v1, EndpointsLastChangeTriggerTime: set where a change of Pods or of the Service
#: led to the write, and taken away by a write that nothing of the kind led to.
LAST_CHANGE = "endpoints.kubernetes.io/last-change-trigger-time"

# Within a string a quote has a backslash before it, so this is only found as a member's name.
_MEMBER = f'"{LAST_CHANGE}":"'.encode()

#: Bytes of a time in RFC 3339, nanoseconds and an offset included.
_LONGEST = 40


def last_change(records: Iterable[Record]) -> float | None:
    """The newest of the times that Endpoints or slices tell, in seconds since 1970.

    They are not parsed for it: there may be hundreds of slices.
    """
    times = (_time(record.body) for record in records)
    return max((time for time in times if time is not None), default=None)


def _time(body: bytes) -> float | None:
    start = body.find(_MEMBER)
    if start < 0:
        return None
    start += len(_MEMBER)
    text = body[start : start + _LONGEST].partition(b'"')[0].decode("ascii", "replace")
    try:
        # Python 3.10 reads neither a Z nor other than three or six digits of a second.
        whole, _, fraction = text.removesuffix("Z").partition(".")
        moment = datetime.fromisoformat(f"{whole}+00:00").timestamp()
        return moment + (float(f"0.{fraction}") if fraction else 0.0)
    except (ValueError, OverflowError):
        return None
