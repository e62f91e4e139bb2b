"""The JavaScript client's informer, through an upstream that dies and comes back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from e2e.clusters import Cluster, eventually

from servicereflector.testing.processes import Process


def test_an_informer_sees_every_change_through_a_restart(
    cluster: Cluster, emitter: str, client_node: Path, tmp_path: Path
) -> None:
    """Nothing missed, repeated or invented, while kube-apiserver was killed and started again."""
    script = shutil.copy(Path(__file__).with_name("informer.mjs"), tmp_path)
    (tmp_path / "node_modules").symlink_to(client_node / "node_modules")
    node = shutil.which("node")
    assert node is not None
    informer = Process([node, str(script), emitter], tmp_path, "informer.log")
    informer.start()

    def told(key: str) -> list[str]:
        found: list[dict[str, Any]] = [
            json.loads(line) for line in informer.log_tail().splitlines() if line.startswith("{")
        ]
        return [one["type"] for one in found if one.get("key") == key]

    def label(key: str, value: str) -> None:
        cluster.change("services", key, lambda s: s["metadata"].update(labels={"js": value}))

    def expect(key: str, *types: str) -> None:
        eventually(f"{key}: {types}", lambda: told(key) == list(types), seconds=40)

    try:
        expect("shop/cart", "add")
        cluster.create("services", "shop/js", spec={"clusterIP": "None"})
        expect("shop/js", "add")
        label("shop/js", "1")
        expect("shop/js", "add", "update")

        cluster.server.kill_apiserver()
        cluster.server.restart_apiserver()
        label("shop/js", "2")
        expect("shop/js", "add", "update", "update")
        cluster.create("services", "shop/late", spec={"clusterIP": "None"})
        expect("shop/late", "add")
        cluster.delete("services", "shop/js")
        expect("shop/js", "add", "update", "update", "delete")
        label("shop/cart", "3")
        expect("shop/cart", "add", "update")
        assert told("shop/till") == []
        assert told("shop-b/till") == ["add"]
        assert told("shop/late") == ["add"]
    finally:
        informer.kill()
        if cluster.get("services", "shop/late"):
            cluster.delete("services", "shop/late")
