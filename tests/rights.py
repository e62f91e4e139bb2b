"""What the manifests' roles allow, and what an API was asked for, in the same words."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

MANIFESTS = Path(__file__).parents[1] / "manifests"

#: PyPI's, of the extra ``test``.
KUBECTL = Path(sys.executable).with_name("kubectl")


class Right(NamedTuple):
    """What RBAC can tell apart, but for names and namespaces."""

    group: str
    resource: str
    verb: str


def documents(manifest: str) -> list[dict[str, Any]]:
    """
    :param manifest: the file's name, such as ``emitter.yaml``, or an overlay's folder, such as
        ``overlays/secure``.
    """
    path = MANIFESTS / manifest
    return list(yaml.safe_load_all(rendered(path) if path.is_dir() else path.read_text()))


@functools.cache
def rendered(folder: Path) -> str:
    """What kustomize makes of it."""
    return subprocess.run(
        [KUBECTL, "kustomize", folder], capture_output=True, text=True, timeout=60, check=True
    ).stdout


def of_kind(found: Iterable[Mapping[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [dict(document) for document in found if document["kind"] in kinds]


def granted(found: Iterable[Mapping[str, Any]]) -> set[Right]:
    """All that the roles among these documents allow."""
    return {
        Right(group, resource, verb)
        for role in of_kind(found, "ClusterRole", "Role")
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def account_of(found: Iterable[Mapping[str, Any]]) -> str:
    """The user that the manifest's Pods are."""
    (deployment,) = of_kind(found, "Deployment")
    name = deployment["spec"]["template"]["spec"]["serviceAccountName"]
    return f"system:serviceaccount:{deployment['metadata']['namespace']}:{name}"


def audit_policy(users: Iterable[str]) -> dict[str, Any]:
    """Log what these ask for, and of a watch that it has begun."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata", "users": list(users)}, {"level": "None"}],
    }


class Asked(NamedTuple):
    """Rights that were made use of, and what was refused, as lines of the audit log."""

    used: set[Right]
    refused: list[str]


def asked(log: Iterable[str], user: str) -> Asked:
    """What the audit log has of a user. What failed for another reason was no use."""
    used, refused = set(), []
    for line in log:
        event = json.loads(line)
        told = event.get("objectRef")
        if event["user"]["username"] != user:
            continue
        code = event["responseStatus"]["code"]
        if code == 403:
            refused.append(line)
        elif told is not None and "resource" in told and code < 400:
            used.add(Right(told.get("apiGroup", ""), told["resource"], event["verb"]))
    return Asked(used, refused)


def right_to(method: str, path: str, *, watch: bool) -> Right | None:
    """What a request needs; None for what everybody may ask who has an account."""
    match path.strip("/").split("/"):
        case ["api", _, *rest]:
            group = ""
        case ["apis", group, _, *rest]:
            pass
        case _:
            return None
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        rest = rest[2:]
    if not rest:
        return None
    resource, *name = rest
    reading = "get" if name else "watch" if watch else "list"
    verbs = {"GET": reading, "POST": "create", "PUT": "update", "DELETE": "delete"}
    return Right(group, resource, verbs[method])
