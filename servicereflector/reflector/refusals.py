"""What the host has refused, and what follows from it for the next plan.

A refusal that a plan can avoid changes the features, or has the Service created anew; each is
believed once, so that nothing goes round in circles. A refusal that no plan can avoid waits for a
change of one of the objects.
"""

from __future__ import annotations

import re
from dataclasses import replace
from enum import Enum

from twisted.logger import Logger

from ..kube.objects import Json
from ..kube.resources import ENDPOINTSLICES, SERVICES
from ..kube.status import ApiError
from ..kube.text import shown
from ..mirror.features import Features
from ..mirror.plan import Action, Create, Delete, Update
from ..mirror.refusals import refused_fields
from ..reasons import Code
from .abilities import RULE

#: Fields that the API never lets change, or not in every way, by the start of their causes' field.
_IN_PLACE = re.compile(r"spec\.(clusterIPs?|type|ipFamilies)\b")

#: The fields of them that the API gives a value of its own.
_ALLOCATED = ("clusterIP", "clusterIPs")


class Course(Enum):
    """What to do after a refusal."""

    AGAIN = "again"  # with this key, at once
    EVERYTHING = "everything"  # again, with all keys
    HOLD = "hold"  # until an object changes, or for long
    RETRY = "retry"  # with the usual delay


class Refusals:
    """
    :ivar slices: whether the host lets us write EndpointSlices, for all that is known.
    """

    log = Logger()

    def __init__(self) -> None:
        self.slices = True
        self._warned = False
        self._fields: dict[tuple[str, str], str] = {}
        self._to_recreate: set[str] = set()
        self._recreated: dict[str, Json] = {}  # by key: the spec that was refused in place
        self._cluster_ips: dict[str, str] = {}  # of Services that are between deletion and creation

    def apply(self, features: Features) -> Features:
        """The features less what was refused."""
        slices = features.endpoint_slices and self.slices
        return replace(features, endpoint_slices=slices, refused=self._fields)

    def recreate(self, key: str) -> bool:
        """Whether the Service is to be deleted and created anew."""
        return key in self._to_recreate

    def cluster_ip(self, key: str) -> str:
        """What the Service had that was deleted to be created anew."""
        return self._cluster_ips.get(key, "")

    def carried_out(self, key: str, action: Action) -> None:
        """The host took this."""
        if isinstance(action, Delete) and action.cluster_ip:
            self._cluster_ips[key] = action.cluster_ip
        elif isinstance(action, Create) and action.resource is SERVICES:
            self._cluster_ips.pop(key, None)

    def done(self, key: str) -> None:
        """The host took the whole plan."""
        self._to_recreate.discard(key)

    def judge(self, key: str, action: Action, error: ApiError, planned: Features) -> Course:
        """Note a refusal.

        :param planned: the features that the action was planned with. What others were refused
            since then was not yet left out here.
        """
        if action.resource is ENDPOINTSLICES and _lacks_role(error):
            return self._no_slices(error)
        if error.code != 422:
            return Course.RETRY
        if action.resource is SERVICES and not isinstance(action, Delete):
            fields = refused_fields(action.document, error)
            for (field, value), why in fields.items():
                if (field, value) not in self._fields:
                    self.log.info(
                        "the host refuses {field} {value}, which is left out from now on: {why}",
                        reason=Code.FIELD_LEFT_OUT,
                        field=field,
                        value=value,
                        why=why,
                    )
            self._fields = {**fields, **self._fields}
            if isinstance(action, Create) and self._cluster_ips.pop(key, ""):
                return Course.AGAIN  # somebody else has it now
            if fields.keys() - planned.refused.keys():
                return Course.AGAIN
            if isinstance(action, Update) and not fields and _names_fixed_field(error):
                return self._not_in_place(key, action.document)
        return Course.HOLD

    def _no_slices(self, error: ApiError) -> Course:
        if not self._warned:
            self.log.warn(
                "the host does not let us write EndpointSlices, so mirrors have Endpoints only. A"
                " role that lets us has this rule: {rule}. It said: {error}",
                reason=Code.SLICES_FORBIDDEN,
                rule=RULE,
                error=shown(error.message),
            )
        self._warned = True
        course = Course.EVERYTHING if self.slices else Course.AGAIN
        self.slices = False
        return course

    def _not_in_place(self, key: str, document: Json) -> Course:
        spec = {f: value for f, value in document["spec"].items() if f not in _ALLOCATED}
        if self._recreated.get(key) == spec:
            return Course.HOLD
        self._recreated[key] = spec
        self._to_recreate.add(key)
        return Course.AGAIN


def _lacks_role(error: ApiError) -> bool:
    """Whether it is the authorizer's 403, in its words, and not one of admission: that would be of
    a namespace which is being deleted, or of one object."""
    told = f'resource "{ENDPOINTSLICES.plural}"'
    return error.code == 403 and " cannot " in error.message and told in error.message


def _names_fixed_field(error: ApiError) -> bool:
    causes = (error.details or {}).get("causes")
    if not isinstance(causes, list):
        return False
    return any(isinstance(c, dict) and _IN_PLACE.match(str(c.get("field"))) for c in causes)
