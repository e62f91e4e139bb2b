"""The single files of manifests/ are what their overlays make."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from rights import KUBECTL, MANIFESTS, of_kind, rendered

from servicereflector.options import ReflectorOptions

ROOT = MANIFESTS.parent
RENDERED = ("service-reflector.yaml", "emitter.yaml", "reflector.yaml", "one-namespace.yaml")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make manifests` makes, where none of them was."""
    directory = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / "Makefile", directory)
    shutil.copytree(MANIFESTS, directory / "manifests")
    for name in (*RENDERED, "network-policies.yaml"):
        (directory / "manifests" / name).unlink()
    ran = subprocess.run(
        ["make", "manifests", f"KUBECTL={KUBECTL}"],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return directory / "manifests"


@pytest.mark.parametrize("name", RENDERED)
def test_a_file_is_what_its_overlay_makes(made: Path, name: str) -> None:
    """`make manifests` after a change. How YAML is laid out may differ with kubectl's version."""
    there, now = ((folder / name).read_text() for folder in (MANIFESTS, made))
    assert list(yaml.safe_load_all(there)) == list(yaml.safe_load_all(now))
    assert comment(there) == comment(now) != ""


def comment(text: str) -> str:
    """That which a file begins with."""
    found = re.match(r"(#.*\n)*", text)
    assert found is not None
    return found[0]


def test_the_network_policies_are_those_of_the_component(made: Path) -> None:
    """Comments too: they say what is to be edited."""
    name = "network-policies.yaml"
    assert (MANIFESTS / name).read_bytes() == (made / name).read_bytes()


@pytest.mark.parametrize(
    ("overlay", "components"),
    [
        ("emitter", ("ha", "monitoring", "network-policies")),
        ("reflector", ("ha", "monitoring", "network-policies")),
        ("one-namespace", ("secure", "ha", "monitoring", "network-policies")),
    ],
)
def test_components_fit_the_other_overlays(
    made: Path, overlay: str, components: tuple[str, ...]
) -> None:
    """The overlays of both roles are combined in manifests/README.md."""
    folder = made.parent / f"own-{overlay}"
    folder.mkdir()
    told = {
        "resources": [f"../manifests/overlays/{overlay}"],
        "components": [f"../manifests/components/{name}" for name in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(told))
    found = list(yaml.safe_load_all(rendered(folder)))
    (deployment,) = of_kind(found, "Deployment")
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    options = ReflectorOptions()
    options.parseOptions(container["args"])
    assert options.authenticates() == ("secure" in components)
    assert deployment["spec"]["replicas"] == 2
    for document in of_kind(found, "PodDisruptionBudget", "Deployment"):
        selector = document["spec"]["selector"]["matchLabels"]
        assert selector.items() <= pod["metadata"]["labels"].items()
