"""Label selectors, with the grammar and the error texts of Kubernetes.

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

from .names import NEWEST, label_key_errors, label_value_errors, quoted

_SYMBOLS = ("==", "!=", "=", "!", "(", ")", ",", ">", "<")
_TOKEN = re.compile(r"[ \t\r\n]*(==|!=|[=!(),><]|[^ \t\r\n=!(),><]+)")

#: The minor version from which an error tells the place of what is wrong, as a field's path.
_TELLS_PATHS = 22


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
        if not self.requirements:  # nearly always, and asked of every object
            return True
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

    def __init__(self, text: str, minor: int) -> None:
        self._minor = minor
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
            raise _unparsed(f"found '{key}', expected: identifier")
        self.check_key(key)
        if negated:
            return Requirement(key, Operator.NOT_EXISTS)
        if self.peek() in ("", ","):
            return Requirement(key, Operator.EXISTS)
        operator, values = self.comparison()
        self.check_values(key, operator, values)
        return Requirement(key, operator, values)

    def comparison(self) -> tuple[Operator, tuple[str, ...]]:
        token = self.take()
        match token:
            case "in" | "notin":
                return Operator(token), self.values()
            case "=" | "==":
                return Operator.EQUALS, (self.value(),)
            case "!=" | ">" | "<":
                return Operator(token), (self.value(),)
        expected = "in, notin, =, ==, !=, gt, lt"
        if self._minor < _TELLS_PATHS:
            expected = "'=', '!=', '==', 'in', notin'"
        raise _unparsed(f"found '{token}', expected: {expected}")

    def value(self) -> str:
        if self.peek() in ("", ","):
            return ""
        token = self.take()
        if token in _SYMBOLS:
            raise _unparsed(f"found '{token}', expected: identifier")
        return token

    def values(self) -> tuple[str, ...]:
        token = self.take()
        if token != "(":
            raise _unparsed(f"found '{token}' expected: '('")
        found: set[str] = set()
        expected = "',', ')' or identifier"
        while True:
            token = self.take()
            if token in (",", ")"):
                found.add("")
            elif token in _SYMBOLS or token == "":
                raise _unparsed(f"found '{token}', expected: {expected}")
            else:
                found.add(token)
                token = self.take()
            if token == ")":
                return tuple(sorted(found))
            if token != ",":
                raise _unparsed(f"found '{token}', expected: ',' or ')'")
            if self.peek() == ")":
                self.take()
                return tuple(sorted(found | {""}))
            expected = "',', or identifier"

    def check_key(self, key: str) -> None:
        errors = "; ".join(label_key_errors(key, self._minor))
        if errors and self._minor < _TELLS_PATHS:
            raise _unparsed(f"invalid label key {quoted(key)}: {errors}")
        if errors:
            raise _unparsed(f"<nil>: Invalid value: {quoted(key)}: {errors}")

    def check_values(self, key: str, operator: Operator, values: tuple[str, ...]) -> None:
        found = []
        number = "for 'Gt', 'Lt' operators, the value must be an integer"
        ordered = operator in (Operator.GREATER, Operator.LESS)
        if self._minor < _TELLS_PATHS:
            if ordered and _int64(values[0]) is None:
                found.append(number)
            for value in values:
                if errors := "; ".join(label_value_errors(value, self._minor)):
                    found.append(f'invalid label value: {quoted(value)}: at key: "{key}": {errors}')
            found = found[:1]
        else:
            if ordered and _int64(values[0]) is None:
                found.append(f"values[0]: Invalid value: {quoted(values[0])}: {number}")
            for index, value in enumerate(values):
                if errors := "; ".join(label_value_errors(value, self._minor)):
                    place = f"values[{index}][{key}]"
                    found.append(f"{place}: Invalid value: {quoted(value)}: {errors}")
        if found:
            raise _unparsed(found[0] if len(found) == 1 else f"[{', '.join(found)}]")


def _unparsed(why: str) -> SelectorError:
    return SelectorError(f"unable to parse requirement: {why}")


def parse_labels(text: str, minor: int = NEWEST) -> LabelSelector:
    """Parse a labelSelector.

    :param minor: 20 for the words of Kubernetes 1.20.
    :raises SelectorError: in those words.
    """
    return _Parser(text, minor).selector()
