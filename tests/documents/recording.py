"""README's recording of a terminal: what a real run has printed; ``make recording`` makes it."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from .blocks import ROOT, block
from .shell import Shell

README = ROOT / "README.md"

_RECORDING = re.compile(r"(<!-- recording -->\n)(.*?)(<!-- /recording -->\n)", re.S)


def there() -> str:
    """The one that README has."""
    found = _RECORDING.search(README.read_text())
    assert found is not None
    return found[2]


def record(shell: Shell, command: str) -> str:
    """The command and what it prints, as Markdown."""
    return f"```text\n$ {command}{shell.run(command)}```\n"


def without_figures(text: str) -> str:
    """What is the same in each run: how long something took is not."""
    return re.sub(r"\b\d+ ms\b", "N ms", text)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        made = record(Shell(Path(directory) / "shell"), block("README.md", "Try it"))
    README.write_text(_RECORDING.sub(lambda found: found[1] + made + found[3], README.read_text()))
