"""Log lines of what is tried again and again, as an outage counts them."""

from __future__ import annotations

from twisted.logger import Logger, LogLevel

from .outages import Tally, duration
from .reasons import Code


def tell_failure(
    log: Logger, tally: Tally | None, text: str, *, reason: Code, **facts: object
) -> None:
    """Warn of a failure; where the outage has nothing to tell, it is for who debugs.

    :param text: the format; ``{still}`` in it says for how long, where it is not the first.
    """
    still = ""
    if tally is not None:
        if tally.attempts > 1 and tally.seconds >= 1:
            still = f"still failing after {tally}: "
        facts |= {"attempts": tally.attempts, "lasted_seconds": round(tally.seconds, 1)}
    level = LogLevel.debug if tally is None else LogLevel.warn
    log.emit(level, text, reason=reason, still=still, **facts)


def tell_recovery(log: Logger, tally: Tally | None, text: str, **facts: object) -> None:
    """Tell that it is over; nothing, where the outage has nothing to tell.

    :param text: the format; ``{after}`` in it says how long it took.
    """
    if tally is None:
        return
    told = f"after {tally.attempts} failed {'attempt' if tally.attempts == 1 else 'attempts'}"
    told += f" in {duration(tally.seconds)}"
    if tally.parts:
        told += (
            f"; {tally.parts} still {'fails' if tally.parts == 1 else 'fail'} for another reason"
        )
    log.info(
        text,
        reason=Code.RECOVERED,
        after=told,
        attempts=tally.attempts,
        lasted_seconds=round(tally.seconds, 1),
        **facts,
    )
