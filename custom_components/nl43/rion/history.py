"""What a connection has done: for diagnostics, and for fixtures made from them."""

from collections import deque
from dataclasses import dataclass, field
import logging
from typing import Final

HISTORY: Final = 60
_LOGGER: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One command and what came of it, raw, for diagnostics and fixtures.

    `at` is when it ended (UTC), `seconds` how long it took from sending to the answer.
    """

    at: str
    command: str
    lines: tuple[str, ...]
    seconds: float
    error: str | None


@dataclass(slots=True)
class Statistics:
    """What a connection has done since it was made."""

    connects: int = 0
    commands: int = 0
    errors: int = 0
    last: dict[str, Exchange] = field(default_factory=dict)
    recent: deque[Exchange] = field(default_factory=lambda: deque(maxlen=HISTORY))

    def add(self, exchange: Exchange) -> None:
        """Count an exchange, and keep it as the last of its command."""
        _LOGGER.debug("%s", exchange)
        self.commands += 1
        self.errors += exchange.error is not None
        name = exchange.command.partition(",")[0]
        self.last[name] = exchange
        self.recent.append(exchange)
