"""What an API server tells of itself: its version, and what it serves in which words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .names import NEWEST
from .objects import Json
from .resources import Resource


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """
    :ivar version: the document of ``/version``.
    :ivar resources: discovery's entries, by group version (``v1``) and plural.
    :ivar columns: the columnDefinitions of Tables, by plural, where they could be had.
    """

    version: Json
    resources: Mapping[tuple[str, str], Json] = field(default_factory=dict)
    columns: Mapping[str, Sequence[Json]] = field(default_factory=dict)

    @property
    def minor(self) -> int:
        """20 of Kubernetes 1.20; of an unreadable or a later major version the newest."""
        digits = re.match(r"\d+", str(self.version.get("minor", "")))
        first = str(self.version.get("major", "1")) == "1"
        return int(digits[0]) if digits and first else NEWEST

    def entry(self, resource: Resource) -> Json | None:
        """What discovery says of a resource, None where it is not served or not known."""
        return self.resources.get((resource.api_version, resource.plural))


def resource_entries(document: object) -> dict[tuple[str, str], Json]:
    """The entries of an APIResourceList; of anything else none."""
    if not isinstance(document, dict) or not isinstance(document.get("resources"), list):
        return {}
    entries = [entry for entry in document["resources"] if isinstance(entry, dict)]
    return {(str(document.get("groupVersion")), str(entry.get("name"))): entry for entry in entries}


def table_columns(document: object) -> list[Json]:
    """The columns of a Table; of anything else none."""
    columns = document.get("columnDefinitions") if isinstance(document, dict) else None
    if not isinstance(columns, list):
        return []
    return [column for column in columns if isinstance(column, dict)]
