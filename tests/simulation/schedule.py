"""What happens in one run, as plain data: it is drawn, shrunk, printed and read again."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import asdict, dataclass

from hypothesis import strategies as st

from servicereflector.listwatch.machine import Timing

KEYS = ("shop/a", "shop/b", "mall/a", "shop/c", "mall/b")

TIMINGS = (
    Timing(idle=300.0, watch=(600, 900)),
    Timing(),
    Timing(idle=30.0, watch=(60, 120)),
)

#: Which nodes each node reflects.
TOPOLOGIES = (
    ((), (0,)),
    ((), (), (0, 1)),
    ((1,), (0,)),
    ((), (0,), (0,)),
    ((), (0,), (0, 1)),
    ((1, 2), (2, 0), (0, 1)),
    ((), (), (0, 1), (0, 1)),
)

#: What people do.
HANDS = ("put", "delete", "withdraw", "tamper", "take", "many", "wait")

#: What fails, and whether it does so for a while.
FAULTS = {
    "cut": False,
    "refuse": True,
    "silence": True,
    "half_open": True,
    "truncate": False,
    "slow": True,
    "replay": True,
    "gone": False,
    "gone_event": True,
    "gone_continue": True,
    "too_many": True,
    "errors": True,
    "lost_answer": False,
    "sabotage": False,
    "stalled": True,
    "jump": False,
    "sleep": True,
    "stop": True,
    "kill": True,
    "power": True,
    "restore": False,
    "rewind": False,
    "expire": False,
    "short_list": True,
}

#: After how long the next act follows, in tenths of a second; below 0: after so many steps of the
#: network.
Wait = int

#: kind, wait, where, what, how much; or for how long, in seconds.
Act = tuple[str, Wait, int, int, int]


@dataclass(frozen=True)
class Schedule:
    """
    :ivar sources: of each node, those that it reflects, by number.
    :ivar there: what exists when it begins: node, key.
    :ivar watched: the node whose Emitter a plain client watches, -1 for none.
    """

    seed: int
    sources: tuple[tuple[int, ...], ...]
    timing: int
    page: int
    watched: int
    there: tuple[tuple[int, int], ...]
    acts: tuple[Act, ...]

    @property
    def faults(self) -> list[str]:
        return [act[0] for act in self.acts if act[0] in FAULTS]

    def text(self) -> str:
        return json.dumps(asdict(self))

    def blob(self) -> str:
        """What :func:`read` takes, without spaces."""
        return base64.urlsafe_b64encode(zlib.compress(self.text().encode(), 9)).decode()


def read(text: str) -> Schedule:
    """
    :param text: what :meth:`Schedule.blob` or :meth:`Schedule.text` wrote.
    """
    text = text.strip()
    if not text.startswith("{"):
        text = zlib.decompress(base64.urlsafe_b64decode(text)).decode()
    told = json.loads(text)
    tuples = {
        name: tuple(tuple(each) for each in told[name]) for name in ("sources", "there", "acts")
    }
    return Schedule(**{**told, **tuples})


_numbers = st.integers(0, 11)
_soon = st.sampled_from((0, -1, -2, -4, -9, -25, 1, 5))
_later = st.sampled_from((0, 5, 20, 60, 150, 400))
_hands = st.tuples(
    st.sampled_from(("put", "put", "delete", "delete", "withdraw", "tamper", "take", "many")),
    _soon | _later,
    _numbers,
    _numbers,
    _numbers,
)
_faults = st.tuples(
    st.sampled_from(tuple(FAULTS)),
    _soon,
    _numbers,
    _numbers,
    st.sampled_from((1, 2, 3, 5, 8, 13, 34, 61, 95)),
)
#: Failures, what people do meanwhile, and some time.
_episodes = st.tuples(
    st.lists(_faults, min_size=1, max_size=3),
    st.lists(_hands, min_size=1, max_size=3),
    st.sampled_from((5, 20, 60, 150, 400, 1000)),
)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    number = draw(st.sampled_from((0,) * 12 + (1,) * 6 + (2, 2, 3, 3, 4, 4, 5, 6)))
    sources = TOPOLOGIES[number]
    used = sorted({number for each in sources for number in each})
    there = draw(
        st.lists(
            st.tuples(st.sampled_from(used), st.integers(0, len(KEYS) - 1)),
            min_size=1,
            max_size=6,
            unique=True,
        )
    )
    acts: list[Act] = []
    if draw(st.integers(0, 5)):
        acts.append(("wait", 30, 0, 0, 0))
    for faults, hands, rest in draw(st.lists(_episodes, min_size=1, max_size=3)):
        acts += [*faults, *hands, ("wait", rest, 0, 0, 0)]
    return Schedule(
        seed=draw(st.integers(0, 2**16)),
        sources=sources,
        timing=draw(st.sampled_from((0, 0, 0, 0, 1, 2))),
        page=draw(st.sampled_from((500,) * 7 + (2,))),
        watched=draw(st.sampled_from((-1, -1, -1, 0))),
        there=tuple(there),
        acts=tuple(acts),
    )
