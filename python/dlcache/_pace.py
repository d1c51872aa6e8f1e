"""Whether threads make batches ahead, or the consumer's own thread when it wants them: whichever delivers more. Pure.

Threads hide the time of gathering behind the consumer's work, and share work that does not hold the interpreter's lock.
But each time that one waits for that lock costs microseconds, tens of them in a virtual machine, also where it is the
consumer that waits, in the midst of its own work. So where a consumer does little with a batch, and a batch takes
little to make, it can be much faster without them. Nobody knows before, and neither way tells how fast the other is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass

_JOBS, _SECONDS, _MOST_SECONDS = 4, 0.003, 0.05  # of a window: so many and so long, or longer
_RECENT = 3  # windows of which the fastest counts: others may have been disturbed
_GAIN, _HOPELESS = 0.97, 2.0
_SHARED = 1.6
_LITTLE = 0.03
_SLOW = 2.0
_SLOW_WINDOWS = 2
_PATIENCE, _SETTLED, _MOST_PATIENCE = 4, 16, 256
_KINDS = 64


@dataclass(slots=True)
class _Window:
    """Some super-batches: their number, their steps, the seconds from one to the next, those in which the consumer
    waited, and those of processor time in threads."""

    jobs: int = 0
    steps: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    computed: float = 0.0

    @property
    def full(self) -> bool:
        return self.seconds >= (_SECONDS if self.jobs >= _JOBS else _MOST_SECONDS)


class Pace:
    """To be told of each super-batch that the consumer gets. threads: True while threads are to make them.

    It begins with threads. Unless they compute next to nothing, or clearly at the same time as the consumer and each
    other, it tries without, and stays with what was faster. After a while it looks at the other way again: later and
    later, and soon where the speed has changed.
    """

    def __init__(self) -> None:
        self.threads = True
        self._window = _Window()
        self._skip = 1
        self._recent: deque[float] = deque(maxlen=_RECENT)  # seconds of a step in the last windows
        self._other: float | None = None  # the least of them before the last change, while this way is on trial
        self._slow = 0
        self._left = self._patience = _PATIENCE  # windows until the other way is tried

    def delivered(self, steps: int, seconds: float, waited: float, computed: float) -> None:
        """The consumer got a super-batch of `steps` steps, `seconds` after the one before, of which it `waited` for
        this one. computed: the seconds of processor time that it took to make it."""
        if self._skip:  # this one was begun before the last change
            self._skip -= 1
            return
        window = self._window
        window.jobs += 1
        window.steps += steps
        window.seconds += seconds
        window.waited += waited
        window.computed += computed
        if window.full and (window.jobs > 1 or not self.threads):  # one alone is one thread's
            self._window = _Window()
            self._judge(window)

    def _judge(self, window: _Window) -> None:
        each = window.seconds / window.steps
        if self._other is not None:
            self._recent.append(each)
            if each > _HOPELESS * self._other or (len(self._recent) == _RECENT and each > _GAIN * self._other):
                self._patience = min(2 * self._patience, _MOST_PATIENCE)
                self._other = None
                self._change()
            elif each <= _GAIN * self._other:
                self._left = self._patience = _SETTLED
                self._other = None
            return
        self._slow = self._slow + 1 if self._recent and each > _SLOW * min(self._recent) else 0
        self._recent.append(each)
        if self._slow == _SLOW_WINDOWS:
            self._recent.clear()
            self._recent.append(each)
            self._left, self._patience = 0, _PATIENCE
        self._left -= 1
        if self._left <= 0:
            if self.threads and not self._may_be_faster_without(window):
                self._left = self._patience = min(2 * self._patience, _MOST_PATIENCE)
                return
            self._other = min(self._recent)
            self._change()

    def _may_be_faster_without(self, window: _Window) -> bool:
        own = window.seconds - window.waited
        return window.computed >= _LITTLE * window.seconds and window.computed + own <= _SHARED * window.seconds

    def _change(self) -> None:
        self.threads = not self.threads
        self._skip = 2 if self.threads else 1
        self._recent.clear()
        self._slow, self._left = 0, max(_SETTLED, self._patience)


class Paces:
    """What iterations have learnt, for later ones that do the same. Threads may share it: one that is taken is nobody
    else's."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Pace] = {}

    def take(self, key: Hashable) -> Pace:
        """What is known of iterations of this kind."""
        return self._known.pop(key, None) or Pace()

    def give_back(self, key: Hashable, pace: Pace) -> None:
        """To be called when the iteration ends."""
        for oldest in tuple(self._known)[: max(0, len(self._known) + 1 - _KINDS)]:
            self._known.pop(oldest, None)
        self._known[key] = pace
