"""The frames of the last minutes, in memory: a chart is full when it opens."""

from collections import deque
from datetime import timedelta
from typing import Final

from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.util import dt as dt_util

from .facts import MeterData
from .watch import frame_signal

MAX_AGE: Final = timedelta(minutes=10)
# The meter gives no more than one frame a second.
MAX_FRAMES: Final = 600


class RecentFrames:
    """Keeps a meter's frames while it is loaded."""

    def __init__(self) -> None:
        """Begin without a frame."""
        self._frames: deque[MeterData] = deque(maxlen=MAX_FRAMES)

    @callback
    def async_start(self, hass: HomeAssistant, entry_id: str) -> CALLBACK_TYPE:
        """Keep every frame from now on, until what is returned is called."""
        return async_dispatcher_connect(hass, frame_signal(entry_id), self._keep)

    @callback
    def _keep(self, frame: MeterData) -> None:
        """Keep a frame, in the order in which they are read."""
        self._frames.append(frame)

    def frames(self) -> list[MeterData]:
        """Return the frames that are not too old, the oldest first."""
        begin = dt_util.utcnow() - MAX_AGE
        return [frame for frame in self._frames if frame.at is not None and frame.at >= begin]
