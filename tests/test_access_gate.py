"""The gate before the Emitter, in memory: who passes, what exists for whom, and until when."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from twisted.internet.defer import Deferred, execute
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from servicereflector.access.gate import RECHECK, Access
from servicereflector.access.reviews import AccessReviews, TokenReviews
from servicereflector.access.rules import RuleFile, Rules
from servicereflector.access.tokenfile import parse_token_file
from servicereflector.access.views import parse_views_file
from servicereflector.client.bodies import collect
from servicereflector.kube.resources import SERVICES
from servicereflector.kube.selectors import parse_labels
from servicereflector.program import Roles
from servicereflector.testing.clusters import MemoryCluster, Mesh, service

TOKENS = "t-west,west,1\nt-edge,e1,2,edge\nt-root,root,3\nt-none,none,4\n"
VIEWS = """
views:
- {users: [west], namespaces: [shop], selector: "tier=public"}
- {groups: [edge], namespaces: ["team-*"]}
- {users: [root]}
"""


class Body(Protocol):
    """What came of a watch."""

    def __init__(self) -> None:
        self.data = b""
        self.ended = False

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, _reason: Failure = connectionDone) -> None:
        self.ended = True

    @property
    def seen(self) -> list[tuple[str, str]]:
        events = [orjson.loads(line) for line in self.data.splitlines()]
        return [(e["type"], e["object"]["metadata"].get("name", "")) for e in events]


class FakeHost:
    """Answers reviews."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answers: dict[str, dict[str, Any]] = {}
        self.down = False
        self.waiting: list[Deferred[None]] | None = None

    async def request(self, method: str, path: str, *, body: bytes | None = None) -> bytes:
        assert method == "POST"
        review = orjson.loads(body or b"")
        self.asked.append(review)
        if self.waiting is not None:
            later: Deferred[None] = Deferred()
            self.waiting.append(later)
            await later
        if self.down:
            raise ConnectionError("no host")
        assert path.endswith(review["kind"].lower() + "s")
        return orjson.dumps({**review, "status": self.answers[review["kind"]]})


class Guarded:
    """An Emitter behind its gates, and the files that its rules are in."""

    def __init__(self, directory: Path) -> None:
        self.mesh = Mesh()
        self.network = self.mesh.network
        self.cluster = MemoryCluster("east", self.network)
        node = self.mesh.join("east", roles=Roles(emitted=parse_labels("")), cluster=self.cluster)
        self.tokens, self.views = directory / "tokens.csv", directory / "views.yaml"
        self.tokens.write_text(TOKENS)
        self.views.write_text(VIEWS)
        self.host = FakeHost()
        assert node.program is not None
        assert node.program.read_api is not None
        self._resource = node.program.read_api.app.resource()
        for key, tier in (
            ("shop/cart", "public"),
            ("shop/till", "private"),
            ("team-a/api", ""),
            ("zoo/door", "public"),
        ):
            labels = {"tier": tier} if tier else {}
            self.cluster.put(SERVICES, service(key, labels=labels))
        self.mesh.settle()
        self.access: Access | None = None

    def guard(self, **rules: Any) -> None:
        """By default by the token file alone."""
        clock = self.network.clock
        tokens = RuleFile(
            clock, self.tokens, parse_token_file, what="the token file", defer_to_thread=execute
        )
        self.access = Access(clock, Rules(**{"tokens": tokens, **rules}))
        self.network.serve("secure", self.access.gate(self._resource, credentials=True))
        self.network.serve("plain", self.access.gate(self._resource, credentials=False))
        self.network.serve(
            "open", self.access.gate(self._resource, credentials=False, anonymous=True)
        )
        self.access.startService()

    def viewed(self) -> RuleFile[Any]:
        return RuleFile(
            self.network.clock,
            self.views,
            parse_views_file,
            what="the file of views",
            defer_to_thread=execute,
        )

    def ask(
        self, path: str, token: str = "", *, at: str = "secure", method: str = "GET", **headers: str
    ) -> tuple[int, Any]:
        response = self.network.wait(self._send(path, token, at, method, headers))
        body = self.network.wait(collect(response, at, 10**6))
        is_json = response.headers.getRawHeaders("Content-Type")[0] == "application/json"
        return response.code, orjson.loads(body) if is_json else body

    def names(self, path: str, token: str) -> list[str]:
        code, found = self.ask(path, token)
        assert code == 200, found
        return [i["metadata"]["name"] for i in found["items"]]

    def watch(self, token: str, version: str = "", *, at: str = "secure") -> Body:
        path = f"/api/v1/services?watch=1&resourceVersion={version}"
        response = self.network.wait(self._send(path, token, at, "GET", {}))
        assert response.code == 200
        body = Body()
        response.deliverBody(body)
        self.mesh.settle()
        return body

    def _send(
        self, path: str, token: str, at: str, method: str, headers: dict[str, str]
    ) -> Deferred[Any]:
        if token:
            headers["Authorization"] = f"Bearer {token}"
        told = Headers({name.replace("_", "-"): [text] for name, text in headers.items()})
        sent: Deferred[Any] = self.network.agent().request(
            method.encode(), f"http://{at}{path}".encode(), told
        )
        return sent

    def close(self) -> None:
        if self.access is not None:
            self.access.stopService()
        self.mesh.stop()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    guarded = Guarded(tmp_path)
    yield guarded
    guarded.close()


UNAUTHORIZED = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Failure",
    "message": "Unauthorized",
    "reason": "Unauthorized",
    "code": 401,
}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic dC13ZXN0"},
        {"Authorization": "t-west"},
    ],
)
def test_who_is_not_known_is_told_so(guarded: Guarded, headers: dict[str, str]) -> None:
    guarded.guard()
    for path in ("/api/v1/services", "/version", "/api", "/nonsense"):
        assert guarded.ask(path, **headers) == (401, UNAUTHORIZED)


def test_health_is_for_everybody(guarded: Guarded) -> None:
    guarded.guard()
    for server in ("secure", "plain"):
        assert guarded.ask("/readyz", at=server) == (200, b"ok")


def test_who_is_known_reads_everything_where_there_are_no_views(guarded: Guarded) -> None:
    guarded.guard()
    assert guarded.names("/api/v1/services", "t-none") == ["cart", "till", "api", "door"]
    assert guarded.ask("/version", "t-none")[0] == 200


def test_credentials_are_not_taken_in_clear_text(guarded: Guarded) -> None:
    guarded.guard()
    assert guarded.ask("/api/v1/services", "t-west", at="plain") == (401, UNAUTHORIZED)


def test_everybody_passes_where_the_flag_says_so(guarded: Guarded) -> None:
    guarded.guard()
    assert guarded.ask("/api/v1/services", "wrong", at="open")[0] == 200


def test_nobody_acts_as_another(guarded: Guarded) -> None:
    guarded.guard()
    code, status = guarded.ask("/api/v1/services", "t-west", Impersonate_User="root")
    assert code == 403
    assert status["message"] == (
        'users "root" is forbidden: User "west" cannot impersonate resource "users" '
        'in API group "" at the cluster scope'
    )


def test_what_lies_outside_of_a_view_does_not_exist(guarded: Guarded) -> None:
    guarded.guard(views=guarded.viewed())
    assert guarded.names("/api/v1/services", "t-west") == ["cart"]
    assert guarded.names("/api/v1/services", "t-edge") == ["api"]
    assert guarded.names("/api/v1/services", "t-root") == ["cart", "till", "api", "door"]
    assert guarded.names("/api/v1/namespaces/zoo/services", "t-west") == []
    hidden = guarded.ask("/api/v1/namespaces/shop/services/till", "t-west")
    absent = guarded.ask("/api/v1/namespaces/shop/services/tell", "t-west")
    assert hidden[0] == 404
    assert orjson.dumps(hidden).replace(b"till", b"tell") == orjson.dumps(absent)
    assert guarded.ask("/api/v1/namespaces/shop/services/cart", "t-west")[0] == 200


def test_pages_do_not_tell_of_what_does_not_exist(guarded: Guarded) -> None:
    guarded.guard(views=guarded.viewed())
    page = guarded.ask("/api/v1/services?limit=1", "t-west")[1]
    assert "continue" not in page["metadata"]
    assert "remainingItemCount" not in page["metadata"]
    page = guarded.ask("/api/v1/services?limit=1", "t-root")[1]
    assert page["metadata"]["remainingItemCount"] == 3


def test_who_has_no_view_is_told_without_a_name(guarded: Guarded) -> None:
    guarded.guard(views=guarded.viewed())
    code, status = guarded.ask("/api/v1/services", "t-none")
    assert code == 403
    assert status["message"] == (
        'services is forbidden: User "none" cannot list resource "services" in API group "" '
        "at the cluster scope"
    )
    assert status["details"] == {"kind": "services"}
    messages = {
        guarded.ask(f"/api/v1/namespaces/shop/services/{name}", "t-none")[1]["message"].replace(
            name, "X"
        )
        for name in ("cart", "till", "nothing")
    }
    assert len(messages) == 1


def test_a_watch_shows_what_moves_in_and_out_of_the_view(guarded: Guarded) -> None:
    guarded.guard(views=guarded.viewed())
    watch = guarded.watch("t-west")
    guarded.cluster.put(SERVICES, service("shop/till", labels={"tier": "public"}))
    guarded.cluster.put(SERVICES, service("shop/cart", labels={"tier": "private"}))
    guarded.cluster.put(SERVICES, service("zoo/door", labels={"tier": "public", "a": "b"}))
    guarded.mesh.settle()
    assert watch.seen == [("ADDED", "cart"), ("ADDED", "till"), ("DELETED", "cart")]


def test_taking_back_a_token_ends_its_watches_within_a_second(guarded: Guarded) -> None:
    guarded.guard(views=guarded.viewed())
    west, edge = guarded.watch("t-west"), guarded.watch("t-edge")
    guarded.tokens.write_text(TOKENS.replace("t-west", "t-new"))
    guarded.network.advance(1.0)
    assert west.ended
    assert not edge.ended
    assert guarded.ask("/api/v1/services", "t-west")[0] == 401
    assert guarded.names("/api/v1/services", "t-new") == ["cart"]


def test_taking_back_a_view_ends_its_watches_within_a_second(guarded: Guarded) -> None:
    guarded.guard(views=guarded.viewed())
    west, root = guarded.watch("t-west"), guarded.watch("t-root")
    guarded.views.write_text(VIEWS.replace("[west]", "[nobody]"))
    guarded.network.advance(1.0)
    assert west.ended
    assert not root.ended
    assert guarded.ask("/api/v1/services", "t-west")[0] == 403


def test_who_is_shown_something_else_lists_anew(guarded: Guarded) -> None:
    """The history tells nothing of what a view has in it from now on."""
    guarded.guard(views=guarded.viewed())
    version = guarded.ask("/api/v1/services", "t-west")[1]["metadata"]["resourceVersion"]
    watch = guarded.watch("t-west", version)
    guarded.views.write_text(VIEWS.replace("tier=public", ""))
    guarded.network.advance(1.0)
    assert watch.ended
    assert watch.seen == []
    again = guarded.watch("t-west", version)
    assert orjson.loads(again.data)["object"]["code"] == 410
    assert again.ended
    assert guarded.names("/api/v1/services", "t-west") == ["cart", "till"]
    assert not guarded.watch("t-west", version).ended


def test_a_process_that_has_just_started_does_not_know_what_was_shown(guarded: Guarded) -> None:
    guarded.guard(views=guarded.viewed())
    version = str(guarded.cluster.model.version)
    assert guarded.watch("t-west", version).ended
    assert not guarded.watch("t-west", version).ended


def test_without_views_a_watch_is_resumed_anywhere(guarded: Guarded) -> None:
    guarded.guard()
    assert not guarded.watch("t-west", str(guarded.cluster.model.version)).ended


def test_a_file_that_cannot_be_used_changes_nothing(guarded: Guarded) -> None:
    guarded.guard()
    assert guarded.access is not None
    watch = guarded.watch("t-west")
    guarded.tokens.write_text("t-west\n")
    guarded.network.advance(5.0)
    assert not watch.ended
    assert guarded.access.problems == [
        f"the token file stays as it was: {guarded.tokens}: line 1 has 1 columns: "
        'say token,user,uid and, if need be, "group,group"'
    ]
    guarded.tokens.write_text(TOKENS)
    guarded.network.advance(1.0)
    assert guarded.access.problems == []


def test_who_watches_and_who_was_refused_is_counted(guarded: Guarded) -> None:
    guarded.guard(views=guarded.viewed())
    assert guarded.access is not None
    watches = [guarded.watch("t-west"), guarded.watch("t-west"), guarded.watch("t-root")]
    guarded.ask("/api/v1/services", "wrong")
    guarded.ask("/api/v1/services", "t-none")
    assert guarded.access.consumers() == {"root": 1, "west": 2}
    assert dict(guarded.access.stats.refused) == {401: 1, 403: 1}
    assert not any(watch.ended for watch in watches)


# The host cluster is asked.


def token_reviews(guarded: Guarded) -> None:
    reviews = TokenReviews(guarded.network.clock, guarded.host)
    guarded.guard(tokens=None, token_reviews=reviews)
    user = {"username": "system:serviceaccount:a:b", "uid": "u", "groups": ["g"]}
    guarded.host.answers["TokenReview"] = {"authenticated": True, "user": user}


def test_the_host_says_whose_a_token_is(guarded: Guarded) -> None:
    token_reviews(guarded)
    for _ in range(3):
        assert guarded.ask("/api/v1/services", "jwt")[0] == 200
    assert [review["spec"] for review in guarded.host.asked] == [{"token": "jwt"}]
    guarded.network.advance(121)
    assert guarded.ask("/api/v1/services", "jwt")[0] == 200
    assert len(guarded.host.asked) == 2


def test_the_host_is_not_asked_about_no_token(guarded: Guarded) -> None:
    token_reviews(guarded)
    assert guarded.ask("/api/v1/services")[0] == 401
    assert guarded.host.asked == []


@pytest.mark.parametrize(
    "status", [{"authenticated": False}, {}, {"authenticated": True}, {"authenticated": "true"}]
)
def test_a_token_that_the_host_does_not_know_is_nobodys(
    guarded: Guarded, status: dict[str, Any]
) -> None:
    token_reviews(guarded)
    guarded.host.answers["TokenReview"] = status
    for _ in range(2):
        assert guarded.ask("/api/v1/services", "jwt")[0] == 401
    assert len(guarded.host.asked) == 1


def test_a_host_that_does_not_answer_lets_nobody_in_and_nobody_out(guarded: Guarded) -> None:
    token_reviews(guarded)
    watch = guarded.watch("jwt")
    guarded.host.down = True
    guarded.network.advance(4 * RECHECK)
    assert not watch.ended
    code, status = guarded.ask("/api/v1/services", "jwt")
    assert (code, status["details"]) == (503, {"retryAfterSeconds": 1})
    guarded.host.down = False
    assert guarded.ask("/api/v1/services", "jwt")[0] == 200


def test_a_token_that_the_host_takes_back_ends_its_watches_in_time(guarded: Guarded) -> None:
    token_reviews(guarded)
    watch = guarded.watch("jwt")
    guarded.host.answers["TokenReview"] = {"authenticated": False}
    guarded.network.advance(120 + RECHECK)
    assert watch.ended


def test_the_same_is_asked_once_at_a_time(guarded: Guarded) -> None:
    token_reviews(guarded)
    guarded.host.waiting = []
    agent = guarded.network.agent()
    headers = Headers({"Authorization": ["Bearer jwt"]})
    asked = [agent.request(b"GET", b"http://secure/version", headers) for _ in range(5)]
    guarded.mesh.settle()
    assert len(guarded.host.waiting) == 1
    guarded.host.waiting[0].callback(None)
    assert [guarded.network.wait(one).code for one in asked] == [200] * 5


def test_a_stranger_cannot_have_the_host_asked_without_end(guarded: Guarded) -> None:
    token_reviews(guarded)
    guarded.host.waiting = []
    agent = guarded.network.agent()
    asked = [
        agent.request(
            b"GET", b"http://secure/version", Headers({"Authorization": [f"Bearer t{n}"]})
        )
        for n in range(100)
    ]
    guarded.mesh.settle()
    assert len(guarded.host.waiting) == 64
    for one in guarded.host.waiting:
        one.callback(None)
    codes = [guarded.network.wait(one).code for one in asked]
    assert sorted(codes) == [200] * 64 + [429] * 36


@pytest.mark.parametrize("known", [True, False])
def test_a_client_that_goes_while_the_host_is_asked_disturbs_nobody(
    guarded: Guarded, known: bool
) -> None:
    token_reviews(guarded)
    answer = guarded.host.answers["TokenReview"]
    guarded.host.answers["TokenReview"] = {**answer, "authenticated": known}
    assert guarded.access is not None
    guarded.host.waiting = []
    agent = guarded.network.agent()
    headers = Headers({"Authorization": ["Bearer jwt"]})
    asked = agent.request(b"GET", b"http://secure/version", headers)
    guarded.mesh.settle()
    asked.addErrback(lambda _: None)
    asked.cancel()
    guarded.mesh.settle()
    guarded.host.waiting[0].callback(None)
    guarded.mesh.settle()
    assert guarded.access.consumers() == {}
    guarded.host.waiting = None
    assert guarded.ask("/version", "jwt")[0] == (200 if known else 401)


def test_the_host_says_what_users_may_read(guarded: Guarded) -> None:
    guarded.guard(access_reviews=AccessReviews(guarded.network.clock, guarded.host))
    guarded.host.answers["SubjectAccessReview"] = {"allowed": True}
    for _ in range(2):
        assert guarded.ask("/api/v1/namespaces/shop/services/cart", "t-edge")[0] == 200
    assert [review["spec"] for review in guarded.host.asked] == [
        {
            "resourceAttributes": {
                "namespace": "shop",
                "verb": "get",
                "version": "v1",
                "resource": "services",
                "name": "cart",
            },
            "user": "e1",
            "groups": ["edge", "system:authenticated"],
            "uid": "2",
        }
    ]


def test_what_the_host_does_not_allow_is_forbidden(guarded: Guarded) -> None:
    guarded.guard(access_reviews=AccessReviews(guarded.network.clock, guarded.host))
    guarded.host.answers["SubjectAccessReview"] = {"allowed": False, "reason": "no"}
    code, status = guarded.ask("/version", "t-west")
    assert code == 403
    assert status["message"] == 'forbidden: User "west" cannot get path "/version": no'
    guarded.host.answers["SubjectAccessReview"] = {"allowed": True}
    assert guarded.ask("/version", "t-west")[0] == 403
    guarded.network.advance(30)
    assert guarded.ask("/version", "t-west")[0] == 200


def test_a_right_that_the_host_takes_back_ends_the_watch_in_time(guarded: Guarded) -> None:
    guarded.guard(access_reviews=AccessReviews(guarded.network.clock, guarded.host))
    guarded.host.answers["SubjectAccessReview"] = {"allowed": True}
    watch = guarded.watch("t-west")
    guarded.host.answers["SubjectAccessReview"] = {"allowed": False}
    guarded.network.advance(300 + RECHECK)
    assert watch.ended
