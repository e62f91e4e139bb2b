"""The options of the program and of its commands."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from twisted.python import usage

from . import __version__
from .commands import COMMANDS, SHORTS
from .election.machine import Timing
from .flags import (
    Flag,
    FlagOptions,
    boolean,
    duration,
    one_of,
)
from .flagtable import ALIASES, FLAGS


class DemoOptions(FlagOptions):
    """The flags of ``service-reflector demo``."""

    flags = (
        Flag("once", "false", "Run a scripted tour, tell what was seen, and exit.", boolean,
             boolean=True),
        Flag("kubeconfig-dir", "", "Where to write east.yaml and west.yaml, for kubectl "
             "--kubeconfig; they are removed at the end."),
    )  # fmt: skip

    def getSynopsis(self) -> str:
        return (
            "Usage: service-reflector demo [--once] [--kubeconfig-dir DIR]\n\n"
            "Two clusters in memory, east and west, each with its API, its Emitter and a\n"
            "Reflector that mirrors the other's Services. What it makes outside of its process\n"
            "is gone when it ends."
        )


class PlanOptions(FlagOptions):
    """The flags of ``service-reflector plan``: the program's, and two of its own."""

    own: ClassVar[tuple[Flag, ...]] = (
        Flag(
            "timeout",
            "30s",
            "How long to wait for the host's and the sources' lists.",
            duration,
        ),
        Flag("output", "text", "text or json; also -o.", one_of(("text", "json"))),
    )
    flags: ClassVar[tuple[Flag, ...]] = (*own, *FLAGS)
    aliases = ALIASES
    shorts = SHORTS

    def getSynopsis(self) -> str:
        return (
            "Usage: service-reflector plan [flags]\n\n"
            "Prints what the program would create, update and delete with these flags, and writes\n"
            "nothing. The exit status is 0 where there is nothing to do, and 2 where there is."
        )

    def postOptions(self) -> None:
        super().postOptions()
        # The program's flags count wherever they stand.
        own = {flag.name for flag in self.own}
        assert self.parent is not None
        self.parent.update({n: text for n, text in self.given.items() if n not in own})


class CheckOptions(PlanOptions):
    """The flags of ``service-reflector check``: the program's, and three of its own."""

    own: ClassVar[tuple[Flag, ...]] = (
        Flag(
            "timeout",
            "10s",
            "How long to wait for each answer, and for the host's and the sources' lists.",
            duration,
        ),
        Flag(
            "probe",
            "true",
            "Try to connect to a few endpoints of each source.",
            boolean,
            boolean=True,
        ),
        Flag("output", "text", "text or json; also -o.", one_of(("text", "json"))),
    )
    flags: ClassVar[tuple[Flag, ...]] = (*own, *FLAGS)

    def getSynopsis(self) -> str:
        return (
            "Usage: service-reflector check [flags]\n\n"
            "Asks the host and the sources whether the program could do its work with these\n"
            "flags, tells what is in the way and what helps, and writes nothing. The exit status\n"
            "is 0 where nothing fails, and 2 where something does."
        )


class ReflectorOptions(FlagOptions):
    """The flags of the program."""

    flags = FLAGS
    aliases = ALIASES
    subCommands: ClassVar[list[list[Any]]] = [
        ["demo", None, DemoOptions, "Two clusters in memory that mirror each other."],
        ["plan", None, PlanOptions, "What the program would do."],
        ["check", None, CheckOptions, "Whether the program could do it."],
        *COMMANDS,
    ]

    def getSynopsis(self) -> str:
        return (
            "Usage: service-reflector [flags]\n"
            "       service-reflector check|plan [flags]\n"
            "       service-reflector status|explain|release|forget [flags]\n"
            "       service-reflector demo [--once] [--kubeconfig-dir DIR]\n\n"
            "Mirrors selected Services from other clusters into this one."
        )

    def postOptions(self) -> None:
        super().postOptions()
        if self["version"]:
            print_version()
        if self.subCommand not in (None, "plan", "check"):
            return
        if bool(self["emitter.tls-cert-file"]) != bool(self["emitter.tls-private-key-file"]):
            raise usage.UsageError(
                "--emitter.tls-cert-file and --emitter.tls-private-key-file go together"
            )
        self._check_access()
        if not self["emitter"] and not self["reflector"]:
            raise usage.UsageError("--emitter=false with --reflector=false leaves nothing to do")
        if self.subCommand == "plan" and not self["reflector"]:
            raise usage.UsageError("--reflector=false leaves nothing to plan")
        if self["reflector.leader-elect"]:
            self._check_election()

    def authenticates(self) -> bool:
        """Whether the Emitter wants to know who asks."""
        ways = ("client-ca-file", "token-auth-file", "authentication")
        return any(self[f"emitter.{way}"] for way in ways)

    def _check_access(self) -> None:
        if self.authenticates():
            if not self["emitter.secure-port"]:
                raise usage.UsageError(
                    "--emitter.secure-port: credentials are taken over HTTPS alone: say a port"
                )
            return
        for name, idle in (("views", ""), ("authorization", "always-allow")):
            if self[f"emitter.{name}"] != idle:
                raise usage.UsageError(
                    f"--emitter.{name}: nobody is known without --emitter.client-ca-file, "
                    "--emitter.token-auth-file or --emitter.authentication"
                )

    def _check_election(self) -> None:
        flag, timing = "--reflector.leader-elect", self.election_timing()
        if not self["reflector.leader-elect-resource-name"]:
            raise usage.UsageError(f"{flag}-resource-name: say the name of the Lease")
        if not timing.renews_in_time():
            raise usage.UsageError(
                f"{flag}-renew-deadline must be shorter than {flag}-lease-duration"
            )
        if not timing.retries_in_time():
            raise usage.UsageError(
                f"{flag}-retry-period must be above 0, and 1.2 times it below {flag}-renew-deadline"
            )

    def election_timing(self) -> Timing:
        """How often and for how long, as the flags say."""
        told = ("lease-duration", "renew-deadline", "retry-period")
        return Timing(*(self[f"reflector.leader-elect-{name}"] for name in told))


def print_version() -> None:
    """Print the version and exit."""
    print(f"service-reflector {__version__}")  # noqa: T201
    sys.exit(0)
