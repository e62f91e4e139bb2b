"""The tables of docs/flags.md, made of the program's table of flags; `make flags` writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from servicereflector.flags import Flag
from servicereflector.flagtable import ALIASES, FLAGS
from servicereflector.options import ReflectorOptions

from .examples import COMMANDS, PROGRAM

PAGE = Path(__file__).parents[2] / "docs" / "flags.md"

_BEGIN, _END = "<!-- made by make flags -->\n", "<!-- /made by make flags -->\n"

_TITLES = {
    "": "The process",
    "client": "Its clients, of the host and of the sources",
    "emitter": "The Emitter",
    "reflector": "The Reflector",
}


def own_flags() -> dict[str, tuple[Flag, ...]]:
    """By command the flags that are not the program's."""
    found = {}
    for command, _, options, _ in ReflectorOptions.subCommands:
        found[command] = tuple(flag for flag in options.flags if flag not in FLAGS)
    return found


def tables() -> str:
    """All of them, each under its heading."""
    titles = dict.fromkeys(_title(flag) for flag in FLAGS)
    parts = [
        (title, table((f for f in FLAGS if _title(f) == title), PROGRAM, ALIASES))
        for title in titles
    ]
    parts += [
        (f"service-reflector {command}", table(flags, COMMANDS[command], {}))
        for command, flags in own_flags().items()
    ]
    return "\n".join(f"## {title}\n\n{text}" for title, text in parts)


def _title(flag: Flag) -> str:
    """``--emitter`` and ``--reflector`` stand with what they turn on."""
    section = flag.section or (flag.name if flag.name in _TITLES else "")
    return _TITLES[section]


def table(flags: Iterable[Flag], examples: Mapping[str, str], aliases: Mapping[str, str]) -> str:
    rows = ["| flag | default | meaning, and an example |", "|---|---|---|"]
    for flag in flags:
        names = [flag.name, *(alias for alias, name in aliases.items() if name == flag.name)]
        cells = [
            ", ".join(f"`--{name}`" for name in names),
            f"`{flag.default}`" if flag.default else "",
            f"{flag.help}<br>`{examples[flag.name]}`",
        ]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "".join(f"{row}\n" for row in rows)


def page() -> str:
    """The page as it is, with the tables as they should be."""
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    assert rest, f"{PAGE} has no line {_BEGIN}"
    return f"{before}{_BEGIN}\n{tables()}\n{_END}{rest.partition(_END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page())
