"""What pip installs: the command, the twistd plugin, the types, the license.

These hold for the installed distribution, so it must be installed; tox sees to that. The checkout
may hold another one, the metadata that building it leaves there: only the environment's own counts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from importlib.metadata import Distribution
from pathlib import Path

import pytest

import servicereflector

SCRIPTS = Path(sysconfig.get_path("scripts"))
LIBRARY = Path(sysconfig.get_path("purelib"))


@pytest.fixture(scope="module")
def installed() -> Distribution:
    (found,) = Distribution.discover(name="service-reflector", path=[str(LIBRARY)])
    return found


def run(cwd: Path, *command: str | Path) -> str:
    """What the command says, run where no checkout can be imported from."""
    done = subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


def test_the_tests_import_the_installed_package() -> None:
    """Not a checkout that happens to stand on the path."""
    assert Path(servicereflector.__file__).is_relative_to(LIBRARY)


def test_twistd_lists_the_plugin(tmp_path: Path) -> None:
    """``twistd --help`` names it among its commands."""
    listed = run(tmp_path, SCRIPTS / "twistd", "--help")
    assert "service-reflector" in [line.split()[0] for line in listed.splitlines() if line.strip()]


def test_the_plugin_is_the_installed_one_and_lazy(tmp_path: Path) -> None:
    """Every twistd on the machine imports it: that must not import the program."""
    program = (
        "import sys, twisted.plugins.servicereflector_plugin as plugin\n"
        "print(plugin.__file__, plugin.serviceMaker.tapname, 'servicereflector' in sys.modules)"
    )
    file, name, imported = run(tmp_path, sys.executable, "-c", program).split()
    assert Path(file).is_relative_to(LIBRARY)
    assert (name, imported) == ("service-reflector", "False")


def test_the_command_is_installed() -> None:
    """Beside the Python that runs it."""
    assert os.access(SCRIPTS / "service-reflector", os.X_OK)


def test_types_and_plugin_are_shipped_but_no_plugin_cache(installed: Distribution) -> None:
    """A cache that is shipped would hide other packages' plugins."""
    files = {str(file) for file in installed.files or ()}
    assert {"servicereflector/py.typed", "twisted/plugins/servicereflector_plugin.py"} <= files
    page = {f"servicereflector/status/{name}" for name in ("page.css", "page.js", "schema.json")}
    assert page <= files
    assert not [file for file in files if file.endswith("dropin.cache")]
    assert "twisted/__init__.py" not in files
    assert "twisted/plugins/__init__.py" not in files


def test_metadata_names_the_version_and_the_license(installed: Distribution) -> None:
    """The version is the package's own; the license is there in full."""
    assert installed.version == servicereflector.__version__
    metadata = installed.metadata.json
    assert "Apache-2.0" in (metadata.get("license"), metadata.get("license_expression"))
    (license_file,) = (file for file in installed.files or () if file.name == "LICENSE")
    assert "Apache License" in license_file.read_text()
