"""Requests to the servers of a test cluster, which may not be up yet."""

import http.client
import json
import ssl
import urllib.request
from pathlib import Path

__all__ = ["answers", "compact", "verifying_opener"]

_NO_PROXY = urllib.request.ProxyHandler({})


def verifying_opener(ca_file: Path) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context(cafile=ca_file)
    return urllib.request.build_opener(_NO_PROXY, urllib.request.HTTPSHandler(context=context))


def answers(opener: urllib.request.OpenerDirector, url: str, token: str) -> bool:
    """Whether the server is up, and the answer is no error."""
    headers = {"Authorization": f"Bearer {token}", "User-Agent": "envtest"}
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=5):
            return True
    except (OSError, http.client.HTTPException):  # no or half an answer, or an HTTPError
        return False


def compact(etcd_url: str, revision: str | int) -> None:
    """Have etcd forget what was before."""
    request = urllib.request.Request(
        f"{etcd_url}/v3/kv/compaction",
        data=json.dumps({"revision": str(revision), "physical": True}).encode(),
    )
    with urllib.request.build_opener(_NO_PROXY).open(request, timeout=30):
        pass
