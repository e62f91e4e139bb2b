"""What the host knows and lets us do: out of its version, its discovery and its answers."""

from __future__ import annotations

import pytest
from twisted.logger import LogLevel, globalLogPublisher

from servicereflector.kube.objects import Json, record_of
from servicereflector.kube.resources import ENDPOINTSLICES, SERVICES
from servicereflector.kube.server import ServerInfo
from servicereflector.kube.status import ApiError, unknown_path
from servicereflector.kube.watchevents import EventType
from servicereflector.mirror.features import Features
from servicereflector.reflector.abilities import Abilities, first_family
from servicereflector.store.versioned import Store

SERVED = {("discovery.k8s.io/v1", "endpointslices"): {"name": "endpointslices"}}


class World:
    """Abilities, and what they are read off."""

    def __init__(self, minor: str = "36", resources: dict[tuple[str, str], Json] = SERVED) -> None:
        self.server: ServerInfo | None = ServerInfo({"major": "1", "minor": minor}, resources)
        self.services = Store(SERVICES)
        self.abilities = Abilities(lambda: self.server, self.services)
        self.abilities.slices = Store(ENDPOINTSLICES)

    @property
    def features(self) -> Features:
        found = self.abilities.features()
        assert found is not None
        return found


def test_nothing_is_known_before_the_version() -> None:
    """So nothing is planned."""
    world = World()
    world.server = None
    assert world.abilities.features() is None


@pytest.mark.parametrize(
    ("minor", "resources", "served"),
    [("36", SERVED, True), ("21", SERVED, True), ("20", SERVED, False), ("36", {}, False)],
)
def test_slices_are_written_where_they_are_served(
    minor: str, resources: dict[tuple[str, str], Json], served: bool
) -> None:
    """By version and by discovery."""
    assert World(minor, resources).features.endpoint_slices is served


def test_slices_that_are_not_followed_are_not_written() -> None:
    """What is there is not known."""
    world = World()
    world.abilities.slices = None
    assert not world.features.endpoint_slices


@pytest.mark.parametrize("error", [ApiError(403, "no"), unknown_path()])
def test_a_refused_first_list_turns_slices_off_until_it_comes(error: ApiError) -> None:
    """Told once, with the rule that is missing."""
    world = World()
    assert world.abilities.slices is not None
    told: list[str] = []

    def observe(event: dict[str, object]) -> None:
        if event["log_level"] is LogLevel.warn:
            told.append(str(event["rule"]))

    globalLogPublisher.addObserver(observe)
    world.abilities.troubled(error)
    world.abilities.troubled(error)
    globalLogPublisher.removeObserver(observe)
    assert len(told) == 1
    assert "endpointslices" in told[0]
    assert not world.features.endpoint_slices
    world.abilities.slices.replace((), 1)
    assert world.features.endpoint_slices


@pytest.mark.parametrize("error", [OSError("away"), ApiError(500, "no"), ApiError(429, "no")])
def test_a_list_that_fails_is_waited_for(error: Exception) -> None:
    """Without slices every mirror would be rewritten."""
    world = World()
    world.abilities.troubled(error)
    assert world.features.endpoint_slices


def test_what_was_listed_is_not_given_up_for_a_refused_watch() -> None:
    """An API server that starts refuses for a moment what it allows."""
    world = World()
    assert world.abilities.slices is not None
    world.abilities.slices.replace((), 1)
    world.abilities.troubled(ApiError(403, "no"))
    assert world.features.endpoint_slices


def test_another_version_is_asked_anew() -> None:
    """Its role may be another."""
    world = World()
    world.abilities.troubled(ApiError(403, "no"))
    world.abilities.host_changed()
    assert world.features.endpoint_slices


def test_the_family_is_that_of_the_clusters_own_service() -> None:
    """It changes with it; without it, it is not known."""
    world = World()
    assert world.features.family == ""
    for version, family in enumerate(("IPv6", "IPv4"), 1):
        document = {
            "metadata": {
                "namespace": "default",
                "name": "kubernetes",
                "resourceVersion": str(version),
            },
            "spec": {"ipFamilies": [family]},
        }
        world.services.apply(EventType.MODIFIED, record_of(SERVICES, document))
        assert world.features.family == family


@pytest.mark.parametrize(
    ("spec", "family"),
    [
        ({"ipFamilies": ["IPv6", "IPv4"], "clusterIP": "fd00::1"}, "IPv6"),
        ({"clusterIP": "10.96.0.1"}, "IPv4"),
        ({"clusterIP": "fd00::1"}, "IPv6"),
        ({"ipFamilies": []}, ""),
        ({"ipFamilies": "IPv4"}, ""),
        ({"ipFamilies": ["IPX"]}, ""),
        ({"clusterIP": "None"}, ""),
        (None, ""),
    ],
)
def test_the_first_family_of_a_service(spec: Json | None, family: str) -> None:
    """Before 1.20 a Service tells it by its address only."""
    assert first_family({"spec": spec}) == family
