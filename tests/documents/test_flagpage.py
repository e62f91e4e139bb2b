"""docs/flags.md is what the program's own parser takes."""

from __future__ import annotations

import shlex

import pytest

from servicereflector.flags import Flag
from servicereflector.flagtable import FLAGS
from servicereflector.options import ReflectorOptions

from .examples import COMMANDS, PROGRAM
from .flagpage import PAGE, own_flags, page

OWN = {(command, flag.name): flag for command, flags in own_flags().items() for flag in flags}


def test_the_page_is_what_the_code_says() -> None:
    """`make flags` after a change."""
    assert PAGE.read_text() == page()


def test_every_flag_has_an_example_and_nothing_else_has() -> None:
    """Those of the commands, too."""
    assert set(PROGRAM) == {flag.name for flag in FLAGS}
    assert {(c, name) for c, examples in COMMANDS.items() for name in examples} == set(OWN)


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_the_parser_takes_the_example_of_a_flag(
    flag: Flag, capsys: pytest.CaptureFixture[str]
) -> None:
    """And it says something else than what is so without it."""
    options = ReflectorOptions()
    if flag.name == "version":
        with pytest.raises(SystemExit, match="0"):
            options.parseOptions(shlex.split(PROGRAM["version"]))
        assert capsys.readouterr().out.startswith("service-reflector ")
        return
    options.parseOptions(shlex.split(PROGRAM[flag.name]))
    assert options[flag.name] != ReflectorOptions._read(flag, flag.default)


@pytest.mark.parametrize(("command", "name"), OWN)
def test_the_parser_takes_the_example_of_a_flag_of_a_command(command: str, name: str) -> None:
    """The same, behind the command's name."""
    flag = OWN[command, name]
    options = ReflectorOptions()
    options.parseOptions(shlex.split(COMMANDS[command][name]))
    assert options.subCommand == command
    assert options.subOptions[name] != ReflectorOptions._read(flag, flag.default)
