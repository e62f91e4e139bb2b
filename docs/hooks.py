"""What mkdocs needs to be told: which pages stand outside of docs/, and how links lead there.

Documents link to each other as they lie in the repository, so that they can be read there as well.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

#: Where they are in the repository; README.md is the first page.
OUTSIDE = ("README.md", "CHANGELOG.md", "SECURITY.md", "manifests/**/*")

_LINK = re.compile(r"(?<=\]\()(?!https?://|[#/])([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    root = Path(config.config_file_path).parent
    for pattern in OUTSIDE:
        for path in sorted(root.glob(pattern)):
            if path.is_file():
                place = _in_site(path.relative_to(root).as_posix())
                files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: Files) -> str:
    root = Path(config.config_file_path).parent
    assert page.file.abs_src_path is not None
    folder = Path(page.file.abs_src_path).relative_to(root).parent.as_posix()

    def led(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, match[1]))
        if (root / target).is_dir():
            target += "/kustomization.yaml"  # what one reads first of a directory of manifests
        return posixpath.relpath(_in_site(target), posixpath.dirname(page.file.src_uri))

    return _LINK.sub(led, markdown)


def _in_site(path: str) -> str:
    """Where a file of the repository is in the site."""
    return {"README.md": "index.md"}.get(path, path.removeprefix("docs/"))
