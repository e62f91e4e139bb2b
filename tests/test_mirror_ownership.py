"""Who may own a name in the host: the design's table, row by row, and what holds in any case."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from servicereflector.kube.objects import Json, Record, record_of
from servicereflector.kube.resources import ENDPOINTS, SERVICES
from servicereflector.mirror.copying import mirror_endpoints, mirror_service
from servicereflector.mirror.features import Features
from servicereflector.mirror.ownership import Course, Verdict, judge
from servicereflector.mirror.policy import Policy
from servicereflector.mirror.states import HostState, SourceState, State, is_exported
from servicereflector.testing import strategies as kube
from servicereflector.testing.strategies import Situation, completed

SERVICE: Json = {"metadata": {"name": "x", "namespace": "a"}, "spec": {"type": "ClusterIP"}}
BEHIND: Json = {
    "metadata": {"name": "x", "namespace": "a"},
    "subsets": [{"addresses": [{"ip": "10.1.0.1"}]}],
}


def service(document: Json = SERVICE) -> Record:
    return record_of(SERVICES, completed(document, "uid-0", 1))


def endpoints(document: Json = BEHIND) -> Record:
    return record_of(ENDPOINTS, completed(document, "uid-1", 1))


def exporting(name: str) -> SourceState:
    return SourceState(name, True, service(), endpoints())


def without(name: str, *, synced: bool = True) -> SourceState:
    return SourceState(name, synced)


def mirror_of(source: str) -> HostState:
    behind = mirror_endpoints(SERVICE, BEHIND, source)
    assert behind is not None
    return HostState(None, service(mirror_service(SERVICE, source, Features())), endpoints(behind))


def states(verdict: Verdict) -> dict[str, State]:
    return {source: status.state for source, status in verdict.statuses.items()}


def test_a_free_name_goes_to_the_source_that_exports_it() -> None:
    """Row: nothing in the host."""
    verdict = judge([exporting("east")], HostState())
    assert verdict.course is Course.MIRROR
    assert states(verdict) == {"east": State.MIRRORED}


def test_a_free_name_goes_to_the_first_source_in_configured_order() -> None:
    """The others stand by."""
    verdict = judge([without("north"), exporting("east"), exporting("south")], HostState())
    assert verdict.owner is not None
    assert verdict.owner.name == "east"
    assert states(verdict) == {"east": State.MIRRORED, "south": State.STANDBY}


def test_a_service_waits_for_its_endpoints() -> None:
    """Pending, as in the Go program; an empty Endpoints object is one."""
    verdict = judge([SourceState("east", True, service())], HostState())
    assert verdict.course is Course.LEAVE
    assert states(verdict) == {"east": State.PENDING}
    empty = SourceState("east", True, service(), endpoints({"metadata": SERVICE["metadata"]}))
    assert judge([empty], HostState()).course is Course.MIRROR


def test_an_external_name_waits_for_nothing() -> None:
    """It has no Endpoints."""
    document = {**SERVICE, "spec": {"type": "ExternalName", "externalName": "db.example"}}
    verdict = judge([SourceState("east", True, service(document))], HostState())
    assert verdict.course is Course.MIRROR


def test_a_free_name_does_not_wait_for_a_source_that_is_incomplete() -> None:
    """The first that has something to mirror."""
    incomplete = SourceState("east", True, service())
    verdict = judge([incomplete, exporting("south")], HostState())
    assert verdict.owner is not None
    assert verdict.owner.name == "south"


@pytest.mark.parametrize(
    "host",
    [
        HostState(None, service()),
        HostState(None, None, endpoints()),
        HostState(None, mirror_of("east").service, endpoints()),
    ],
    ids=["Service", "Endpoints", "Endpoints beside a mirror"],
)
def test_what_is_not_reflected_is_never_touched(host: HostState) -> None:
    """Row: an object that is not reflected; for every source that exports the name."""
    verdict = judge([exporting("east"), exporting("south"), without("north")], host)
    assert verdict.course is Course.LEAVE
    assert states(verdict) == {"east": State.CONFLICT, "south": State.CONFLICT}


def test_a_label_alone_does_not_make_an_object_ours() -> None:
    """Only the annotation does: a person may have copied the label."""
    document = {**SERVICE, "metadata": {**SERVICE["metadata"], "labels": {}}}
    document["metadata"]["labels"] = {"service-reflector.squat.ai/reflected": "true"}
    verdict = judge([exporting("east")], HostState(None, service(document)))
    assert states(verdict) == {"east": State.CONFLICT}


def test_a_mirror_is_kept_up_by_its_source() -> None:
    """Row: reflected, from this source; also when it is not the first one configured."""
    verdict = judge([exporting("south"), exporting("east")], mirror_of("east"))
    assert verdict.course is Course.MIRROR
    assert states(verdict) == {"east": State.MIRRORED, "south": State.STANDBY}


def test_a_mirror_stays_with_a_source_that_exports_the_service_without_endpoints() -> None:
    """They may be written anew at this moment."""
    incomplete = SourceState("east", True, service())
    verdict = judge([exporting("south"), incomplete], mirror_of("east"))
    assert states(verdict) == {"east": State.MIRRORED, "south": State.STANDBY}


@pytest.mark.parametrize("sources", [["east", "south"], ["south"]])
def test_a_mirror_is_taken_over_when_its_source_stops(sources: list[str]) -> None:
    """Row: reflected, from a source that no longer exports it, or is no longer configured."""
    said = [exporting(name) if name == "south" else without(name) for name in sources]
    verdict = judge(said, mirror_of("east"))
    assert verdict.course is Course.MIRROR
    assert states(verdict) == {"south": State.MIRRORED}


def test_a_mirror_is_taken_over_by_a_source_with_endpoints_first() -> None:
    """An incomplete one would empty it."""
    incomplete = SourceState("north", True, service())
    verdict = judge([incomplete, exporting("south")], mirror_of("east"))
    assert states(verdict) == {"north": State.STANDBY, "south": State.MIRRORED}


def test_what_is_behind_a_mirror_is_held_like_the_mirror() -> None:
    """The source has the Service alone, as most of its others; until it is no longer held, or there
    is something to mirror, or nothing to lose."""
    bare = SourceState("east", True, service(), held=True)
    held = judge([bare, exporting("south")], mirror_of("east"))
    assert held.course is Course.LEAVE
    assert states(held) == {"east": State.HELD, "south": State.STANDBY}
    for source in (replace(bare, held=False), replace(exporting("east"), held=True)):
        assert judge([source], mirror_of("east")).course is Course.MIRROR
    assert judge([bare], HostState(None, mirror_of("east").service)).course is Course.MIRROR


def test_a_mirror_is_deleted_when_its_source_no_longer_has_it() -> None:
    """Row: the source is synced and no longer has it."""
    verdict = judge([without("east")], mirror_of("east"))
    assert verdict.course is Course.DELETE
    assert verdict.statuses == {}


def test_a_mirror_is_not_deleted_before_the_first_complete_list() -> None:
    """Nor taken over: the source may export it."""
    verdict = judge([without("east", synced=False), exporting("south")], mirror_of("east"))
    assert verdict.course is Course.LEAVE
    assert states(verdict) == {"east": State.MIRRORED, "south": State.STANDBY}


def test_an_orphan_is_kept() -> None:
    """Row: reflected, from a source that is no longer configured."""
    verdict = judge([without("south")], mirror_of("east"))
    assert verdict.course is Course.LEAVE
    assert states(verdict) == {"east": State.ORPHANED}


def test_an_orphan_is_deleted_under_prune() -> None:
    """And only an orphan."""
    assert judge([], mirror_of("east"), Policy(prune=True)).course is Course.DELETE
    kept = judge([without("east", synced=False)], mirror_of("east"), Policy(prune=True))
    assert kept.course is Course.LEAVE


def test_endpoints_without_a_service_are_judged_alike() -> None:
    """Somebody deleted the Service by hand."""
    rest = HostState(None, None, mirror_of("east").endpoints)
    assert judge([exporting("east")], rest).course is Course.MIRROR
    assert judge([without("east")], rest).course is Course.DELETE
    assert states(judge([], rest)) == {"east": State.ORPHANED}


def test_the_cluster_s_own_api_is_never_exported() -> None:
    """``default/kubernetes``; a Service of that name elsewhere is one like any other."""
    metadata = {"name": "kubernetes", "namespace": "default"}
    assert not is_exported(service({**SERVICE, "metadata": metadata}))
    assert is_exported(service({**SERVICE, "metadata": {**metadata, "namespace": "a"}}))


@pytest.mark.parametrize("mark", ["annotations", "labels"])
def test_a_mirror_is_never_exported(mark: str) -> None:
    """Or a mesh of three clusters would keep a deleted Service alive by mirroring mirrors."""
    marks = {"service-reflector.squat.ai/reflected": "true"}
    metadata = {**SERVICE["metadata"], mark: marks}
    assert not is_exported(service({**SERVICE, "metadata": metadata}))


def heard(situation: Situation) -> list[SourceState]:
    """Those whose word counts."""
    external_too = situation.policy.external_names
    return [s for s in situation.sources if s.exports and (external_too or not s.is_external)]


def verdict_of(situation: Situation) -> Verdict:
    return judge(situation.sources, situation.host, situation.policy)


@given(kube.situations())
def test_one_source_owns_a_mirrored_name(situation: Situation) -> None:
    """One that exports it; all others that export it have a status that says why not."""
    verdict = verdict_of(situation)
    assert (verdict.owner is not None) == (verdict.course is Course.MIRROR)
    if verdict.owner is not None:
        assert verdict.owner.exports
        owners = [name for name, state in states(verdict).items() if state is State.MIRRORED]
        assert owners == [verdict.owner.name]
    if verdict.course is not Course.DELETE:
        assert {s.name for s in situation.sources if s.exports} <= verdict.statuses.keys()


@given(kube.situations())
def test_an_external_name_may_be_refused(situation: Situation) -> None:
    """And only by the policy."""
    verdict = verdict_of(situation)
    for source in situation.sources:
        if states(verdict).get(source.name) is State.REFUSED:
            assert source.is_external
            assert not situation.policy.external_names


def test_what_is_refused_leaves_the_name_to_others() -> None:
    """Though its source comes first."""
    external = {**SERVICE, "spec": {"type": "ExternalName", "externalName": "db.example"}}
    refused = SourceState("east", True, service(external))
    verdict = judge([refused, exporting("north")], HostState(), Policy(external_names=False))
    assert states(verdict) == {"east": State.REFUSED, "north": State.MIRRORED}


def test_a_slice_is_enough_for_a_service() -> None:
    """As its Endpoints are."""
    document = {"metadata": {"name": "x-1", "namespace": "a"}, "addressType": "IPv4"}
    source = SourceState("east", True, service(SERVICE), slices=kube.slice_records([document]))
    assert states(judge([source], HostState())) == {"east": State.MIRRORED}


@given(kube.situations())
def test_a_delete_needs_the_word_of_the_source_or_to_prune(situation: Situation) -> None:
    """And that nobody exports the name."""
    held = situation.host.held
    if verdict_of(situation).course is not Course.DELETE:
        return
    assert held is not None
    assert held.source is not None
    assert not heard(situation)
    keeper = {source.name: source for source in situation.sources}.get(held.source)
    assert situation.policy.prune if keeper is None else keeper.synced


@given(kube.situations())
def test_a_held_name_does_not_depend_on_the_order_of_sources(situation: Situation) -> None:
    """As long as its source exports it: a restart with other flags moves nothing."""
    held = situation.host.held
    keeper = next((s for s in situation.sources if held and s.name == held.source), None)
    if keeper not in heard(situation):
        return
    turned = judge(situation.sources[::-1], situation.host, situation.policy)
    assert turned == verdict_of(situation)


@given(kube.situations())
def test_every_status_but_mirrored_has_a_reason(situation: Situation) -> None:
    """A sentence for people."""
    for status in verdict_of(situation).statuses.values():
        assert status.reason or status.state is State.MIRRORED
