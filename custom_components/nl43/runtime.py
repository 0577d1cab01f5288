"""What belongs to one configured meter while it is loaded."""

from dataclasses import dataclass

from homeassistant.config_entries import ConfigEntry

from .coordinator import Nl43Coordinator
from .files import Nl43Files
from .measurement import MeasurementStart
from .recent import RecentFrames


@dataclass(frozen=True, slots=True)
class Nl43Runtime:
    """The rooms of one meter that others need."""

    coordinator: Nl43Coordinator
    files: Nl43Files
    start: MeasurementStart
    recent: RecentFrames


type Nl43ConfigEntry = ConfigEntry[Nl43Runtime]
