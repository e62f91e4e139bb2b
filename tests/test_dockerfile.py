"""The Dockerfile: what of it can be known without building it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from rights import documents, of_kind

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def instructions(name: str) -> list[str]:
    """The arguments of each instruction of this name; continued lines are one."""
    lines = DOCKERFILE.replace("\\\n", " ").splitlines()
    return [line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} ")]


def test_all_stages_begin_with_one_exact_version() -> None:
    (base,) = [told for told in instructions("ARG") if told.startswith("BASE=")]
    assert re.fullmatch(r"BASE=python:3\.\d+\.\d+-slim-[a-z]+", base)
    assert [told.split()[0] for told in instructions("FROM")] == ["${BASE}", "${BASE}"]


def test_what_is_copied_is_there_and_not_ignored() -> None:
    """And nothing else is sent to who builds it."""
    copied = {
        source
        for told in instructions("COPY")
        if not told.startswith("--from")
        for source in told.split()[:-1]
    }
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert [source for source in copied if not (ROOT / source).exists()] == []


def test_it_runs_as_the_user_and_with_the_ports_of_the_manifests() -> None:
    (deployment,) = of_kind(documents("service-reflector.yaml"), "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    context = pod["securityContext"]
    assert instructions("USER") == [f"{context['runAsUser']}:{context['runAsGroup']}"]
    (container,) = pod["containers"]
    exposed = {int(port) for told in instructions("EXPOSE") for port in told.split()}
    assert exposed == {port["containerPort"] for port in container["ports"]}
    assert instructions("ENTRYPOINT") == ['["service-reflector"]']


def test_its_labels_are_those_of_the_image_specification() -> None:
    """Each argument that a label is made of is one that `make image` gives, or has a value."""
    (told,) = instructions("LABEL")
    labels = dict(re.findall(r'org\.opencontainers\.image\.([a-z.]+)="([^"]*)"', told))
    assert labels.keys() == {
        "title",
        "description",
        "licenses",
        "version",
        "revision",
        "created",
        "base.name",
    }
    built = subprocess.run(
        ["make", "--dry-run", "image"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for argument in ("VERSION", "REVISION", "CREATED"):
        assert f"${{{argument}}}" in labels.values()
        assert f"--build-arg {argument}=" in built
