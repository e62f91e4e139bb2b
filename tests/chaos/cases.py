"""Every fault that is tried, and where. docs/failure.md tells of each kind."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from . import garbage
from .faults import (
    Begin,
    between,
    client_certificate,
    compaction,
    descriptors,
    full_disk,
    kill,
    server_authority,
    server_certificate,
    token,
    too_many_reads,
    too_many_writes,
)
from .proxy import Answer, BlackHole, Fault, HalfOpen, Refuse, Reset, Throttle
from .world import API_TO_EMITTER, API_TO_REFLECTOR, EMITTER_TO_REFLECTOR, HOST


@dataclass(frozen=True, slots=True)
class Case:
    """
    :ivar kind: as docs/failure.md calls it.
    :ivar where: which process or link.
    :ivar quick: whether it is tried in every run of the tests.
    :ivar apart: whether the healthy source must not notice.
    :ivar bound: seconds within which everything must be as it should be again.
    """

    kind: str
    where: str
    begin: Begin
    quick: bool = False
    apart: bool = True
    bound: float = 60.0

    @property
    def name(self) -> str:
        return f"{self.kind}: {self.where}"


PROCESSES = (
    "source etcd",
    "source API server",
    "emitter",
    "reflector",
    "host API server",
    "host etcd",
)
LINKS = (API_TO_EMITTER, EMITTER_TO_REFLECTOR, API_TO_REFLECTOR, HOST)

#: Bytes: about a dozen events.
_SOME = 8000

#: To each kind the link where it is tried in every run.
_ON_LINKS: dict[str, tuple[Fault, str]] = {
    "refused": (Refuse(), EMITTER_TO_REFLECTOR),
    "black hole": (BlackHole(), API_TO_REFLECTOR),
    "half-open, then reset": (HalfOpen(forgotten=True), HOST),
    "reset": (Reset(), API_TO_EMITTER),
    "reset after some bytes": (Reset(after=_SOME), API_TO_REFLECTOR),
    "throttled": (Throttle(2000), HOST),
}

_ANSWERS = {
    "HTML": garbage.html,
    "nested JSON": garbage.nested,
    "endless line": garbage.endless_line,
    "endless headers": garbage.endless_headers,
    "endless status line": garbage.endless_status,
    "a gigabyte that drips": garbage.dripping,
}


#: The two that start fastest.
_CHEAPEST = ("emitter", "reflector")


def _mirrors_wait(names: tuple[str, ...]) -> bool:
    return any(name == "reflector" or name.startswith("host") for name in names)


CASES = [
    *(
        # tests/e2e/test_restarts.py kills each of them in every run.
        Case("killed", name, kill(name), quick=name == "emitter", apart=not _mirrors_wait((name,)))
        for name in PROCESSES
    ),
    *(
        Case(
            "two killed",
            " and ".join(pair),
            kill(*pair),
            quick=pair == _CHEAPEST,
            apart=not _mirrors_wait(pair),
        )
        for pair in itertools.combinations(PROCESSES, 2)
    ),
    *(
        Case(kind, link, between(link, fault), quick=link == quick, apart=link != HOST)
        for kind, (fault, quick) in _ON_LINKS.items()
        for link in LINKS
    ),
    *(
        Case(
            "half-open for good",
            link,
            between(link, HalfOpen()),
            apart=link != HOST,
            bound=120,
        )
        for link in LINKS
    ),
    *(
        Case(
            kind,
            EMITTER_TO_REFLECTOR,
            between(EMITTER_TO_REFLECTOR, Answer(chunks, pause=0.01)),
            quick=True,
        )
        for kind, chunks in _ANSWERS.items()
    ),
    *(
        Case("no TLS", link, between(link, Answer(garbage.html)), apart=link != HOST)
        for link in (API_TO_EMITTER, API_TO_REFLECTOR, HOST)
    ),
    *(
        Case("compacted", link, compaction(link), quick=link == API_TO_EMITTER, apart=link != HOST)
        for link in (API_TO_EMITTER, API_TO_REFLECTOR, HOST)
    ),
    Case("too many writes", "host API server", too_many_writes, quick=True, apart=False),
    Case("too many reads", "host API server", too_many_reads, quick=True, apart=False),
    *(
        Case("token ended", name, token(name), quick=name == "direct", apart=name != "host")
        for name in ("emitter", "direct", "host")
    ),
    *(
        Case(
            "client certificate ended",
            name,
            client_certificate(name, process),
            quick=name == "emitter",
            apart=name != "host",
        )
        for name, process in (
            ("emitter", "emitter"),
            ("direct", "reflector"),
            ("host", "reflector"),
        )
    ),
    Case("server certificate replaced", "source API server", server_certificate),
    Case("authority replaced", "source API server", server_authority, bound=120),
    Case("log cannot be written", "reflector", full_disk, quick=True),
    Case("no descriptors", "emitter", descriptors("emitter", EMITTER_TO_REFLECTOR), quick=True),
    Case(
        "no descriptors",
        "reflector",
        descriptors("reflector", HOST),
        quick=True,
        apart=False,
    ),
]
