"""The meter itself, without its network: state, sound, card."""

from collections.abc import Callable
from datetime import datetime
import time
from typing import Final

from .clock import MeterClock
from .config import SimulatorConfig
from .faults import Fault, FaultSet
from .levels import FREQUENCY_OFFSETS, ChannelLevels
from .sound import STEP, Source
from .state import Settings
from .store import INTERVALS, Store
from .vocabulary import CHANNELS, FACTORY
from .wire import QUANTITIES, UNUSED, Channel, dod_line, drd_line

# After a pause longer than this many steps, the sound is sampled more coarsely: bounded work.
_FINEST_STEPS: Final = 120
_OVERLOAD: Final = 138.0
_UNDER_RANGE: Final = 25.0
_COUNTER_RANGE: Final = 600
_EMPTY: Final = "Empty"
_BATTERY_LETTERS: Final = {"Full": "F", "Middle": "M", "Low": "L", "Dead": "D", _EMPTY: "E"}


class Machine:
    """A sound level meter that measures a made-up site."""

    def __init__(self, config: SimulatorConfig, network_changed: Callable[[str], None]) -> None:
        """Switch the meter on; `network_changed` hears the name of a setting of the network."""
        self.config = config
        self.settings = Settings({**FACTORY, **config.settings}, network_changed)
        self.faults = FaultSet(self._fault_changed)
        self.fault_heard: Callable[[Fault], None] = lambda _fault: None
        self.level_offset = 0.0
        """dB by which the site is louder than the model has it."""
        self.over: bool | None = None
        """Overload flag of the main channel; None leaves it to the level."""
        self.under: bool | None = None
        """Under-range flag of the main channel; None leaves it to the level."""
        self.battery_level = config.battery_level
        self._clock = MeterClock(config.utc_offset, config.clock_offset)
        self._origin = time.monotonic()
        now = self._clock.now()
        seconds = (now - now.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()
        self._source = Source(config.seed, seconds, busy=config.busy)
        self._channels = [ChannelLevels() for _ in range(1 + config.sub_channels)]
        self._at = 0
        self._measuring = False
        self._paused = False
        self._steps = 0
        self._started: datetime | None = None
        self._final: list[Channel] | None = None
        self._replay: list[str] = list(config.replay)
        self._replayed = 0
        self._sample(0, 1)
        self._store = Store(config.model, self._source, self._clock.now, self._stored_step)
        self.card = self._store.card
        if config.measuring:
            self.start()

    # The run

    @property
    def measuring(self) -> bool:
        """Whether a measurement is running, be it paused."""
        self.advance()
        return self._measuring

    @measuring.setter
    def measuring(self, on: bool) -> None:
        """Start or stop the measurement."""
        if on != self.measuring:
            (self.start if on else self.stop)()

    @property
    def paused(self) -> bool:
        """Whether the running measurement is held."""
        return self._paused

    @paused.setter
    def paused(self, on: bool) -> None:
        """Hold the measurement or go on with it."""
        self.advance()
        self._paused = on and self._measuring
        self._gate_store()

    @property
    def clock_offset(self) -> float:
        """Seconds that the meter's clock is ahead."""
        return self._clock.ahead

    @clock_offset.setter
    def clock_offset(self, seconds: float) -> None:
        """Put the meter's clock wrong."""
        self._clock.ahead = seconds

    @property
    def clock(self) -> MeterClock:
        """The meter's clock."""
        return self._clock

    @property
    def asleep(self) -> bool:
        """Whether the meter is in sleep mode."""
        return self.settings["sleep mode"] == "On"

    @property
    def has_result(self) -> bool:
        """Whether there is a finished measurement."""
        return self._final is not None

    def start(self) -> None:
        """Start a measurement."""
        self.advance()
        self._measuring, self._paused = True, False
        self._steps = 0
        self._started = self._clock.now()
        for channel in self._channels:
            channel.start()
        # The display shows results from the first moment on.
        self._sample(self._at, 1)
        if self.settings["store mode"] != "Manual" and Fault.FULL_CARD not in self.faults:
            self._store.begin(
                self._at,
                self.settings["store name"],
                [self._weighting("frequency", index) for index in range(len(self._channels))],
                self.settings["lp store interval"],
                self.settings["leq calculation interval preset"],
            )

    def stop(self) -> None:
        """Stop the measurement and keep its result."""
        self.advance()
        if self._measuring:
            self._finish()

    def store_manually(self) -> bool:
        """Store the last result on the card; False if there is none or no room."""
        if self._final is None or self._started is None or Fault.FULL_CARD in self.faults:
            return False
        results = dict(zip(QUANTITIES[1:11], self._final[0].levels[1:11], strict=True))
        self._store.add_manual(
            self.settings["store name"], self._started, self._steps * STEP, results
        )
        return True

    # Time

    def advance(self) -> None:
        """Take in the sound up to now."""
        target = int((time.monotonic() - self._origin) / STEP)
        gap = target - self._at
        if gap <= 0:
            return
        stride = -(-gap // _FINEST_STEPS)
        while self._at < target:
            steps = min(stride, target - self._at)
            self._at += steps
            self._sample(self._at, steps)
            if self._measuring and self._steps >= self._preset_steps():
                self._finish()

    def _stored_step(self) -> int:
        """Return the step up to which files can have grown."""
        self.advance()
        return self._at

    def _finish(self) -> None:
        """End the measurement here."""
        self._final = self._display()
        self._measuring = self._paused = False
        for channel in self._channels:
            channel.discard()
        self._store.end(self._at)

    def _sample(self, step: int, steps: int) -> None:
        """Take in the sound of a step, which stands for a number of them."""
        energy = self._source.energy(step) * 10.0 ** (self.level_offset / 10.0)
        crest = self._source.crest(step)
        adding = self._measuring and not self._paused
        for index, channel in enumerate(self._channels):
            offset = FREQUENCY_OFFSETS[self._weighting("frequency", index)]
            channel.step(
                energy * 10.0 ** (offset / 10.0) if offset else energy,
                crest,
                time_weighting=self._weighting("time", index),
                steps=steps,
                adding=adding,
            )
        if adding:
            self._steps += steps

    def _weighting(self, kind: str, index: int) -> str:
        """Return the word for a weighting of a channel."""
        return self.settings[f"{kind} weighting ({CHANNELS[index]})"]

    def _preset_steps(self) -> float:
        """Return after how many steps the measurement ends by itself."""
        mode = "manual" if self.settings["store mode"] == "Manual" else "auto"
        seconds = INTERVALS.get(self.settings[f"measurement time preset {mode}"])
        return float("inf") if seconds is None else seconds / STEP

    # What is shown

    def replay(self, lines: list[str]) -> None:
        """Serve these lines in turn as the answers to `DOD?`; none: the sound model again."""
        self._replay = lines
        self._replayed = 0

    def dod(self) -> str:
        """Return the displayed values."""
        if self._replay:
            line = self._replay[self._replayed % len(self._replay)]
            self._replayed += 1
            return line
        self.advance()
        return dod_line(self._padded(self._display()))

    def dlc(self) -> str:
        """Return the final result of the last measurement."""
        self.advance()
        blank = Channel((None,) * len(QUANTITIES), over=False, under=False)
        final = self._final or [blank for _ in self._channels]
        shown = [Channel((None, *each.levels[1:]), each.over, each.under) for each in final]
        return dod_line(self._padded(shown))

    def drd(self, counter: int, *, status: bool) -> str:
        """Return a line of the stream."""
        self.advance()
        more = self._status() if status else ()
        return drd_line(counter % _COUNTER_RANGE + 1, self._padded(self._display()), more)

    def sd_free(self) -> int:
        """Return the room on the card in MB."""
        if Fault.FULL_CARD in self.faults:
            return 0
        return self._store.free_mb(self.config.sd_total_mb)

    def would_overwrite(self) -> bool:
        """Tell whether the next measurement would overwrite stored data."""
        mode = "Manual" if self.settings["store mode"] == "Manual" else "Auto"
        return self._store.exists(mode, self.settings["store name"])

    def battery(self) -> str:
        """Return the word for the battery's level."""
        return _EMPTY if Fault.EMPTY_BATTERY in self.faults else self.battery_level

    def _status(self) -> tuple[str, ...]:
        """Return what `DRD?status` appends."""
        return (
            f"{self._clock.now():%Y/%m/%d %H:%M:%S}",
            self.config.power_source,
            _BATTERY_LETTERS.get(self.battery(), "M"),
            str(self.sd_free()),
            "M" if self._measuring else "S",
        )

    def _display(self) -> list[Channel]:
        """Return what the channels in use show."""
        percentiles = [float(self.settings[f"percentile {slot}"]) for slot in range(1, 6)]
        shown = []
        for index, channel in enumerate(self._channels):
            levels = channel.quantities(percentiles)
            over = self.over if index == 0 and self.over is not None else channel.lp > _OVERLOAD
            under = (
                self.under if index == 0 and self.under is not None else channel.lp < _UNDER_RANGE
            )
            values = [
                None if name in self.config.hidden else levels.get(name) for name in QUANTITIES
            ]
            shown.append(Channel(values, over, under))
        return shown

    @staticmethod
    def _padded(channels: list[Channel]) -> list[Channel]:
        """Return four channels, whatever is in use."""
        return channels + [UNUSED] * (len(CHANNELS) - len(channels))

    # Faults

    def _gate_store(self) -> None:
        """Let the files grow only when they can."""
        self.advance()
        if self._paused or Fault.FULL_CARD in self.faults:
            self._store.hold(self._at)
        else:
            self._store.go_on(self._at)

    def _fault_changed(self, fault: Fault) -> None:
        """Do what a fault means for the meter itself."""
        if fault is Fault.WRONG_CLOCK:
            self.clock_offset = self.faults.seconds(fault) or 0.0
        elif fault is Fault.FULL_CARD:
            self._gate_store()
        self.fault_heard(fault)
