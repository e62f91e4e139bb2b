"""The ``service-reflector`` command: twistd, in the foreground, without a pidfile."""

from __future__ import annotations

import sys

from twisted.scripts import twistd

from . import tap


def main() -> None:
    """Run the command line."""
    sys.argv = ["service-reflector", "--nodaemon", "--pidfile=", "service-reflector", *sys.argv[1:]]
    twistd.run()
    sys.exit(tap.exit_status)


if __name__ == "__main__":
    main()
