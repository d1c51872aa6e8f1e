"""Whether threads make batches ahead, or the consumer's own thread when it wants them: whichever delivers more. Pure.

Threads hide the time of gathering behind the consumer's work, and share work that does not hold the interpreter's lock.
But each time that one waits for that lock costs microseconds, tens of them in a virtual machine. So where a consumer
does little with a batch, and a batch takes little to make, it can be much faster without them. Nobody knows before.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

_JOBS, _SECONDS, _MOST_SECONDS = 4, 0.003, 0.05  # of a window: so many and so long, or longer
_WAITING = 0.3
_GAIN = 0.97
_SHARED = 1.6
_SLOW = 2.0
_SLOW_WINDOWS = 2
_PATIENCE, _MOST_PATIENCE = 2, 64
_SETTLED = 16
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

    It begins with threads. Where the consumer waits for them, and they compute hardly more than one thread could, it
    tries without; it stays with what was faster, and looks again after a while, sooner if something has changed.
    """

    def __init__(self) -> None:
        self.threads = True
        self._window = _Window()
        self._skip = 1
        self._threaded = 0.0
        self._alone: float | None = None
        self._slow = 0
        self._patience = _PATIENCE
        self._until = 0
        self._again = False

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
            self._until -= 1
            if self.threads:
                self._with_threads(window)
            else:
                self._without(window)

    def _with_threads(self, window: _Window) -> None:
        own = window.seconds - window.waited
        if self._until > 0 or window.waited < _WAITING * window.seconds:
            return
        again, self._again = self._again, False
        if not again and window.computed + own > _SHARED * window.seconds:
            self._wait_longer()
            return
        self._threaded, self._alone = window.seconds / window.steps, None
        self._change(threads=False)

    def _without(self, window: _Window) -> None:
        each, busy = window.seconds / window.steps, window.waited < window.seconds / 2
        if self._alone is None:
            if each > _GAIN * self._threaded or busy:
                self._wait_longer()
                self._change(threads=True)
                return
            self._alone, self._slow, self._until = each, 0, max(_SETTLED, self._patience)
        self._alone = min(self._alone, each)
        self._slow = self._slow + 1 if each > _SLOW * self._alone else 0
        if busy:
            self._wait_longer()
            self._change(threads=True)
        elif self._until <= 0 or self._slow == _SLOW_WINDOWS:
            self._patience = min(2 * self._patience, _MOST_PATIENCE) if self._until <= 0 else _PATIENCE
            self._until, self._again = 0, self._until <= 0
            self._change(threads=True)

    def _wait_longer(self) -> None:
        self._until, self._patience = self._patience, min(2 * self._patience, _MOST_PATIENCE)

    def _change(self, *, threads: bool) -> None:
        self.threads = threads
        self._skip = 2 if threads else 1


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
