"""What one source may have the program write: which Services, and which addresses behind them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..kube.objects import Json
from ..kube.subsets import is_text, list_of, text_of
from .addresses import ANY, NOTHING, AddressRules, Reason, Reserved, refusal_of, rewritten

#: How many addresses that were left out a status names.
MOST_NAMED = 3

#: The first and the last.
Ports = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Admission:
    """What the operator says of one source.

    :ivar addresses: which are mirrored, and under which name.
    :ivar denied_ports: a Service that has one of these is not mirrored.
    :ivar external_names: whether Services of the type ExternalName are mirrored; None: as the
        policy of all sources says.
    :ivar namespaces: globs of its namespaces that are mirrored, beside those of the policy.
    :ivar denied_namespaces: globs of namespaces that are not, beside those of the policy.
    """

    addresses: AddressRules = ANY
    denied_ports: tuple[Ports, ...] = ()
    external_names: bool | None = None
    namespaces: tuple[str, ...] = ()
    denied_namespaces: tuple[str, ...] = ()


#: What holds where the operator says nothing.
EVERYTHING = Admission()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The addresses that were left out of a mirror, and why."""

    reasons: dict[str, Reason]

    def __len__(self) -> int:
        return len(self.reasons)

    def __str__(self) -> str:
        named = sorted(self.reasons.items())[:MOST_NAMED]
        told = ", ".join(f"{address[:64]!r} ({reason.value})" for address, reason in named)
        more = f" and {len(self) - len(named)} more" if len(self) > len(named) else ""
        return f"{'1 address is' if len(self) == 1 else f'{len(self)} addresses are'}" + (
            f" refused: {told}{more}"
        )


def admitted(
    slices: Iterable[Json], rules: AddressRules, reserved: Reserved
) -> tuple[list[Json], LeftOut]:
    """The source's slices, with the addresses that may be written as the host has them called.

    A slice of names has nothing that can be judged: it passes where any address may be written.
    """
    refused: dict[str, Reason] = {}
    return [_admitted(one, rules, reserved, refused) for one in slices], LeftOut(refused)


def _admitted(
    one: Json, rules: AddressRules, reserved: Reserved, refused: dict[str, Reason]
) -> Json:
    names = one.get("addressType") == "FQDN"
    found, changed = [], False
    for endpoint in list_of(one.get("endpoints")):
        if not isinstance(endpoint, dict):
            continue
        told = list_of(endpoint.get("addresses"))
        kept = []
        for address in filter(is_text, told):
            here = address if names else rewritten(address, rules)
            reason = _of_name(here, rules) if names else refusal_of(here, rules, reserved)
            if reason is None:
                kept.append(here)
            else:
                refused[here] = reason
        if kept == told:
            found.append(endpoint)
            continue
        changed = True
        if kept:
            found.append({**endpoint, "addresses": kept})
    return {**one, "endpoints": found} if changed else one


def _of_name(name: str, rules: AddressRules) -> Reason | None:
    if refusal_of(name, ANY, NOTHING) is not Reason.INVALID:
        return Reason.INVALID  # an address is no name
    return Reason.NOT_ALLOWED if rules.allowed else None


def refused_ports(service: Json, slices: Iterable[Json], denied: Sequence[Ports]) -> str:
    """Why the Service is not mirrored for its ports or those behind it, ``""`` if it is.

    :param slices: of the source; what has no endpoints says nothing.
    """
    spec = service.get("spec") or {}
    if (number := _denied(_numbers(spec), denied)) is not None:
        return f"its port {number} is denied"
    for one in slices:
        if not list_of(one.get("endpoints")):
            continue
        numbers = _numbers(one)
        if (number := _denied(numbers, denied)) is not None:
            return f"port {number} of its endpoints is denied"
        if not numbers or None in numbers:
            return "its endpoints stand for all ports, and some are denied"
    return ""


def _numbers(document: Json) -> list[object]:
    return [p.get("port") for p in list_of(document.get("ports")) if isinstance(p, dict)]


def _denied(numbers: Iterable[object], denied: Sequence[Ports]) -> int | None:
    for number in numbers:
        if isinstance(number, int) and any(low <= number <= high for low, high in denied):
            return number
    return None


def refused_external_name(service: Json, rules: AddressRules, reserved: Reserved) -> str:
    """Why the name that an ExternalName Service stands for is refused, ``""`` if it is not.

    Of a name nothing can be told but that it is none: some clients connect to an address there.
    """
    name = text_of((service.get("spec") or {}).get("externalName")).lower().rstrip(".")
    reason = refusal_of(name, rules, reserved)
    if name == "localhost" or name.endswith(".localhost"):
        reason = Reason.LOOPBACK
    if reason is None or reason is Reason.INVALID:
        return ""
    return f"its external name {name[:80]!r} is refused: {reason.value}"


def read_ports(text: str) -> Ports:
    """``PORT``, or ``PORT-PORT``: the first and the last.

    :raises ValueError: telling what is valid.
    """
    low, dash, high = text.partition("-")
    numbers = (low, high if dash else low)
    if not all(re.fullmatch("[0-9]{1,5}", n) and 0 < int(n) < 65536 for n in numbers):
        raise ValueError(f"{text!r} is no port: say a number from 1 to 65535, or two as 1-1023")
    if int(numbers[0]) > int(numbers[1]):
        raise ValueError(f"{text!r} ends before it begins: say the lower port first")
    return int(numbers[0]), int(numbers[1])
