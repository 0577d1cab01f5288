"""Bytes to lines and back: the framing of Rion's TCP control protocol, with no I/O.

Source of the facts: Communication Guide No. 66132 and the recorded payloads.
"""

import re
from typing import Final

from .errors import (
    CommandError,
    DesyncError,
    ParameterError,
    ResultError,
    SpecificationError,
    StateError,
)

LINE_END: Final = b"\r\n"
PROMPT: Final = "$"
# Ends a stream (DRD?); a lone byte, no line.
SUBSTITUTE: Final = b"\x1a"
# A DOD line has about 350 characters, a few thousand with every band of NX-43RT.
MAX_LINE: Final = 8192
MAX_COMMAND: Final = 100

_COMMAND: Final = re.compile(r"[A-Za-z][ -~]*")
_RESULT: Final = re.compile(r"R\+([0-9]{4})")
_REFUSALS: Final[dict[str, type[ResultError]]] = {
    error.code: error for error in (CommandError, ParameterError, SpecificationError, StateError)
}


def encode(command: str) -> bytes:
    """Return the bytes of one command line; ValueError if it cannot be one."""
    if len(command) > MAX_COMMAND or not _COMMAND.fullmatch(command):
        msg = f"not a command line: {command!r}"
        raise ValueError(msg)
    return command.encode("ascii") + LINE_END


class LineDecoder:
    """Cuts arriving bytes into lines, of bounded length, without their prompts."""

    def __init__(self) -> None:
        """Start with nothing waiting."""
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that are whole now; DesyncError when one is too long.

        Lines that are nothing but a prompt are no lines. Bytes outside ASCII become
        U+FFFD, which fits no form, so that they cannot end up in a value.
        """
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE or any(len(raw) > MAX_LINE for raw in whole):
            self.clear()
            msg = f"a line of more than {MAX_LINE} bytes"
            raise DesyncError(msg)
        lines = (raw.removesuffix(b"\r").decode("ascii", "replace").lstrip(PROMPT) for raw in whole)
        return [line for line in lines if line.strip(" ")]

    def clear(self) -> None:
        """Forget an unfinished line."""
        self._rest = b""


def is_result(line: str) -> bool:
    """Tell whether a line has the form of a result code (R+0000)."""
    return _RESULT.fullmatch(line.strip(" ")) is not None


def check_result(line: str, command: str) -> None:
    """Return if a result line says done; raise what it says instead.

    ResultError for R+0001 to R+0004, DesyncError for a code that nobody documents.
    """
    code = line.strip(" ")
    if code == "R+0000":
        return
    if refusal := _REFUSALS.get(code):
        raise refusal(command)
    msg = f"{command!r} was answered with {code!r}"
    raise DesyncError(msg)
