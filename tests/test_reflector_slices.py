"""A cluster's EndpointSlices by Service: the index equals the store, whatever happens to it."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from servicereflector.kube.annotations import REFLECTED, SOURCE
from servicereflector.kube.objects import Record, record_of
from servicereflector.kube.resources import ENDPOINTSLICES
from servicereflector.kube.slices import SERVICE_NAME
from servicereflector.kube.watchevents import EventType
from servicereflector.reflector.slices import SliceIndex, Slices
from servicereflector.store.versioned import Store


def slice_of(name: str, service: str, version: int = 1, *, ours: bool = False) -> Record:
    metadata: dict[str, object] = {
        "namespace": "shop",
        "name": name,
        "resourceVersion": str(version),
        "labels": {SERVICE_NAME: service} if service else {},
    }
    if ours:
        metadata["annotations"] = {REFLECTED: "true", SOURCE: "east"}
    return record_of(ENDPOINTSLICES, orjson.loads(orjson.dumps({"metadata": metadata})))


def store_of(*records: Record) -> Store:
    store = Store(ENDPOINTSLICES)
    store.replace(records, 1)
    return store


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c", "d"]),
            st.sampled_from(["cart", "pay", "", None]),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_the_index_is_the_store_by_service(steps: list[tuple[str, str | None, bool]]) -> None:
    """After slices that come, go, change their Service or lose it; one by one or in lists. What is
    told as affected is what has changed."""
    store = Store(ENDPOINTSLICES)
    index = SliceIndex(store)
    told: set[str] = set()
    store.subscribe(lambda keys: told.update(index.changed(keys)))
    services = ("shop/cart", "shop/pay")
    for version, (name, service, lists) in enumerate(steps, 1):
        told.clear()
        before = {key: index.of(key) for key in services}
        record = slice_of(name, service or "", version)
        if lists:
            kept = [r for r in store if r.name != name]
            store.replace(kept if service is None else [*kept, record], version)
        else:
            gone = EventType.DELETED if service is None else EventType.MODIFIED
            store.apply(gone, record)
        for key in services:
            expected = sorted(
                (r for r in store if f"shop/{r.labels.get(SERVICE_NAME)}" == key),
                key=lambda r: r.name,
            )
            assert index.of(key) == tuple(expected)
            assert key in told or index.of(key) == before[key]


def test_an_index_of_a_full_store_is_full() -> None:
    """A host's store may have been filled for the Emitter before."""
    index = SliceIndex(store_of(slice_of("a", "cart"), slice_of("b", "cart")))
    assert [record.name for record in index.of("shop/cart")] == ["a", "b"]
    assert index.of("shop/pay") == ()


def test_nothing_is_known_before_the_first_list_or_the_word_that_there_is_none() -> None:
    """What is known once stays known: to move up or fall back is no start."""
    slices = Slices()
    assert (slices.known, slices.synced, slices.of("shop/cart")) == (False, False, ())
    store = Store(ENDPOINTSLICES)
    slices.follow(store)
    assert (slices.known, slices.synced) == (False, False)
    store.replace([slice_of("a", "cart")], 1)
    assert (slices.known, slices.synced, len(slices.of("shop/cart"))) == (True, True, 1)
    slices.forget()
    assert (slices.known, slices.synced, slices.of("shop/cart")) == (True, False, ())


def test_listeners_hear_services_and_each_list_is_an_epoch() -> None:
    """Also that slices were forgotten; but not again and again."""
    slices = Slices()
    heard: list[tuple[tuple[str, ...], int]] = []
    stop = slices.subscribe(lambda keys: heard.append((keys, slices.epoch)))
    store = Store(ENDPOINTSLICES)
    slices.follow(store)
    store.replace([slice_of("a", "cart")], 1)
    store.apply(EventType.ADDED, slice_of("b", "pay", 2))
    slices.forget()
    slices.forget()
    store.apply(EventType.ADDED, slice_of("c", "pay", 3))
    assert heard == [(("shop/cart",), 1), (("shop/pay",), 1), ((), 2)]
    stop()
    slices.follow(store)
    assert len(heard) == 3


def test_a_store_that_is_full_already_is_an_epoch() -> None:
    """Its listeners must look at everything."""
    slices = Slices()
    heard: list[int] = []
    slices.subscribe(lambda _keys: heard.append(slices.epoch))
    slices.follow(store_of(slice_of("a", "cart")))
    assert (heard, slices.known) == ([1], True)


def test_only_slices_of_ours_make_mirrors() -> None:
    """A host has thousands of its own."""
    slices = Slices()
    assert slices.mirrored() == set()
    slices.follow(
        store_of(
            slice_of("a", "cart", ours=True), slice_of("b", "pay"), slice_of("c", "", ours=True)
        )
    )
    assert slices.mirrored() == {"shop/cart"}
