"""Limits that are armed: each is judged at every frame, and who armed it hears what happens."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
import math
from time import monotonic, time
from typing import Any, Final

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_send
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN, LOGGER
from .facts import MeterData
from .limit import Limit, async_limit_now
from .rion.limits import Change, Exceedance, Frame, LimitWatch, Phase
from .rion.notation import LEVEL_KEYS
from .watch import async_watch

# Seconds that an entity may need to have its state, at the start of Home Assistant say.
PATIENCE: Final = 60.0

type AlarmListener = Callable[[Alarm], None]


def alarm_signal(entry_id: str) -> str:
    """Return the signal that carries each alarm of an entry's meter."""
    return f"{DOMAIN}_alarm_{entry_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A beginning or an end of an exceedance of a meter's level."""

    phase: Phase
    limit: Limit
    symbol: str
    exceedance: Exceedance
    started: datetime

    def as_dict(self) -> dict[str, Any]:
        """Return what there is to tell: levels in dB to one decimal, the length in seconds."""
        exceedance = self.exceedance
        ended = self.started + timedelta(seconds=exceedance.length)
        return {
            "quantity": self.limit.quantity,
            "symbol": self.symbol,
            "limit": round(exceedance.limit, 1),
            "direction": self.limit.rule.direction.value,
            "value": exceedance.value,
            "onset_value": exceedance.onset_value,
            "peak": exceedance.peak,
            "mean": round(exceedance.mean, 1),
            "started": self.started,
            "ended": None if self.phase is Phase.EXCEEDED else ended,
            "length": round(exceedance.length, 1),
            "overload": exceedance.overload,
            "under_range": exceedance.under_range,
        }


class _ArmedLimit:
    """One limit of one meter; several automations may have armed it."""

    def __init__(self, hass: HomeAssistant, entry_id: str, limit: Limit) -> None:
        """Begin to judge; the meter is read live meanwhile."""
        self.listeners: list[AlarmListener] = []
        self._hass = hass
        self._entry_id = entry_id
        self._limit = limit
        self._channel, self._quantity = LEVEL_KEYS[limit.quantity]
        self._watch = LimitWatch(limit.rule)
        self._without_limit_since: float | None = None
        self.disarm = async_watch(hass, entry_id, self._judge)

    @callback
    def _judge(self, data: MeterData) -> None:
        """Judge a frame."""
        entry = self._hass.config_entries.async_get_entry(self._entry_id)
        if entry is None or entry.state is not ConfigEntryState.LOADED:
            # Until its entities are there, nobody would record what happens.
            return
        now = monotonic()
        if not self._limit.window.holds(dt_util.now()):
            change = self._watch.lift(now)
        elif (frame := self._frame(data, now)) is not None:
            change = self._watch.feed(frame, data.interval)
        else:
            # No value neither begins nor ends anything.
            return
        if change is not None:
            self._tell(change, data, now)

    def _frame(self, data: MeterData, now: float) -> Frame | None:
        """Return the level beside its limit, None where one of them has no value."""
        channel = data.reading.channel(self._channel)
        level, limit = channel.level(self._quantity), self._limit_now(now)
        if level is None or limit is None:
            return None
        return Frame(
            at=now,
            level=level,
            limit=limit,
            overload=channel.over is True,
            under_range=channel.under is True,
        )

    @callback
    def as_dict(self) -> dict[str, Any] | None:
        """Return what there is to draw; None while the limit does not hold or has no number."""
        limit = async_limit_now(self._hass, self._limit.value)
        if limit is None or not self._limit.window.holds(dt_util.now()):
            return None
        since = self._watch.exceeded_since
        return {
            "quantity": self._limit.quantity,
            "limit": limit,
            "direction": self._limit.rule.direction.value,
            "exceeded_since": None if since is None else round(time() - monotonic() + since, 1),
        }

    def _limit_now(self, now: float) -> float | None:
        """Return the limit in dB; that it has had none for long is told once: it is a mistake."""
        limit = async_limit_now(self._hass, self._limit.value)
        if limit is not None:
            self._without_limit_since = None
        elif self._without_limit_since is None:
            self._without_limit_since = now
        elif now - self._without_limit_since >= PATIENCE:
            self._without_limit_since = math.inf
            LOGGER.warning(
                "%s has no number for a limit of %s: it is not judged until it has",
                self._limit.value,
                self._limit.quantity,
            )
        return limit

    def _tell(self, change: Change, data: MeterData, now: float) -> None:
        """Tell who has armed it, and who keeps the records."""
        exceedance = change.exceedance
        alarm = Alarm(
            phase=change.phase,
            limit=self._limit,
            symbol=data.symbol(self._limit.quantity),
            exceedance=exceedance,
            started=dt_util.utcnow() - timedelta(seconds=now - exceedance.start),
        )
        async_dispatcher_send(self._hass, alarm_signal(self._entry_id), alarm)
        for tell in list(self.listeners):
            try:
                tell(alarm)
            except Exception:  # noqa: BLE001 - one automation's mistake is not the others' silence
                LOGGER.exception("An automation could not be told of %s", alarm)


_ARMED: Final[HassKey[dict[tuple[str, Limit], _ArmedLimit]]] = HassKey(f"{DOMAIN}_armed")


@callback
def async_arm(
    hass: HomeAssistant, entry_id: str, limit: Limit, listener: AlarmListener
) -> CALLBACK_TYPE:
    """Have a limit of a meter judged at every frame, and its alarms told; also over reloads.

    The same limit armed twice is one: it is recorded once, and both hear of the same exceedance.
    """
    armed_limits = hass.data.setdefault(_ARMED, {})
    key = (entry_id, limit)
    if (armed := armed_limits.get(key)) is None:
        armed = armed_limits[key] = _ArmedLimit(hass, entry_id, limit)
    armed.listeners.append(listener)

    @callback
    def disarm() -> None:
        armed.listeners.remove(listener)
        if not armed.listeners:
            armed.disarm()
            del armed_limits[key]

    return disarm


@callback
def async_armed_limits(hass: HomeAssistant, entry_id: str) -> list[dict[str, Any]]:
    """Return the limits that hold for a meter now, and since when they have been exceeded."""
    armed_limits = hass.data.get(_ARMED, {})
    drawn = (armed.as_dict() for (meter, _), armed in armed_limits.items() if meter == entry_id)
    return [limit for limit in drawn if limit is not None]
