"""The files that tell a client who it is and a server who others are."""

import base64
import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Tokens", "write_kubeconfig", "write_tokens"]

#: To each bearer token its user, uid and groups.
Tokens = Mapping[str, tuple[str, str, Sequence[str]]]


def write_tokens(path: Path, tokens: Tokens) -> None:
    """As ``--token-auth-file`` of kube-apiserver reads it."""
    path.touch(mode=0o600)
    with path.open("w", newline="") as stream:
        rows = csv.writer(stream)
        for token, (user, uid, groups) in tokens.items():
            rows.writerow([token, user, uid, ",".join(groups)])


def write_kubeconfig(path: Path, server: str, authority: bytes, user: Mapping[str, Any]) -> None:
    """In one step: who reads it may do so at any time.

    :param server: its URL.
    :param authority: PEM.
    :param user: how the client authenticates, as a kubeconfig tells of a user.
    """
    cluster = {
        "server": server,
        "certificate-authority-data": base64.b64encode(authority).decode(),
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "envtest",
        "contexts": [{"name": "envtest", "context": {"cluster": "envtest", "user": "envtest"}}],
        "clusters": [{"name": "envtest", "cluster": cluster}],
        "users": [{"name": "envtest", "user": dict(user)}],
    }
    unfinished = path.with_name(f".{path.name}")
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(config))  # JSON is YAML
    unfinished.replace(path)
