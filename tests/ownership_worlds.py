"""The meshes and acts that the machine of ownership draws."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from ownership_host import KEYS, LAZY, LIMITS, PATIENCES, SELECTORS, Entry

from servicereflector.listwatch.machine import Timing
from servicereflector.mirror.naming import Naming
from servicereflector.mirror.policy import EndpointsApi, Policy
from servicereflector.reflector.follower import SourceSettings

NAMINGS = (
    Naming(),
    Naming(),
    Naming(),
    Naming(name="{name}-{source}"),
    Naming(namespace="both"),
    Naming(name="{name}-{source}", namespace="both"),
)


def mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from((usual,) * 5 * len(others) + others)


policies = st.builds(
    Policy,
    prune=mostly(False, True),
    naming=st.sampled_from(NAMINGS),
    denied_namespaces=mostly((), ("mall",)),
    create_namespaces=mostly(True, False),
    endpoints_api=mostly(EndpointsApi.BOTH, EndpointsApi.ENDPOINTS, EndpointsApi.ENDPOINTSLICES),
    external_names=mostly(True, False),
    limits=st.just(LIMITS),
)

#: Which of so many nodes the one of this number reflects.
TOPOLOGIES: dict[str, Callable[[int, int], Iterable[int]]] = {
    "chain": lambda _, number: range(max(0, number - 1), number),
    "ring": lambda count, number: [(number - 1) % count],
    "star": lambda count, number: range(1, count) if number == 0 else (),
    "fan": lambda _count, number: [0] if number else (),
    "full": lambda count, number: [n for n in range(count) if n != number],
}


@st.composite
def settings_of(draw: st.DrawFn, node: str, naming: Naming) -> SourceSettings:
    """A source, by the name of its node, another one, or its URL."""
    url = f"http://{node}.emitter"
    names = [node, node, f"{node}2"]
    if "{source}" not in naming.name:
        names.append(url)
    return SourceSettings(
        draw(st.sampled_from(names)),
        url=url,
        selector=draw(st.sampled_from(SELECTORS)),
        patience=draw(st.sampled_from(PATIENCES)),
    )


@dataclass(frozen=True)
class Drawn:
    policy: Policy
    entries: tuple[Entry, ...]
    emits: bool
    timing: Timing | None


@st.composite
def worlds(draw: st.DrawFn) -> list[Drawn]:
    count = draw(st.sampled_from((2, 3, 3, 3, 4, 5)))
    names = "abcde"[:count]
    topology = TOPOLOGIES[draw(st.sampled_from(("full", "full", *TOPOLOGIES)))]
    found = []
    for number in range(count):
        policy = draw(policies)
        sources = draw(st.permutations([names[n] for n in topology(count, number)]))
        entries = tuple((name, draw(settings_of(name, policy.naming))) for name in sources)
        emits = draw(st.sampled_from((True,) * 9 + (False,)))
        timing = draw(st.sampled_from((LAZY,) * 5 + (None,)))
        found.append(Drawn(policy, entries, emits, timing))
    return found


numbers = st.integers(0, 11)

#: What follows a step at once: nothing, some bytes that move between some of the servers in turn,
#: all that there is to do, or some time.
afterwards = (
    st.just("settle")
    | st.just("nothing")
    | st.lists(numbers, min_size=1, max_size=6)
    | st.sampled_from((0.5, 3.0, 20.0))
)
After = str | list[int] | float


some_keys = st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True)

#: A Service: its kind, what is behind it, how many ready addresses, and the value of a label.
How = tuple[str, str, int, str]
hows = st.tuples(
    mostly("ClusterIP", "headless", "ExternalName"),
    st.sampled_from(("endpoints", "endpoints", "slices", "both", "nothing")),
    st.integers(0, 3),
    st.sampled_from("xy"),
)
