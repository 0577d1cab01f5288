"""What belongs to one configured meter while it is loaded."""

from dataclasses import dataclass

from homeassistant.config_entries import ConfigEntry

from .coordinator import Nl43Coordinator
from .files import Nl43Files


@dataclass(frozen=True, slots=True)
class Nl43Runtime:
    """The rooms of one meter that others need."""

    coordinator: Nl43Coordinator
    files: Nl43Files


type Nl43ConfigEntry = ConfigEntry[Nl43Runtime]
