"""The one family of errors that talking to a meter can end in."""

from typing import Self


class RionError(Exception):
    """Base of every error of this package; its text never holds a secret."""

    # Whether it is certain that the command never left: then there is nothing to ask about it.
    unsent = False

    def of_unsent(self) -> Self:
        """Return this error anew, for a command that was not sent because of it."""
        error = type(self).__new__(type(self), *self.args)
        error.__dict__.update(self.__dict__)
        error.unsent = True
        return error


class UnreachableError(RionError):
    """No connection came about: time-out, no route, or a host name nobody knows."""


class RefusedError(RionError):
    """The meter's address answered, its control port refused the connection."""


class NoAnswerError(RionError):
    """The connection stands, but no whole answer came in time."""


class ClosedError(RionError):
    """The connection was closed before the answer was whole, or this client is closed."""


class DesyncError(RionError):
    """What came does not fit the question: it is never taken for a value."""


class WrongMeterError(RionError):
    """Another meter than the expected one answers at this address."""

    def __init__(self, expected: str, found: str) -> None:
        """Keep both serial numbers for the message."""
        super().__init__(f"serial number {found} answers instead of {expected}")
        self.expected = expected
        self.found = found


class ResultError(RionError):
    """The meter answered, in step, that it will not do it (R+0001 to R+0004)."""

    code: str

    def __init__(self, command: str) -> None:
        """Name the command that was answered so."""
        super().__init__(f"{command!r} was answered with {self.code}")
        self.command = command


class CommandError(ResultError):
    """R+0001: the meter does not know this command."""

    code = "R+0001"


class ParameterError(ResultError):
    """R+0002: the meter does not take this value."""

    code = "R+0002"


class SpecificationError(ResultError):
    """R+0003: not in this meter's specification (an option that is not installed)."""

    code = "R+0003"


class StateError(ResultError):
    """R+0004: not in the meter's present state (asleep, already so, not measuring)."""

    code = "R+0004"


class FtpError(RionError):
    """The meter's FTP server did not do what was asked."""


class FtpUnreachableError(FtpError):
    """No connection to the FTP port: time-out, no route, or a refusal (FTP is off)."""


class FtpNotFoundError(FtpError):
    """The card has no such file or folder (550)."""


class FtpLoginError(FtpError):
    """The FTP server does not take this user name and password (530)."""


class FtpDataError(FtpError):
    """The data connection never came: active mode through NAT or a container network."""


class StoredError(RionError):
    """A stored file cannot be read; its text says why."""
