"""When a level counts as past a limit: duration, hysteresis and cool-down. No clock, no I/O."""

from dataclasses import dataclass
from enum import StrEnum
import math
from typing import Final

from .levels import EnergyMean

# A gap of more frames than this says nothing about what the level did meanwhile.
MAX_GAP: Final = 3.0


class Direction(StrEnum):
    """On which side of its limit a level is past it."""

    ABOVE = "above"
    BELOW = "below"


class Phase(StrEnum):
    """What a frame has done to an exceedance: begun or ended it."""

    EXCEEDED = "exceeded"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A level and its limit in dB, when it came in seconds, and whether it is valid for a report.

    The clock is the caller's; it never goes back. A moving limit is that of the moment.
    """

    at: float
    level: float
    limit: float
    overload: bool = False
    under_range: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What makes an exceedance.

    `duration` and `cooldown` are seconds, `clear_margin` is in dB; none of them is negative.
    """

    direction: Direction = Direction.ABOVE
    duration: float = 0.0
    clear_margin: float = 0.0
    cooldown: float = 0.0

    def is_past(self, frame: Frame) -> bool:
        """Tell whether a level is past its limit."""
        return self._excess(frame) > 0

    def is_back(self, frame: Frame) -> bool:
        """Tell whether a level is back by the whole margin."""
        # Levels are sums of tenths, which binary fractions are not.
        return self._excess(frame) <= 1e-6 - self.clear_margin

    def _excess(self, frame: Frame) -> float:
        """Return by how much a level is past its limit."""
        excess = frame.level - frame.limit
        return excess if self.direction is Direction.ABOVE else -excess

    def more_extreme(self, one: float, other: float) -> float:
        """Return the level that is farther on the wrong side."""
        return max(one, other) if self.direction is Direction.ABOVE else min(one, other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exceedance:
    """An exceedance so far, or as a whole; levels in dB, times in seconds of the caller's clock.

    It lasts from the first frame past the limit (`start`) to the first of those that were back
    (`end`, None while it goes on). `limit` and `onset_value` are of the frame that made it one,
    `value` is the level now. `peak` is the most extreme level: the lowest for a limit from
    below. `mean` is that by energy. `overload` and `under_range` tell whether one of its frames
    was not valid for a report.
    """

    limit: float
    start: float
    end: float | None
    length: float
    onset_value: float
    value: float
    peak: float
    mean: float
    overload: bool
    under_range: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A beginning or an end of an exceedance."""

    phase: Phase
    exceedance: Exceedance


class _Run:
    """The frames from the first one past the limit on: an exceedance once it has an onset."""

    def __init__(self, rule: Rule, frame: Frame) -> None:
        """Begin with the first frame past the limit."""
        self._rule = rule
        self._mean = EnergyMean(frame.level)
        self._peak = frame.level
        self._overload, self._under_range = frame.overload, frame.under_range
        self.start = frame.at
        self.onset: Frame | None = None
        # Those since the level has been back; they are part of it only if it goes on.
        self.back: list[Frame] = []

    def add(self, frame: Frame) -> None:
        """Take a frame in."""
        self._mean.add(frame.level)
        self._peak = self._rule.more_extreme(self._peak, frame.level)
        self._overload |= frame.overload
        self._under_range |= frame.under_range

    def resume(self) -> None:
        """Take in the frames that were back: it was not over."""
        for frame in self.back:
            self.add(frame)
        self.back.clear()

    def so_far(self, onset: Frame, now: Frame, end: float | None = None) -> Exceedance:
        """Return what it is by a frame, or was up to its end."""
        return Exceedance(
            limit=onset.limit,
            start=self.start,
            end=end,
            length=(now.at if end is None else end) - self.start,
            onset_value=onset.level,
            value=now.level,
            peak=self._peak,
            mean=self._mean.level,
            overload=self._overload,
            under_range=self._under_range,
        )


class LimitWatch:
    """Follows a level frame by frame, and tells when an exceedance begins and ends.

    It begins with a frame past the limit, when no frame has been back for `duration`: a dip
    into the margin does not interrupt it. It ends when every frame has been back for `duration`.
    None begins within `cooldown` of the beginning of the last one; it begins as soon as that has
    lapsed if the level is still past the limit.
    """

    def __init__(self, rule: Rule) -> None:
        """Begin with no exceedance."""
        self._rule = rule
        self._run: _Run | None = None
        self._last: Frame | None = None
        self._last_onset = -math.inf

    @property
    def exceeded_since(self) -> float | None:
        """When the exceedance that is under way began; None while there is none."""
        return None if self._run is None or self._run.onset is None else self._run.start

    def feed(self, frame: Frame, interval: float = 1.0) -> Change | None:
        """Take a frame in; return what it has begun or ended.

        `interval` is how many seconds frames are apart. After a gap of more than MAX_GAP of them
        the running duration begins anew. A frame without a level is not fed: it is a gap.
        """
        if self._last is not None and frame.at - self._last.at > MAX_GAP * interval:
            self._begin_anew()
        self._last = frame
        if self._run is not None and self._run.onset is not None:
            return self._go_on(self._run, self._run.onset, frame)
        return self._build_up(frame)

    def lift(self, at: float) -> Change | None:
        """Take the limit away, as it does not hold any more; return what that has ended."""
        run, last, self._run, self._last = self._run, self._last, None, None
        if run is None or run.onset is None or last is None:
            return None
        end = run.back[0].at if run.back else at
        return Change(Phase.CLEARED, run.so_far(run.onset, last, end))

    def _begin_anew(self) -> None:
        """Forget the running duration; an exceedance goes on."""
        if self._run is not None and self._run.onset is not None:
            self._run.resume()
        else:
            self._run = None

    def _build_up(self, frame: Frame) -> Change | None:
        """Judge a frame while there is no exceedance."""
        is_past = self._rule.is_past(frame)
        if self._run is None:
            self._run = _Run(self._rule, frame) if is_past else None
        elif self._rule.is_back(frame):
            self._run = None
        else:
            self._run.add(frame)
        if self._run is None or not is_past:
            return None
        is_long = frame.at - self._run.start >= self._rule.duration
        if not is_long or frame.at - self._last_onset < self._rule.cooldown:
            return None
        self._run.onset = frame
        self._last_onset = frame.at
        return Change(Phase.EXCEEDED, self._run.so_far(frame, frame))

    def _go_on(self, run: _Run, onset: Frame, frame: Frame) -> Change | None:
        """Judge a frame during an exceedance."""
        if not self._rule.is_back(frame):
            run.resume()
            run.add(frame)
            return None
        run.back.append(frame)
        end = run.back[0].at
        if frame.at - end < self._rule.duration:
            return None
        self._run = None
        return Change(Phase.CLEARED, run.so_far(onset, frame, end))
