"""What belongs to one configured meter while it is loaded."""

from dataclasses import dataclass

from homeassistant.config_entries import ConfigEntry

from .coordinator import Nl43Coordinator


@dataclass(frozen=True, slots=True)
class Nl43Runtime:
    """The rooms of one meter that others need."""

    coordinator: Nl43Coordinator


type Nl43ConfigEntry = ConfigEntry[Nl43Runtime]
