"""The course of a measurement: when it ran and when it was held."""

from bisect import bisect_right
from datetime import datetime, timedelta

from .sound import STEP


class Run:
    """A measurement's time line, in steps of the sound."""

    def __init__(self, started: datetime, step: int) -> None:
        """Begin at a step, which the meter's clock calls `started`."""
        self.started = started
        self._first = step
        self._starts = [step]
        self._counted = [0]
        self._held_at: int | None = None

    def hold(self, step: int) -> None:
        """Stop the time line, for a while or for good."""
        if self._held_at is None:
            self._held_at = step

    def go_on(self, step: int) -> None:
        """Go on after a hold."""
        if self._held_at is not None:
            self._counted.append(self.steps(step))
            self._starts.append(step)
            self._held_at = None

    def steps(self, now: int) -> int:
        """Return how many steps the measurement has run."""
        end = now if self._held_at is None else self._held_at
        return self._counted[-1] + max(end - self._starts[-1], 0)

    def step_at(self, count: int) -> int:
        """Return the step that was the count-th of the run."""
        index = bisect_right(self._counted, count) - 1
        return self._starts[index] + count - self._counted[index]

    def time_of(self, step: int) -> datetime:
        """Return what the meter's clock called a step."""
        return self.started + timedelta(seconds=(step - self._first) * STEP)
