"""The keys by which the program knows its own objects.

They are squat/service-reflector's, so that an existing installation is taken over in place.
"""

from __future__ import annotations

PREFIX = "service-reflector.squat.ai/"

#: ``"true"``, as annotation and as label, on every object that the program created.
REFLECTED = PREFIX + "reflected"

#: Annotation: the name of the source that the object mirrors.
SOURCE = PREFIX + "source"

#: Annotation: ``namespace/name`` of the Service in its source, where it has another one here.
ORIGIN = PREFIX + "origin"

#: Annotation: the names of the labels and annotations that were copied from the source, so that a
#: key which the source drops can be told from a key which somebody added here.
COPIED = PREFIX + "copied"
