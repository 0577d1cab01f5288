"""What the clients did: commands, connections, and where they broke the meter's rules."""

from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import time
from typing import Final

# An hour at one command a second, several times over.
_COMMANDS_KEPT: Final = 20_000
_VIOLATIONS_KEPT: Final = 10_000
_RETRIEVALS_KEPT: Final = 20_000


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule of the meter that a client broke, and when (monotonic clock)."""

    kind: str
    detail: str
    at: float


@dataclass(frozen=True, slots=True)
class Command:
    """A command line, when its first byte came and when its answer was written (monotonic)."""

    received: float
    line: str
    answered: float | None


@dataclass(slots=True)
class CommandEntry:
    """A command whose answer may still be to come."""

    received: float
    line: str
    answered: float | None = None


class Ledger:
    """Everything noted about the clients of one meter."""

    def __init__(self) -> None:
        """Start with nothing noted."""
        self._violations: deque[Violation] = deque(maxlen=_VIOLATIONS_KEPT)
        self._entries: deque[CommandEntry] = deque(maxlen=_COMMANDS_KEPT)
        self._kinds: Counter[str] = Counter()
        self.commands_received = 0
        self.commands_answered = 0
        self.connections_opened = 0
        self.connections_open = 0
        self.ftp_sessions_opened = 0
        self._ftp_sessions_open = 0
        self.ftp_sessions_at_once = 0
        self._retrievals: deque[str] = deque(maxlen=_RETRIEVALS_KEPT)
        self.last_answered: float | None = None

    @property
    def violations(self) -> list[Violation]:
        """Return the violations, oldest first."""
        return list(self._violations)

    @property
    def commands(self) -> list[Command]:
        """Return the commands, oldest first."""
        return [Command(entry.received, entry.line, entry.answered) for entry in self._entries]

    @property
    def retrievals(self) -> list[str]:
        """Return the paths of the files that were asked for by FTP, oldest first."""
        return list(self._retrievals)

    @contextmanager
    def ftp_session(self) -> Iterator[None]:
        """Note an FTP session and its end."""
        self.ftp_sessions_opened += 1
        self._ftp_sessions_open += 1
        self.ftp_sessions_at_once = max(self.ftp_sessions_at_once, self._ftp_sessions_open)
        try:
            yield
        finally:
            self._ftp_sessions_open -= 1

    def retrieved(self, path: str) -> None:
        """Note that a file is sent by FTP."""
        self._retrievals.append(path)

    def violate(self, kind: str, detail: str) -> None:
        """Note a violation."""
        self._violations.append(Violation(kind, detail, time.monotonic()))
        self._kinds[kind] += 1

    def received(self, line: str, at: float) -> CommandEntry:
        """Note a command."""
        entry = CommandEntry(at, line)
        self._entries.append(entry)
        self.commands_received += 1
        return entry

    def answered(self, entry: CommandEntry, at: float) -> None:
        """Note that a command's answer was written."""
        # A stream answers its command many times over.
        self.commands_answered += entry.answered is None
        entry.answered = self.last_answered = at

    def report(self) -> str:
        """Say in plain words what happened."""
        lines = [
            f"  commands: {self.commands_received} received, {self.commands_answered} answered",
            f"  connections: {self.connections_opened} opened, {self.connections_open} open",
            f"  FTP sessions: {self.ftp_sessions_opened}, {self.ftp_sessions_at_once} at once",
            f"  violations: {self._kinds.total()}",
        ]
        lines += [f"    {kind}: {count}" for kind, count in sorted(self._kinds.items())]
        return "\n".join(lines)
