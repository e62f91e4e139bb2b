"""Whether an SBOM lists what the program requires, by the metadata of the Python that has it."""

from __future__ import annotations

import json
import re
import subprocess
import sys

_REQUIRED = "import importlib.metadata as m; print(*m.requires('service-reflector'), sep='\\n')"


def name_of(requirement: str) -> str:
    """As package indexes have it."""
    named = re.match(r"[\w.-]+", requirement)
    assert named is not None, requirement
    return re.sub(r"[-_.]+", "-", named[0]).lower()


def main(sbom: str, python: str) -> None:
    """
    :raises SystemExit: naming what is missing.
    """
    with open(sbom) as file:
        listed = {name_of(component["name"]) for component in json.load(file)["components"]}
    told = subprocess.run([python, "-c", _REQUIRED], check=True, capture_output=True, text=True)
    required = {name_of(line) for line in told.stdout.splitlines() if "extra ==" not in line}
    if missing := {"twisted", *required} - listed:
        sys.exit(f"the SBOM lacks {', '.join(sorted(missing))}")


if __name__ == "__main__":
    main(*sys.argv[1:])
