"""How the program's answers to its operator are printed."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .kube.printing import human_duration

Json = Mapping[str, Any]

#: The verdict on a name that is not there, as mirror.ownership words it.
_NOBODY = "no source exports it"

#: States that have a column of their own among the sources.
_COLUMNS = ("Mirrored", "Pending", "Standby", "Conflict")


def printable(text: str) -> str:
    """The text in one line, without a terminal's codes: other clusters have a say in it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns as kubectl prints them; one that is empty but for its header is left out."""
    shown = [[printable(cell) for cell in row] for row in rows]
    columns = [column for column in zip(*shown, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    for cells in zip(*columns, strict=True):
        line = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        yield "   ".join(line).rstrip()


def status_text(status: Json) -> Iterator[str]:
    """The lines of ``service-reflector status``."""
    problem = status.get("host", {}).get("problem")
    yield f"service-reflector {status.get('version', '')}: {problem or 'the host is listed'}"
    if election := status.get("election"):
        holder = election.get("holder") or "nobody"
        leads = election.get("role") == "leader"
        yield (
            "This replica leads: " + holder if leads else f"This replica stands by: {holder} leads"
        )
    if certificate := status.get("certificate"):
        kind = "self-signed, " if certificate.get("self_signed") else ""
        told = f"{kind}until {certificate.get('expires')}"
        yield f"The Emitter shows {certificate.get('fingerprint')}, {told}"
        if problem := certificate.get("problem"):
            yield printable(f"! the certificate stays as it was: {problem}")
    if consumers := status.get("consumers"):
        watches = ", ".join(f"{name} ({n})" for name, n in consumers.get("open", {}).items())
        refused = sum(consumers.get("refused", {}).values())
        yield printable(f"The Emitter's clients: {watches or 'none'}; requests refused: {refused}")
    yield ""
    if not status.get("sources"):
        yield "No sources."
    else:
        header = (
            "SOURCE",
            "STATE",
            "SERVICES",
            *map(str.upper, _COLUMNS),
            "OTHER",
            "HELD",
            "REJECTED",
        )
        rows = [_source_row(source) for source in status["sources"]]
        yield from table([(*header, "HEARD", "LOCATION", "CODE", "REASON"), *rows])
    yield from (f"! {problem}" for problem in status.get("problems", ()))
    if mirrors := status.get("mirrors"):
        yield ""
        rows = [_mirror_row(m) for m in sorted(mirrors, key=lambda m: m.get("state") == "Mirrored")]
        header = ("NAMESPACE", "NAME", "SOURCE", "SOURCE-KEY", "STATE", "CODE", "REASON")
        yield from table([header, *rows])


def _source_row(source: Json) -> tuple[str, ...]:
    states = source.get("mirrors", {})
    # Those that are held have a column of their own.
    others = sum(count for state, count in states.items() if state not in (*_COLUMNS, "Held"))
    held, until = str(source.get("held", states.get("Held", 0))), source.get("held_until_seconds")
    heard = source.get("heard_seconds_ago")
    return (
        source.get("name", ""),
        source.get("state", ""),
        str(source.get("services", "-")),
        *(str(states.get(state, 0)) for state in _COLUMNS),
        str(others),
        held if until is None else f"{held} ({human_duration(until)} left)",
        str(source.get("rejected") or ""),  # a column only where there are any
        "never" if heard is None else f"{human_duration(heard)} ago",
        source.get("location", ""),
        _code(source),
        source.get("reason", ""),
    )


def _mirror_row(mirror: Json) -> tuple[str, ...]:
    key = mirror.get("key", "")
    namespace, _, name = key.partition("/")
    theirs = mirror.get("source_key", key)
    told = (mirror.get("state", ""), _code(mirror), mirror.get("reason", ""))
    return (namespace, name, mirror.get("source", ""), theirs if theirs != key else "", *told)


def _code(told: Json) -> str:
    """The reason's code, where the state is not the same word."""
    code = str(told.get("code", ""))
    return code if code != told.get("state") else ""


def is_known(told: Json) -> bool:
    """Whether there is anything to explain."""
    return bool(told.get("claims")) or told.get("host", {}).get("service", "absent") != "absent"


def explain_text(told: Json) -> Iterator[str]:
    """The lines of ``service-reflector explain``."""
    key, owner = told.get("key", ""), told.get("owner")
    if not is_known(told):
        verdict = told.get("verdict", "")
        # Before the host is listed, nothing is known of any name.
        but = f" ({verdict})" if verdict not in ("", _NOBODY) else ""
        yield f"Nobody exports {key}, and the host does not have it{but}."
        return
    yield f"{key}: {f'mirrored from {owner}' if owner else 'not mirrored'}"
    yield f"  because {told.get('verdict', '')}"
    yield f"  in the host: {_host_text(told.get('host', {}))}"
    if claims := told.get("claims"):
        yield ""
        header = ("SOURCE", "SERVICE", "LISTED", "STATE", "CODE", "REASON")
        yield from table([header, *map(_claim_row, claims)])
    if actions := told.get("next"):
        yield ""
        yield "To be done:"
        yield from (f"  {what}" for what in actions)
    if changes := told.get("changes"):
        yield ""
        yield "Done lately:"
        yield from (f"  {change.get('time', '')}  {change.get('what', '')}" for change in changes)
    if delays := told.get("delays"):
        last, middle, worst = delays[-1], statistics.median(delays), max(delays)
        yield ""
        yield (
            "From the source's event to the written mirror:"
            f" {last:.3f} s at last, {middle:.3f} s in the middle, {worst:.3f} s at worst"
        )


def _claim_row(claim: Json) -> tuple[str, ...]:
    source, key, state, reason = (
        claim.get(member, "") for member in ("source", "source_key", "state", "reason")
    )
    return (source, key, "yes" if claim.get("synced") else "no", state, _code(claim), reason)


def _host_text(host: Json) -> str:
    if not host.get("namespace", True):
        return "not even its namespace"
    match host.get("service", "absent"):
        case "absent":
            return "nothing"
        case "foreign":
            return "a Service that service-reflector did not create"
        case _:
            address = f", {host['cluster_ip']}" if host.get("cluster_ip") else ""
            return f"a mirror of {host.get('source_key')} from {host.get('source')}{address}"
