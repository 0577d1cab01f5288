"""What the meter was asked beside its levels: how old an answer may be, and what is due."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
import math
from typing import Any, Final, cast

from homeassistant.util import dt as dt_util

from .const import MeasurementState
from .rion import CHANNELS, NO_READING, Channel, Reading
from .rion.notation import LEVEL_KEYS, symbol
from .rion.vocabulary import (
    BATTERY_LEVEL,
    CLOCK,
    FREQUENCY_WEIGHTING,
    FTP,
    LEQ_INTERVAL,
    LP_STORE_INTERVAL,
    MEASURE,
    MEASUREMENT_TIME_AUTO,
    MEASUREMENT_TIME_MANUAL,
    PAUSE,
    PERCENTILE,
    POWER_SOURCE,
    SD_FREE,
    SD_TOTAL,
    SLEEP_MODE,
    STORE_MODE,
    STORE_NAME,
    SYSTEM_VERSION,
    TIME_WEIGHTING,
    TYPE,
    Command,
    OnOff,
    RunState,
)

DAY: Final = 86400
# The meter's clock shows whole seconds: on average half a second has passed since.
_CLOCK_RESOLUTION: Final = timedelta(seconds=1)
# An answer that could not be renewed for so many of its age limits is no longer shown.
EXPIRY: Final = 6
# A doubtful run state that could not be asked so many times is no longer shown.
DOUBTS: Final = 3
# A question that stays unanswered is asked half as often each time, down to this power of two.
MAX_STRIKES: Final = 6


def is_running(channel: Channel) -> bool:
    """Tell what a frame hints of the run state: stopped, all but Lp have no value."""
    return channel.leq is not None or channel.lmax is not None


@dataclass(frozen=True, slots=True)
class Fact:
    """One answer and when it came."""

    value: object
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterData:
    """One frame, and the facts that hold beside it; `at` is None before the first frame.

    Frames are numbered from 1 on since the meter was loaded. `interval` is how many seconds
    later the next one is expected.
    """

    reading: Reading
    at: datetime | None
    number: int = 0
    interval: float = 0.0
    facts: Mapping[str, Fact]
    lacking: frozenset[str]

    def get[T](self, command: Command[T]) -> T | None:
        """Return the meter's answer, None where there is none that is young enough."""
        fact = self.facts.get(command.name)
        return None if fact is None else cast("T", fact.value)

    def symbol(self, level_key: str) -> str:
        """Return how acousticians write a level by what is known of it, such as LAF."""
        channel, quantity = LEVEL_KEYS[level_key]
        percentile = PERCENTILE.get(quantity)
        return symbol(
            level_key,
            self.get(FREQUENCY_WEIGHTING[channel]),
            self.get(TIME_WEIGHTING[channel]),
            None if percentile is None else self.get(percentile),
        )

    @property
    def measurement_state(self) -> MeasurementState | None:
        """What the meter said it is doing, None before it was asked."""
        state, pause = self.get(MEASURE), self.get(PAUSE)
        if state is None:
            return None
        if not state.measuring:
            return MeasurementState.STOPPED
        if pause is None and PAUSE.name not in self.lacking:
            return None
        return MeasurementState.PAUSED if pause is OnOff.ON else MeasurementState.MEASURING

    @property
    def measuring(self) -> bool | None:
        """Whether a measurement runs, paused or not; None where that is not known."""
        state = self.get(MEASURE)
        return None if state is None else state.measuring

    @property
    def clock_offset(self) -> timedelta | None:
        """How far the meter's clock, read as UTC, is ahead of UTC; None before it was asked."""
        fact = self.facts.get(CLOCK.name)
        if fact is None:
            return None
        shown = cast("datetime", fact.value).replace(tzinfo=UTC)
        return shown + _CLOCK_RESOLUTION / 2 - fact.at

    @property
    def site_clock_offset(self) -> timedelta | None:
        """How far the meter's clock is ahead of the site's local time; None before it was asked."""
        if (ahead_of_utc := self.clock_offset) is None:
            return None
        zone = dt_util.as_local(self.facts[CLOCK.name].at).utcoffset() or timedelta()
        return ahead_of_utc - zone

    @property
    def sd_free_percentage(self) -> float | None:
        """How much of the card is free, None before it was asked."""
        free, total = self.get(SD_FREE), self.get(SD_TOTAL)
        return None if free is None or not total else 100 * free / total


def to_utc(local: datetime, clock_offset: timedelta) -> datetime | None:
    """Return a time of a meter's clock in UTC, None where it is at either end of all time."""
    try:
        return local.replace(tzinfo=UTC) - clock_offset
    except OverflowError:
        return None


NOTHING_KNOWN: Final = MeterData(reading=NO_READING, at=None, facts={}, lacking=frozenset())


def _always(_data: MeterData) -> bool:
    """Ask whatever else is known."""
    return True


def _while_measuring(data: MeterData) -> bool:
    """Ask only while a measurement runs."""
    return data.measuring is True


def _in_use(channel: str) -> Callable[[MeterData], bool]:
    """Ask only where the meter measures on a channel."""
    return lambda data: data.reading.channel(channel).in_use


@dataclass(frozen=True, slots=True)
class SlowQuestion:
    """A question, how old in seconds its answer may get, and when it makes sense."""

    command: Command[Any]
    max_age: float
    makes_sense: Callable[[MeterData], bool] = _always


SLEEP_MODE_QUESTION: Final = SlowQuestion(SLEEP_MODE, 3600)
# In the order in which they are asked at first: what a level is comes before who shows it, as
# with an armed limit there is room for one question now and then.
SLOW_QUESTIONS: Final = (
    SlowQuestion(MEASURE, 30),
    SlowQuestion(PAUSE, 30, _while_measuring),
    *(
        SlowQuestion(setting[channel], 3600, _in_use(channel))
        for channel in CHANNELS
        for setting in (FREQUENCY_WEIGHTING, TIME_WEIGHTING)
    ),
    *(SlowQuestion(setting, 3600) for setting in PERCENTILE.values()),
    SlowQuestion(TYPE, DAY),
    SlowQuestion(SYSTEM_VERSION, DAY),
    SlowQuestion(STORE_MODE, 3600),
    SlowQuestion(STORE_NAME, 3600),
    SlowQuestion(BATTERY_LEVEL, 600),
    SlowQuestion(POWER_SOURCE, 600),
    SlowQuestion(CLOCK, 600),
    SlowQuestion(SD_FREE, 600),
    SlowQuestion(SD_TOTAL, 3600),
    SLEEP_MODE_QUESTION,
    *(
        SlowQuestion(setting, 3600)
        for setting in (
            LP_STORE_INTERVAL,
            LEQ_INTERVAL,
            MEASUREMENT_TIME_MANUAL,
            MEASUREMENT_TIME_AUTO,
            FTP,
        )
    ),
)
_RUN_STATE: Final = (MEASURE.name, PAUSE.name)


def _sensible(data: MeterData) -> Iterator[SlowQuestion]:
    """Return the questions that make sense to a meter as it is."""
    for question in SLOW_QUESTIONS:
        if question.command.name not in data.lacking and question.makes_sense(data):
            yield question


@dataclass(slots=True)
class _Record:
    """When a question was last asked, in vain how often, and its last answer."""

    asked: float = -math.inf
    answered: float = -math.inf
    strikes: int = 0
    doubtful: bool = False
    fact: Fact | None = None


@dataclass(slots=True)
class Facts:
    """The answers so far; times are seconds of the event loop's clock."""

    _records: defaultdict[str, _Record] = field(default_factory=lambda: defaultdict(_Record))
    _asked_run_state: bool = False

    def due(self, now: float, data: MeterData) -> SlowQuestion | None:
        """Return what to ask next, None if all answers are young enough.

        Doubt goes first. Then the run state and all the rest take turns, so that neither
        starves when there is time for one question now and then.
        """
        due = [question for question in _sensible(data) if self._overdue(question, now) >= 1]

        def urgency(question: SlowQuestion) -> tuple[bool, float]:
            its_turn = (question.command.name in _RUN_STATE) is not self._asked_run_state
            return its_turn, self._overdue(question, now)

        doubtful = (question for question in due if self.is_doubtful(question))
        return next(doubtful, None) or max(due, key=urgency, default=None)

    def all_asked(self, data: MeterData) -> bool:
        """Tell whether each question that makes sense was asked at least once."""
        return all(
            self._records[question.command.name].asked > -math.inf for question in _sensible(data)
        )

    def _overdue(self, question: SlowQuestion, now: float) -> float:
        """Return the age of an answer in units of its limit."""
        record = self._records[question.command.name]
        if record.doubtful:
            return math.inf
        return (now - record.asked) / (question.max_age * 2.0**record.strikes)

    def is_doubtful(self, question: SlowQuestion) -> bool:
        """Tell whether the answer is known to be outdated."""
        return self._records[question.command.name].doubtful

    def learn(self, command: Command[Any], now: float, fact: Fact) -> None:
        """Keep an answer."""
        self._asked_run_state = command.name in _RUN_STATE
        self._records[command.name] = _Record(now, answered=now, fact=fact)
        if fact.value is RunState.STOP:
            # The pause of one measurement says nothing about the next.
            self._records[PAUSE.name].fact = None

    def miss(self, command: Command[Any], now: float) -> None:
        """Note that a question was asked in vain; a doubt is not done with at once."""
        self._asked_run_state = command.name in _RUN_STATE
        record = self._records[command.name]
        record.asked = now
        record.strikes = min(record.strikes + 1, MAX_STRIKES)
        if record.doubtful and record.strikes >= DOUBTS:
            self._records[command.name] = _Record(now)

    def doubt(self, *commands: Command[Any]) -> None:
        """Have questions asked at once: their answers are known to be outdated."""
        for command in commands:
            self._records[command.name].doubtful = True
            self._records[command.name].strikes = 0

    def current(self, now: float) -> dict[str, Fact]:
        """Return the answers that are young enough to be shown."""
        return {
            question.command.name: record.fact
            for question in SLOW_QUESTIONS
            if (record := self._records[question.command.name]).fact
            and now - record.answered <= EXPIRY * question.max_age
        }
