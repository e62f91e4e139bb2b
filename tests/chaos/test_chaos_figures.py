"""What the tables of faults and of soaking are made of."""

from __future__ import annotations

import math

import pytest

from .mirrors import differences, is_mirror, shapes
from .slope import slope


def service(name: str, **metadata: object) -> dict[str, object]:
    return {
        "metadata": {"namespace": "shop", "name": name, **metadata},
        "spec": {"ports": [{"port": 80, "protocol": "TCP"}]},
    }


def endpoints(name: str, *ips: str) -> dict[str, object]:
    addresses = [{"ip": ip} for ip in ips]
    return {
        "metadata": {"namespace": "shop", "name": name},
        "subsets": [{"addresses": addresses, "ports": [{"port": 8080}]}],
    }


OURS = {"annotations": {"service-reflector.squat.ai/source": "east"}}
MARK = {"service-reflector.squat.ai/reflected": "true"}


def test_a_mirror_is_as_its_source_whatever_the_order_of_addresses() -> None:
    wanted = shapes(
        [service("a", labels={"x": "1"})], [endpoints("a", "1.1.1.1", "2.2.2.2")], "east"
    )
    mirror = service("a", labels={"x": "1", **MARK}, **OURS)
    assert is_mirror(mirror)
    assert not is_mirror(service("a"))
    found = shapes([mirror], [endpoints("a", "2.2.2.2", "1.1.1.1")])
    assert differences(wanted, found) == []


@pytest.mark.parametrize(
    ("mirrors", "behind", "told"),
    [
        ([], [], "shop/a is not mirrored"),
        (
            [service("a", **OURS), service("b", **OURS)],
            [endpoints("a", "1.1.1.1")],
            "b is mirrored",
        ),
        ([service("a", **OURS)], [endpoints("a", "1.1.1.2")], "1.1.1.2"),
        ([service("a", **OURS)], [], "shop/a is"),
        ([service("a", labels={"x": "1"}, **OURS)], [endpoints("a", "1.1.1.1")], "x"),
        ([service("a")], [endpoints("a", "1.1.1.1")], "source=''"),
    ],
)
def test_each_difference_is_told(
    mirrors: list[dict[str, object]], behind: list[dict[str, object]], told: str
) -> None:
    wanted = shapes([service("a")], [endpoints("a", "1.1.1.1")], "east")
    (line,) = differences(wanted, shapes(mirrors, behind))
    assert told in line


def test_a_line_is_as_steep_as_it_is() -> None:
    steep, error = slope([(x, 3.0 * x + 5) for x in range(10)])
    assert steep == pytest.approx(3)
    assert error == pytest.approx(0, abs=1e-9)


def test_what_scatters_has_an_error() -> None:
    """Figures by hand: the slope of (0, 0), (1, 2), (2, 1) is 1/2, its residuals' squares add up to
    3/2, and the spread of x is 2."""
    steep, error = slope([(0, 0), (1, 2), (2, 1)])
    assert steep == pytest.approx(0.5)
    assert error == pytest.approx(math.sqrt(1.5 / 1 / 2))


def test_two_samples_tell_nothing() -> None:
    assert all(map(math.isnan, slope([(0, 0), (1, 1)])))
