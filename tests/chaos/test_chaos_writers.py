"""Who writes when, and who takes over, is read from the audit log rightly."""

from __future__ import annotations

import json

from .writers import LEASES, Ending, Write, beside, handovers, writes


def write(user: str, resource: str, begun: float) -> Write:
    return Write(user, resource, begun, begun + 0.1)


def event(user: str, code: int, stage: str = "ResponseComplete") -> str:
    return json.dumps(
        {
            "stage": stage,
            "user": {"username": user},
            "objectRef": {"resource": "services"},
            "responseStatus": {"code": code},
            "requestReceivedTimestamp": "1970-01-01T00:00:01.500000Z",
            "stageTimestamp": "1970-01-01T00:00:02.000000Z",
        }
    )


def test_what_failed_or_is_of_others_is_no_write() -> None:
    log = [event("a", 201), event("a", 409), event("admin", 201), event("a", 500, "Panic")]
    assert writes(log, ["a", "b"]) == [Write("a", "services", 1.5, 2.0)]


def test_a_write_beside_the_holder_is_told() -> None:
    first, second = write("a", LEASES, 1), write("b", LEASES, 3)
    late = write("a", "services", 4)
    fine = [write("a", "services", 2), write("b", "endpoints", 5)]
    assert beside([first, fine[0], second, late, fine[1]]) == [(late, second)]


def test_a_handover_lasts_until_another_writes_a_mirror() -> None:
    found = [
        write("a", LEASES, 1),
        write("a", "services", 2),
        write("b", LEASES, 18),
        write("b", "services", 20),
    ]
    killed = Ending("a", 3, asked=False)
    stood_by = Ending("b", 4, asked=True)
    assert handovers(found, [killed, stood_by]) == [(killed, 17)]
