"""A meter's verbs: typed questions and settings over its one connection."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from .connection import Connection, Greeting, Priority
from .dod import Reading
from .errors import CommandError, ResultError, SpecificationError, WrongMeterError
from .vocabulary import CLOCK, FINAL_RESULT, MANUAL_STORE, READING, SERIAL_NUMBER, Command, Setting

PORT: Final = 2255


class Meter:
    """One NL-43 or NL-53 at an address.

    Every verb raises a RionError: UnreachableError, RefusedError, NoAnswerError or ClosedError
    for the connection, DesyncError for an answer that does not fit, a ResultError for a refusal,
    WrongMeterError when another meter answers at the address.
    """

    def __init__(self, host: str, port: int = PORT, *, serial: str | None = None) -> None:
        """Prepare for the meter with this serial number, or for whichever answers."""
        self.serial = serial
        self.lacking: dict[str, ResultError] = {}
        self.connection = Connection(
            host, port, greeting=Greeting(SERIAL_NUMBER.request, self._meet)
        )

    def _meet(self, text: str) -> None:
        """Hold the serial number against the expected one: an address can change hands."""
        found = SERIAL_NUMBER.parse(text)
        if self.serial is not None and found != self.serial:
            raise WrongMeterError(self.serial, found)
        self.serial = found

    async def ask[T](self, command: Command[T], priority: Priority = Priority.PERSON) -> T:
        """Return the meter's answer to one question.

        What it lacks (R+0001, R+0003) is learnt, and refused from then on without asking.
        """
        if refusal := self.lacking.get(command.name):
            # A new one each time: one error raised again and again would grow by a traceback.
            raise type(refusal)(refusal.command)
        try:
            return await self.connection.ask(
                command.request, command.parse, priority, stream=command.stream
            )
        except (CommandError, SpecificationError) as err:
            # The greeting of a new socket may have been refused in its place.
            if command is not READING and err.command == command.request:
                self.lacking[command.name] = err
            raise

    async def set[T](
        self,
        setting: Setting[T],
        value: T,
        priority: Priority = Priority.PERSON,
    ) -> None:
        """Set one thing, sent once; ParameterError or StateError if the meter will not."""
        await self.connection.tell(f"{setting.name},{setting.word(value)}", priority)

    async def set_clock(
        self, local: Callable[[], datetime], priority: Priority = Priority.PERSON
    ) -> None:
        """Set the clock, a local time in whole seconds, to what `local` gives when it is sent."""

        def setting() -> str:
            return f"{CLOCK.name},{CLOCK.word(local())}"

        await self.connection.tell(setting(), priority, late=setting)

    async def reading(self, priority: Priority = Priority.READING) -> Reading:
        """Return the displayed values, levels in dB (DOD?)."""
        return await self.ask(READING, priority)

    async def final_result(self, priority: Priority = Priority.PERSON) -> Reading:
        """Return the final result of the last measurement, levels in dB (DLC?)."""
        return await self.ask(FINAL_RESULT, priority)

    async def store(self, priority: Priority = Priority.PERSON) -> None:
        """Store the displayed values (Manual Store); StateError where there are none.

        There is no question about it: only doing it tells a meter that lacks it.
        """
        command = f"{MANUAL_STORE},Start"
        try:
            await self.connection.tell(command, priority)
        except (CommandError, SpecificationError) as err:
            if err.command == command:
                self.lacking[MANUAL_STORE] = err
            raise

    async def close(self) -> None:
        """Give the connection up; commands that wait end with ClosedError."""
        await self.connection.close()
