"""The ``service-reflector`` command: twistd, in the foreground, without a pidfile."""

from __future__ import annotations

import sys

from twisted.scripts import twistd

#: What the process ends with, if nothing else decides; the demo's tour sets it.
exit_status = 0


def main() -> None:
    """Run the command line."""
    sys.argv = ["service-reflector", "--nodaemon", "--pidfile=", "service-reflector", *sys.argv[1:]]
    twistd.run()
    sys.exit(exit_status)


if __name__ == "__main__":
    main()
