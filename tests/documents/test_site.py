"""The documents as a site: strict about links, and silent towards other hosts."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: What a browser asks for without being told to, by element.
_LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}


class _Loaded(HTMLParser):
    """What a page has the browser ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name == _LOADED.get(tag) and value]


def build(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """As `tox -e docs` has it."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=source,
        env={"NO_MKDOCS_2_WARNING": "1", "HOME": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the site is made of, for tests to put something wrong into."""
    found = tmp_path_factory.mktemp("checkout")
    for name in ("docs", "manifests"):
        shutil.copytree(ROOT / name, found / name)
    for path in (*ROOT.glob("*.md"), ROOT / "mkdocs.yml"):
        shutil.copy(path, found)
    return found


@pytest.fixture(scope="module")
def site(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("site")
    built = build(checkout, found)
    assert built.returncode == 0, built.stderr
    return found


def test_every_document_is_a_page(site: Path) -> None:
    """README.md is the first one."""
    names = {path.stem for path in ROOT.glob("docs/*.md")}
    assert names <= {path.stem for path in site.glob("*.html")}
    assert "Service-Reflector mirrors the Services" in (site / "index.html").read_text()


def test_pages_ask_no_other_host_for_anything(site: Path) -> None:
    """No fonts, no scripts, no pictures from elsewhere, nor do the style sheets."""
    loaded = list(loads(site))
    assert len(loaded) > 100
    assert [what for what in loaded if re.match(r"(https?:)?//", what)] == []


def loads(site: Path) -> Iterator[str]:
    for path in site.rglob("*.html"):
        parser = _Loaded()
        parser.feed(path.read_text())
        yield from parser.found
    for path in site.rglob("*.css"):
        yield from re.findall(r"""(?:url\(|@import )["']?([^"')]+)""", path.read_text())


def test_what_leads_nowhere_is_an_error(checkout: Path, tmp_path: Path) -> None:
    """Each link by itself, and a page that mkdocs.yml gives no place."""
    broken = {
        "nowhere.md": "a link 'nowhere.md'",
        "flags.md#no-such-flag": "does not contain an anchor '#no-such-flag'",
        "#no-such-heading": "there is no such anchor on this page",
        "../manifests/nothing.yaml": "a link 'manifests/nothing.yaml'",
        "../tests": "a link 'tests/kustomization.yaml'",
        "/flags.md": "an absolute link '/flags.md'",
    }
    (checkout / "tests").mkdir()
    lost = checkout / "docs" / "lost.md"
    lost.write_text("# Lost\n" + "".join(f"\n[there]({link})\n" for link in broken))
    try:
        built = build(checkout, tmp_path)
    finally:
        lost.unlink()
    assert built.returncode == 1
    warnings = [line for line in built.stderr.splitlines() if line.startswith("WARNING")]
    for told in broken.values():
        assert len([line for line in warnings if told in line]) == 1, (told, built.stderr)
    assert "  - lost.md" in built.stderr
    assert len(warnings) == len(broken) + 1
