"""What a manifest allows, in a cluster with RBAC, and the program as its Deployment says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rights import Asked, Right, account_of, asked, documents, granted, of_kind

from .clusters import Cluster, RunningProgram, eventually, hurried

INSTALLS = ("service-reflector.yaml", "emitter.yaml", "reflector.yaml", "one-namespace.yaml")

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_COLLECTIONS = {
    "ClusterRole": f"{_RBAC}/clusterroles",
    "ClusterRoleBinding": f"{_RBAC}/clusterrolebindings",
    "Role": f"{_RBAC}/namespaces/{{}}/roles",
    "RoleBinding": f"{_RBAC}/namespaces/{{}}/rolebindings",
}

#: For programs that are killed: the next one is not to wait for long.
_QUICK_ELECTION = (
    "--reflector.leader-elect-lease-duration=3s",
    "--reflector.leader-elect-renew-deadline=2s",
    "--reflector.leader-elect-retry-period=500ms",
)

#: By its token the account of each install.
ACCOUNTS = {f"token-of-{name}": account_of(documents(name)) for name in INSTALLS}


def groups(account: str) -> tuple[str, ...]:
    """Those of a service account."""
    namespace = account.split(":")[2]
    return (
        "system:serviceaccounts",
        f"system:serviceaccounts:{namespace}",
        "system:authenticated",
    )


class Install:
    """A manifest's roles in a cluster, and the program as its Deployment says.

    :ivar namespace: the Deployment's.
    """

    def __init__(self, cluster: Cluster, manifest: str) -> None:
        self._cluster = cluster
        self._token = f"token-of-{manifest}"
        self.user = ACCOUNTS[self._token]
        (deployment,) = of_kind(documents(manifest), "Deployment")
        self.namespace = deployment["metadata"]["namespace"]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        self._flags = dict(argument.partition("=")[::2] for argument in container["args"])
        self._begun = 0

    def _log(self) -> list[str]:
        log = self._cluster.server.audit_log
        return log.read_text().splitlines() if log.exists() else []

    def has(self, flag: str, value: str = "") -> bool:
        """Whether the Deployment gives it, with this value."""
        return self._flags.get(flag) == value

    def program(
        self, directory: Path, flags: Mapping[str, str], *more: str, **constants: float
    ) -> RunningProgram:
        """With the flags of the Deployment, some of them with other values.

        :param flags: those values; ports and paths must be others here.
        """
        told = self._flags | {name: value for name, value in flags.items() if name in self._flags}
        told.pop("--listen")
        kubeconfig = self._cluster.server.kubeconfig(token=self._token)
        arguments = [f"{name}={value}" if value else name for name, value in told.items()]
        return RunningProgram(
            directory,
            "guarded",
            f"--kubeconfig={kubeconfig}",
            *arguments,
            *_QUICK_ELECTION,
            f"--reflector.leader-elect-resource-namespace={self.namespace}",
            *more,
            command=hurried(**constants),
        )

    def forget(self) -> None:
        """What has been asked so far."""
        self._begun = len(self._log())

    def asked(self) -> Asked:
        """What its program has asked for since."""
        return asked(self._log()[self._begun :], self.user)


@contextmanager
def installed(cluster: Cluster, manifest: str) -> Iterator[Install]:
    """The manifest's roles, from when they hold until they are removed."""
    install = Install(cluster, manifest)
    with added(cluster, install, manifest):
        yield install
    # Nobody else is to wait for it.
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{install.namespace}/leases"
    cluster.call("DELETE", f"{leases}/service-reflector")


@contextmanager
def added(cluster: Cluster, install: Install, manifest: str) -> Iterator[None]:
    """The roles of a manifest, for the account of an install; what was asked is forgotten."""
    found = documents(manifest)
    paths = [
        (path.format(document["metadata"].get("namespace")), document)
        for kind, path in _COLLECTIONS.items()
        for document in of_kind(found, kind)
    ]
    for path, document in paths:
        cluster.must("POST", path, document)
    for right in granted(found):
        eventually(f"{right} holds", lambda r=right: may(cluster, install, r))  # type: ignore[misc]
    install.forget()
    yield
    for path, document in paths:
        cluster.must("DELETE", f"{path}/{document['metadata']['name']}")


def may(cluster: Cluster, install: Install, right: Right) -> bool:
    """Whether the authorizer lets the account do so to what the manifests name."""
    named = {"leases": "service-reflector", "namespaces": install.namespace}
    attributes = {
        "group": right.group,
        "resource": right.resource,
        "verb": right.verb,
        "name": named.get(right.resource, ""),
        "namespace": "" if right.resource == "namespaces" else install.namespace,
    }
    spec = {"user": install.user, "groups": groups(install.user), "resourceAttributes": attributes}
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    allowed: bool = cluster.must("POST", path, {"spec": spec})["status"]["allowed"]
    return allowed
