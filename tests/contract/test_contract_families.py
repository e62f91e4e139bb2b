"""What an API server with two ranges does to the families of Services."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from versions import kinds_since

from servicereflector.kube.resources import SERVICES
from servicereflector.testing.envtest import ApiServer, Binaries

from .api import Api, ensured, fields

BOTH = "10.96.0.0/16,fd00:96::/112"


@pytest.fixture(scope="module")
def dual_server(envtest_binaries: Binaries) -> Iterator[ApiServer]:
    with ApiServer(binaries=envtest_binaries, service_cluster_ip_range=BOTH) as server:
        yield server


@pytest.fixture(params=kinds_since(23))
def real(request: pytest.FixtureRequest) -> ApiServer | None:
    """Dual stack is there for all since 1.23."""
    if request.param == "embedded":
        return None
    server: ApiServer = request.getfixturevalue("dual_server")
    return server


@pytest.fixture
def service_range() -> str:
    return BOTH


def families(service: dict[str, Any]) -> tuple[str, list[str], list[bool]]:
    """The policy, the families, and of each address whether it is of the sixth version."""
    spec = service["spec"]
    sixth = [":" in address for address in spec.get("clusterIPs", ())]
    return spec["ipFamilyPolicy"], spec["ipFamilies"], sixth


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, ("SingleStack", ["IPv4"], [False])),
        ({"ipFamilies": ["IPv6"]}, ("SingleStack", ["IPv6"], [True])),
        (
            {"ipFamilyPolicy": "PreferDualStack"},
            ("PreferDualStack", ["IPv4", "IPv6"], [False, True]),
        ),
        (
            {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6", "IPv4"]},
            ("RequireDualStack", ["IPv6", "IPv4"], [True, False]),
        ),
        ({"clusterIP": "fd00:96::77"}, ("SingleStack", ["IPv6"], [True])),
    ],
)
@ensured
async def test_a_service_has_the_families_that_it_asks_for(
    api: Api, spec: dict[str, Any], expected: object
) -> None:
    assert families(await api.create(SERVICES, api.service("a", **spec))) == expected


@ensured
async def test_a_second_family_comes_and_goes(api: Api) -> None:
    created = await api.create(SERVICES, api.service("a"))
    first = created["spec"]["clusterIP"]
    created["spec"]["ipFamilyPolicy"] = "PreferDualStack"
    wider = await api.update(SERVICES, created)
    assert families(wider) == ("PreferDualStack", ["IPv4", "IPv6"], [False, True])
    wider["spec"] |= {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"]}
    wider["spec"]["clusterIPs"] = [first]
    assert families(await api.update(SERVICES, wider)) == ("SingleStack", ["IPv4"], [False])


@ensured
async def test_the_first_family_does_not_change(api: Api) -> None:
    created = await api.create(SERVICES, api.service("a"))
    created["spec"]["ipFamilies"] = ["IPv6"]
    refused = await api.refusal(api.update(SERVICES, created))
    assert refused.code == 422
    assert any(field.startswith("spec.") for field in fields(refused))


@ensured
async def test_a_headless_service_has_families_too(api: Api) -> None:
    spec = {"clusterIP": "None", "ipFamilyPolicy": "PreferDualStack", "selector": {"a": "b"}}
    created = await api.create(SERVICES, api.service("a", **spec))
    assert created["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
    assert created["spec"]["clusterIPs"] == ["None"]


@ensured
async def test_an_external_name_has_none(api: Api) -> None:
    spec = {"type": "ExternalName", "externalName": "example.org", "ports": []}
    created = await api.create(SERVICES, api.service("a", **spec))
    assert not created["spec"].keys() & {"ipFamilies", "ipFamilyPolicy", "clusterIPs"}


class TestOneFamily:
    """Of a cluster that has but one."""

    @pytest.fixture
    def service_range(self) -> str:
        return "10.96.0.0/16"

    @pytest.fixture(params=kinds_since(23))
    def real(self, request: pytest.FixtureRequest) -> ApiServer | None:
        if request.param == "embedded":
            return None
        server: ApiServer = request.getfixturevalue("real_server")
        return server

    @ensured
    async def test_two_are_given_where_they_are_there(self, api: Api) -> None:
        created = await api.create(SERVICES, api.service("a", ipFamilyPolicy="PreferDualStack"))
        assert families(created) == ("PreferDualStack", ["IPv4"], [False])

    @pytest.mark.parametrize(
        ("spec", "field"),
        [
            ({"ipFamilyPolicy": "RequireDualStack"}, "spec.ipFamilyPolicy"),
            ({"ipFamilies": ["IPv6"]}, "spec.ipFamilies[0]"),
        ],
    )
    @ensured
    async def test_what_is_not_there_is_refused(
        self, api: Api, spec: dict[str, Any], field: str
    ) -> None:
        refused = await api.refusal(api.create(SERVICES, api.service("a", **spec)))
        assert refused.code == 422
        assert field in fields(refused)

    @ensured
    async def test_a_headless_service_without_a_selector_has_both(self, api: Api) -> None:
        """What is behind it may be anything; and it may be written again as it is."""
        created = await api.create(SERVICES, api.service("a", clusterIP="None"))
        assert created["spec"]["ipFamilyPolicy"] == "RequireDualStack"
        assert created["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
        created["metadata"]["labels"] = {"a": "b"}
        updated = await api.update(SERVICES, created)
        assert updated["spec"]["ipFamilies"] == ["IPv4", "IPv6"]

    @ensured
    async def test_an_unknown_distribution_is_refused_or_not_known_at_all(self, api: Api) -> None:
        """On by default from 1.31 on."""
        request = api.create(SERVICES, api.service("a", trafficDistribution="PreferFar"))
        if api.minor < 31:
            assert "trafficDistribution" not in (await request)["spec"]
            return
        assert fields(await api.refusal(request)) == {"spec.trafficDistribution"}
