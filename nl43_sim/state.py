"""What the state of a simulated meter is made of, and who hears of its changes."""

from collections import UserDict
from collections.abc import Callable, Mapping


class Settings(UserDict[str, str]):
    """The meter's settings by their command names, in any case; changes are heard."""

    def __init__(self, initial: Mapping[str, str], changed: Callable[[str], None]) -> None:
        """Take the settings; `changed` hears the name of each one that changes."""
        super().__init__()
        self._changed: Callable[[str], None] = lambda _name: None
        self.update(initial)
        self._changed = changed

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a setting of a name."""
        return isinstance(name, str) and name.lower() in self.data

    def __getitem__(self, name: str) -> str:
        """Return the word a setting has."""
        return self.data[name.lower()]

    def __setitem__(self, name: str, word: str) -> None:
        """Change a setting."""
        self.data[name.lower()] = word
        self._changed(name.lower())
