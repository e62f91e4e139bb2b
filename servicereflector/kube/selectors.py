"""Label and field selectors, with the grammar and the error texts of Kubernetes.

The label grammar (staging/src/k8s.io/apimachinery/pkg/labels/selector.go):

    selector    := "" | requirement { "," requirement }
    requirement := [ "!" ] key | key op value | key set-op "(" values ")"
    op          := "=" | "==" | "!=" | ">" | "<"
    set-op      := "in" | "notin"

An absent key satisfies ``!=`` and ``notin``, and fails every other comparison.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

_SYMBOLS = ("==", "!=", "=", "!", "(", ")", ",", ">", "<")
_TOKEN = re.compile(r"[ \t\r\n]*(==|!=|[=!(),><]|[^ \t\r\n=!(),><]+)")
_TERM = re.compile(r"(?:\\.|[^\\,]|\\$)+", re.DOTALL)
_ESCAPED = re.compile(r"(?:\\[\\,=]|[^\\,=])*", re.DOTALL)
_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class SelectorError(ValueError):
    """A selector that Kubernetes refuses; the message is what its API would answer."""


class Operator(str, Enum):
    EQUALS = "="
    IN = "in"
    NOT_EQUALS = "!="
    NOT_IN = "notin"
    EXISTS = "exists"
    NOT_EXISTS = "!"
    GREATER = ">"
    LESS = "<"


@dataclass(frozen=True, slots=True)
class Requirement:
    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case Operator.EQUALS | Operator.IN:
                return value is not None and value in self.values
            case Operator.NOT_EQUALS | Operator.NOT_IN:
                return value is None or value not in self.values
            case Operator.EXISTS:
                return value is not None
            case Operator.NOT_EXISTS:
                return value is None
        number = _int64(value)
        if number is None:
            return False
        bound = int(self.values[0])
        return number > bound if self.operator is Operator.GREATER else number < bound

    def __str__(self) -> str:
        match self.operator:
            case Operator.EXISTS:
                return self.key
            case Operator.NOT_EXISTS:
                return "!" + self.key
            case Operator.IN | Operator.NOT_IN:
                return f"{self.key} {self.operator.value} ({','.join(self.values)})"
        return f"{self.key}{self.operator.value}{self.values[0]}"


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All of its requirements must hold; with none, everything matches."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.matches(labels) for requirement in self.requirements)

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


def _int64(text: str | None) -> int | None:
    """Go's strconv.ParseInt(text, 10, 64)."""
    # Python refuses to read numbers of thousands of digits, zeros included.
    found = re.fullmatch(r"([+-]?)0*([0-9]{1,19})", text or "")
    if found is None:
        return None
    number = int(found[1] + found[2])
    return number if -(1 << 63) <= number < 1 << 63 else None


class _Parser:
    """Recursive descent over the tokens; ``""`` is the end of the string."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        self._at = 0

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self._at += 1
        return token

    def selector(self) -> LabelSelector:
        found: list[Requirement] = []
        while True:
            token = self.peek()
            if token == "":
                return LabelSelector(tuple(sorted(found, key=lambda r: r.key)))
            if token != "!" and token in _SYMBOLS:
                raise SelectorError(f"found '{token}', expected: !, identifier, or 'end of string'")
            found.append(self.requirement())
            token = self.take()
            if token == "":
                continue
            if token != ",":
                raise SelectorError(f"found '{token}', expected: ',' or 'end of string'")
            token = self.peek()
            if token == "" or (token != "!" and token in _SYMBOLS):
                raise SelectorError(f"found '{token}', expected: identifier after ','")

    def requirement(self) -> Requirement:
        negated = self.peek() == "!"
        if negated:
            self.take()
        key = self.take()
        if key in _SYMBOLS or key == "":
            raise SelectorError(f"unable to parse requirement: found '{key}', expected: identifier")
        _check_key(key)
        if negated:
            return Requirement(key, Operator.NOT_EXISTS)
        if self.peek() in ("", ","):
            return Requirement(key, Operator.EXISTS)
        return self.comparison(key)

    def comparison(self, key: str) -> Requirement:
        token = self.take()
        match token:
            case "in" | "notin":
                operator, values = Operator(token), self.values()
            case "=" | "==" | "!=":
                operator = Operator.NOT_EQUALS if token == "!=" else Operator.EQUALS
                values = (self.value(),)
            case ">" | "<":
                operator, values = Operator(token), (self.value(),)
                if _int64(values[0]) is None:
                    raise SelectorError(
                        "unable to parse requirement: values[0]["
                        f"{key}]: Invalid value: \"{values[0]}\": for 'Gt', 'Lt' operators, "
                        "the value must be an integer"
                    )
            case _:
                raise SelectorError(
                    f"unable to parse requirement: found '{token}', "
                    "expected: in, notin, =, ==, !=, >, <"
                )
        for index, value in enumerate(values):
            _check_value(key, index, value)
        return Requirement(key, operator, values)

    def value(self) -> str:
        if self.peek() in ("", ","):
            return ""
        token = self.take()
        if token in _SYMBOLS:
            raise SelectorError(
                f"unable to parse requirement: found '{token}', expected: identifier"
            )
        return token

    def values(self) -> tuple[str, ...]:
        token = self.take()
        if token != "(":
            raise SelectorError(f"unable to parse requirement: found '{token}' expected: '('")
        found: set[str] = set()
        while True:
            token = self.take()
            if token in (",", ")"):
                found.add("")
            elif token in _SYMBOLS or token == "":
                raise SelectorError(
                    f"unable to parse requirement: found '{token}', expected: ',', or identifier"
                )
            else:
                found.add(token)
                token = self.take()
            if token == ")":
                return tuple(sorted(found))
            if token != ",":
                raise SelectorError(
                    f"unable to parse requirement: found '{token}', expected: ',' or ')'"
                )
            if self.peek() == ")":
                self.take()
                return tuple(sorted(found | {""}))


def _check_key(key: str) -> None:
    prefix, slash, name = key.rpartition("/")
    trouble = ""
    if slash and not (prefix and len(prefix) <= 253 and _SUBDOMAIN.fullmatch(prefix)):
        trouble = (
            "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
            "characters, '-' or '.', and must start and end with an alphanumeric character"
        )
    elif not name:
        trouble = "name part must be non-empty"
    elif len(name) > 63:
        trouble = "name part must be no more than 63 bytes"
    elif not _NAME.fullmatch(name):
        trouble = (
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start "
            "and end with an alphanumeric character"
        )
    if trouble:
        raise SelectorError(
            f'unable to parse requirement: <nil>: Invalid value: "{key}": {trouble}'
        )


def _check_value(key: str, index: int, value: str) -> None:
    trouble = ""
    if len(value) > 63:
        trouble = "must be no more than 63 bytes"
    elif not _VALUE.fullmatch(value):
        trouble = (
            "a valid label must be an empty string or consist of alphanumeric characters, '-', "
            "'_' or '.', and must start and end with an alphanumeric character"
        )
    if trouble:
        raise SelectorError(
            f'unable to parse requirement: values[{index}][{key}]: Invalid value: "{value}": '
            f"{trouble}"
        )


def parse_labels(text: str) -> LabelSelector:
    """Parse a labelSelector.

    :raises SelectorError: in the words of Kubernetes 1.36.
    """
    return _Parser(text).selector()


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """Terms ``(field, equal, value)`` over metadata.name and metadata.namespace; all must hold."""

    terms: tuple[tuple[str, bool, str], ...] = ()

    def matches(self, namespace: str, name: str) -> bool:
        values = {"metadata.namespace": namespace, "metadata.name": name}
        return all((values[field] == value) == equal for field, equal, value in self.terms)

    @property
    def name(self) -> str:
        """The one name that can match, or ``""``."""
        for field, equal, value in self.terms:
            if field == "metadata.name" and equal:
                return value
        return ""


def parse_fields(text: str) -> FieldSelector:
    """Parse a fieldSelector of a resource that knows only metadata.name and metadata.namespace.

    :raises SelectorError: in the words of the API.
    """
    terms: list[tuple[str, bool, str]] = []
    for term in _TERM.findall(text):
        found = re.search(r"!=|==|=", term)
        if found is None:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{term}'")
        field, value = term[: found.start()], term[found.end() :]
        if field not in ("metadata.name", "metadata.namespace"):
            raise SelectorError(
                f'"{field}" is not a known field selector: only "metadata.name", '
                '"metadata.namespace"'
            )
        if not _ESCAPED.fullmatch(value):
            raise SelectorError(f"invalid field selector: '{value}' is not escaped as it should be")
        terms.append((field, found[0] != "!=", re.sub(r"\\(.)", r"\1", value)))
    return FieldSelector(tuple(sorted(terms)))
