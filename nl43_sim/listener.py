"""A listening port that can also refuse, or let connects hang."""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
import socket
from typing import Final

_BACKLOG: Final = 64
_FILLERS: Final = 3
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Door(Enum):
    """What a connect meets."""

    OPEN = auto()
    REFUSING = auto()
    HANGING = auto()


class Listener:
    """A port that keeps its number whatever its door does."""

    def __init__(self, host: str, port: int, accepted: Callable[[socket.socket], None]) -> None:
        """Take the address and who gets the connections."""
        self._host = host
        self.port = port
        self._accepted = accepted
        self._socket: socket.socket | None = None
        self._fillers: list[socket.socket] = []
        self._door = Door.REFUSING

    def open(self, door: Door) -> None:
        """Take the port; raises OSError when somebody else has it."""
        self._door = door
        self._bind()

    def turn(self, door: Door) -> None:
        """Change what a connect meets from now on."""
        if self._socket is None or door is self._door:
            return
        self._unbind()
        self.open(door)

    def close(self) -> None:
        """Give the port up."""
        self._unbind()

    def _bind(self) -> None:
        """Bind a socket and do with it what the door says."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((self._host, self.port))
            self.port = sock.getsockname()[1]
            # Bound but not listening, a port refuses and yet stays ours.
            if self._door is not Door.REFUSING:
                sock.listen(_BACKLOG if self._door is Door.OPEN else 0)
        except OSError as error:
            sock.close()
            where = f"cannot listen on {self._host} port {self.port}"
            raise OSError(error.errno, f"{where}: {error.strerror}") from error
        self._socket = sock
        if self._door is Door.OPEN:
            asyncio.get_running_loop().add_reader(sock, self._accept)
        elif self._door is Door.HANGING:
            self._fill(family)

    def _unbind(self) -> None:
        """Close the socket."""
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()
        if self._socket is not None:
            if self._door is Door.OPEN:
                asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _fill(self, family: socket.AddressFamily) -> None:
        """Fill the queue of a socket that accepts nothing: the kernel drops further connects."""
        for _ in range(_FILLERS):
            filler = socket.socket(family, socket.SOCK_STREAM)
            filler.settimeout(0)
            filler.connect_ex((_ANY.get(self._host, self._host), self.port))
            self._fillers.append(filler)

    def _accept(self) -> None:
        """Hand a new connection on."""
        if self._socket is None:
            return
        try:
            connection, _ = self._socket.accept()
        except OSError:
            return
        connection.settimeout(0)
        self._accepted(connection)
