"""What the tests of alarms share: the sound at a meter, and automations that hear it."""

from dataclasses import dataclass, field
from typing import Any, Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.nl43.coordinator import Nl43Coordinator
from custom_components.nl43.facts import MeterData
from custom_components.nl43.rion import QUANTITIES
from nl43_sim import SimulatedMeter

from .waiting import until

VARIABLES: Final = (
    "id", "description", "device", "device_id", "entity", "entity_id", "quantity", "symbol",
    "limit", "direction", "value", "onset_value", "peak", "mean", "started", "ended", "length",
    "overload", "under_range",
)  # fmt: skip
HEARD: Final = {name: f"{{{{ trigger.{name} }}}}" for name in VARIABLES}
_NOT_IN_USE: Final = "  -.-," * 14 + "-,-"


def dod_line(over: int = 0, under: int = 0, **levels: float | None) -> str:
    """Return what a meter sends that shows these levels and no others; Sub channels not in use."""
    shown = (levels.get(quantity) for quantity in QUANTITIES)
    main = ",".join("  -.-" if level is None else f"{level:5.1f}" for level in shown)
    return f"{main},{over},{under}," + ",".join([_NOT_IN_USE] * 3)


@dataclass
class Sound:
    """The sound at a simulated meter, on a clock of its own."""

    sim: SimulatedMeter
    frames: list[MeterData] = field(default_factory=list)
    now: float = 0.0

    @callback
    def read(self, frame: MeterData) -> None:
        """Note a frame that was read."""
        self.frames.append(frame)

    async def is_at(self, at: float, line: str, **levels: float | None) -> None:
        """Let the clock show so many seconds and the meter send a line, until it is read."""
        self.now = at
        self.sim.replay_frames([line])
        await self.is_read(**levels)

    async def is_read(self, **levels: float | None) -> None:
        """Wait for a frame that shows these levels, read after this call."""
        self.frames.clear()

        def has_come() -> bool:
            return any(
                all(frame.reading.main.level(name) == level for name, level in levels.items())
                for frame in self.frames
            )

        await until(has_come)

    async def plays(
        self, series: str, quantity: str = "lp", *, over: int = 0, under: int = 0
    ) -> None:
        """Play levels at seconds, such as `80@0 86@1`; `-` is no value."""
        for step in series.split():
            text, _, at = step.partition("@")
            levels = {quantity: None if text == "-" else float(text)}
            await self.is_at(float(at), dod_line(over, under, **levels), **levels)


async def weightings_are_known(entry: MockConfigEntry) -> None:
    """Wait until Lp is LAS: until then it is called Lp."""
    poller: Nl43Coordinator = entry.runtime_data.coordinator
    await until(lambda: poller.data.symbol("lp") == "LAS")


def limit_trigger(event: str, device_id: str, **options: Any) -> dict[str, Any]:
    """Return a trigger of an automation: `limit_exceeded` or `limit_cleared`, by default of Lp."""
    return {
        "id": event,
        "trigger": f"nl43.{event}",
        "target": {"device_id": device_id},
        "options": {"quantity": "lp", "limit": 85, **options},
    }


async def automate(hass: HomeAssistant, *triggers: dict[str, Any], **automation: Any) -> None:
    """Set an automation up; by itself it fires the event `heard` with its trigger variables."""
    config = {
        "id": "alarm",
        "alias": "Alarm",
        "mode": "parallel",
        "max": 100,
        "triggers": list(triggers),
        "actions": [{"event": "heard", "event_data": HEARD}],
        **automation,
    }
    assert await async_setup_component(hass, "automation", {"automation": [config]})
    await hass.async_block_till_done()
