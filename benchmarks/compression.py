"""What gzip would save on the way between clusters, and what it costs: lists, where the Emitter has
it, and watches, where nobody has."""

from __future__ import annotations

import json
import time
import urllib.request
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from .clusters import CHANGING, Cluster, cluster, namespace
from .processes import SOON, Load, Program, cpu_seconds
from .results import Row
from .watching import PATH

#: Services of which events are told, and others: a short list is not compressed.
_TOLD, _OTHERS = 100, 900

#: As the Emitter compresses lists, and as kube-apiserver does.
_LEVEL, _GZIP = 1, 31


def compression(load: Load, directory: Path, watchers: int, seconds: float) -> Iterator[Row]:
    """
    :param seconds: that events are counted, roughly.
    """
    with ExitStack() as stack:
        east = stack.enter_context(cluster(load, 1))
        east.export(_TOLD, inside=lambda _: CHANGING)
        east.export(_OTHERS, first=_TOLD, inside=namespace)
        flags = ("--reflector=false", "--emitter.insecure-anonymous")
        program = stack.enter_context(Program(directory, east.kubeconfig(), *flags))
        for kind, path in (("Service", "services"), ("Endpoints", "endpoints")):
            plain, packed = (
                float(load.run("list", *_at(program), "-path", f"/api/v1/{path}", *more)["bytes"])
                for more in ((), ("-gzip",))
            )
            count = _TOLD + _OTHERS
            yield _row(
                f"bytes in a list, of each {kind}", packed / count, plain / count, "B", "plain"
            )
        events = _events(program, east, 5 * _TOLD)
        bare = sum(map(len, events)) / len(events)
        sending = _sending(load, program, east, watchers, max(20, int(seconds * 50))) * 1e6
    for how, flush in (
        ("for each watcher", zlib.Z_SYNC_FLUSH),
        ("once for all", zlib.Z_FULL_FLUSH),
    ):
        size, took = _compressed(events, flush)
        yield _row(f"bytes of an event, compressed {how}", size, bare, "B", "plain")
        yield _row(f"CPU of that, {how}", took * 1e6, sending, "µs", "to send it plain, to one")


def _row(measure: str, ours: float, theirs: float, unit: str, yardstick: str) -> Row:
    return Row(measure, ours, theirs, unit, yardstick, goal=None)


def _at(program: Program) -> Sequence[str]:
    return ("-url", program.plain, "-count", "1")


def _events(program: Program, east: Cluster, count: int) -> list[bytes]:
    """So many, as one watcher has them."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{program.plain}{PATH}?limit=1", timeout=SOON) as answer:
        version = json.load(answer)["metadata"]["resourceVersion"]
    target = f"{program.plain}{PATH}?watch=1&resourceVersion={version}"
    found: list[bytes] = []
    with opener.open(target, timeout=SOON) as stream:
        east.change(count, burst=_TOLD)
        while len(found) < count:
            line = stream.readline()
            if not line:
                raise EOFError(f"the watch ended after {len(found)} events")
            if not line.startswith(b'{"type":"BOOKMARK"'):
                found.append(line)
    return found


def _sending(load: Load, program: Program, east: Cluster, watchers: int, count: int) -> float:
    """Seconds that the Emitter computes to send one event to one of many watchers."""
    with load.start("watch", "-url", program.plain, "-path", PATH, "-watchers", watchers) as open_:
        began = cpu_seconds(program.pid)
        east.change(count, rate=50)
        open_.ask(f"await {count}")
        return max(cpu_seconds(program.pid) - began, 0.01) / count / watchers


def _compressed(events: Sequence[bytes], flush: int) -> tuple[float, float]:
    """Bytes and seconds of computing for an event.

    :param flush: after a ``Z_SYNC_FLUSH`` what follows may refer to what a watcher has had; after a
        ``Z_FULL_FLUSH`` not, so that all watchers can be sent the same.
    """
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    began = time.thread_time()
    size = 0
    for event in events:
        size += len(compressor.compress(event)) + len(compressor.flush(flush))
    return size / len(events), (time.thread_time() - began) / len(events)
