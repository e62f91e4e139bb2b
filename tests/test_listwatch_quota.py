"""What is taken of a source, and which of its objects are rejected now."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicereflector.kube.objects import Record
from servicereflector.kube.resources import ENDPOINTS, SERVICES
from servicereflector.kube.strangers import Rejected
from servicereflector.listwatch.quota import Quotas, Room
from servicereflector.listwatch.rejections import QUOTA, Rejections


def record(name: str, size: int = 10) -> Record:
    return Record("shop", name, "u", 1, b"x" * size)


VERSIONS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 40), max_size=6)


@given(
    st.integers(0, 4),
    st.integers(0, 100),
    st.lists(VERSIONS | st.tuples(st.sampled_from("abcdef"), st.integers(0, 40)), max_size=12),
)
def test_a_quota_takes_nothing_away(
    most: int, size: int, writes: list[dict[str, int] | tuple[str, int]]
) -> None:
    """What was in and still exists stays in; beyond the quota nothing comes in."""
    room = Room(Quotas(services=most, size=size))
    kept: dict[str, Record] = {}
    for write in writes:
        before, used = dict(kept), room.used
        if isinstance(write, dict):
            listed = [record(name, n) for name, n in write.items()]
            taken, refused = room.replace(SERVICES, kept.get, listed)
            kept = {one.key: one for one in taken}
            assert {one.key for one in listed} & before.keys() <= kept.keys()
            assert {one.key for one in listed} <= kept.keys() | {error.key for error in refused}
            assert all(error.reason == QUOTA for error in refused)
        else:
            one, old = record(*write), kept.get(f"shop/{write[0]}")
            if write[1]:
                with suppress(Rejected):
                    room.admit(SERVICES, one, old, len(kept))
                    kept[one.key] = one
            elif old is not None:
                room.leave(SERVICES, kept.pop(one.key))
        assert room.used == sum(len(one.body) for one in kept.values())
        if most:
            assert len(kept) <= most
        if size:
            assert room.used <= max(size, used)


def test_bytes_are_counted_over_all_resources() -> None:
    room = Room(Quotas(size=25))
    room.admit(SERVICES, record("a"), None, 0)
    room.admit(ENDPOINTS, record("a"), None, 0)
    with pytest.raises(Rejected, match=r"^shop/b: the source has more than 25 bytes$"):
        room.admit(ENDPOINTS, record("b"), None, 1)
    room.forget(SERVICES)
    room.admit(ENDPOINTS, record("b"), None, 1)


def test_who_waits_for_room_hears_of_it() -> None:
    heard: list[int] = []
    room = Room()
    end = room.subscribe(lambda: heard.append(room.used))
    room.admit(SERVICES, record("a", 10), None, 0)
    room.admit(SERVICES, record("a", 6), record("a", 10), 1)
    room.leave(SERVICES, record("a", 6))
    room.replace(SERVICES, {}.get, [record("a")])
    room.replace(SERVICES, {}.get, [])
    end()
    assert heard == [6, 0, 0]


def rejected(name: str, reason: str = "ports") -> Rejected:
    key = f"shop/{name}" if name else ""
    return Rejected(reason, f"{key}: why", key, key)


def test_what_is_rejected_again_is_no_news() -> None:
    rejections = Rejections()
    assert rejections.note(rejected("a"))
    assert not rejections.note(rejected("a"))
    assert rejections.note(rejected("a", "labels"))
    assert (len(rejections), rejections.first) == (1, "shop/a: why")
    assert rejections.counts == {"ports": 2, "labels": 1}
    assert rejections.covers("shop/a")
    rejections.healed("shop/a")
    assert (len(rejections), rejections.first) == (0, "")
    assert not rejections.covers("shop/a")


def test_a_list_tells_which_are_rejected_now() -> None:
    rejections = Rejections()
    rejections.note(rejected("a"))
    rejections.note(rejected("b", QUOTA))
    rejections.begin()
    rejections.note(rejected("c"), listed=True)
    rejections.note(rejected(""), listed=True)
    assert rejections.wants_room
    assert rejections.listed() == ["shop/c"]
    rejections.end()
    assert len(rejections) == 2
    assert not rejections.wants_room
    assert not rejections.covers("shop/a")


def test_what_cannot_be_remembered_covers_everything() -> None:
    """Nothing is deleted for the absence of what may have been rejected."""
    rejections = Rejections(most=1)
    rejections.begin()
    rejections.note(rejected("a"), listed=True)
    rejections.note(rejected("b"), listed=True)
    rejections.end()
    assert len(rejections) == 2
    assert rejections.covers("shop/x")
    rejections.begin()
    rejections.end()
    assert not rejections.covers("shop/x")
