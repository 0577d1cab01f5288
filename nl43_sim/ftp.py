"""The FTP service: active mode only, read only."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
import socket
from typing import Final

from .card import File, Folder, split_path
from .faults import Fault
from .ledger import Ledger
from .machine import Machine

_LINE_LIMIT: Final = 1024
_CHUNK: Final = 65_536
# Seconds between two parts of a file that is held back.
_TICK: Final = 0.1
_PORT_FIELDS: Final = 6
_EPRT_FIELDS: Final = 5
_HIGHEST_PORT: Final = 65_535

type _Verb = Callable[["_Session", str], Awaitable[None]]


class FtpService:
    """Takes the sessions and ends them."""

    def __init__(self, machine: Machine, ledger: Ledger) -> None:
        """Serve a machine's card."""
        self.machine = machine
        self.ledger = ledger
        self._tasks: set[asyncio.Task[None]] = set()
        self.reachable = asyncio.Event()
        self.reachable.set()

    def accept(self, sock: socket.socket) -> None:
        """Take a connection from the listener."""
        # Started at once: a task cancelled before its first step would not close the socket.
        task = asyncio.get_running_loop().create_task(self._serve(sock), eager_start=True)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cut(self) -> None:
        """End all sessions."""
        for task in self._tasks:
            task.cancel()

    def freeze(self, *, on: bool) -> None:
        """Stop or go on answering, as when the network is gone."""
        if on:
            self.reachable.clear()
        else:
            self.reachable.set()

    async def close(self) -> None:
        """End all sessions and wait for it."""
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, sock: socket.socket) -> None:
        """Run a session to its end."""
        with self.ledger.ftp_session():
            # ftplib sends ABOR's last byte out of band.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
            reader, writer = await asyncio.open_connection(sock=sock, limit=_LINE_LIMIT)
            session = _Session(self, reader, writer)
            try:
                await session.run()
            except OSError, ValueError:
                # The client is gone, or sent a line without an end.
                pass
            finally:
                writer.transport.abort()
                await session.abort()


class _Session:
    """One client's session."""

    def __init__(
        self, service: FtpService, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Begin without a login."""
        self._service = service
        self._machine = service.machine
        self._reader = reader
        self._writer = writer
        self._peer: str = writer.get_extra_info("peername")[0]
        self._user = ""
        self._logged_in = False
        self._folder = "/"
        self._client: tuple[str, int] | None = None
        self._restart = 0
        self._transfer: asyncio.Task[None] | None = None
        self._open = True

    async def run(self) -> None:
        """Greet and answer until the client leaves."""
        await self._reply("220 FTP Server Ready")
        while self._open:
            raw = await self._reader.readline()
            if not raw.endswith(b"\n"):
                return
            # Telnet's interrupt and synch may come before ABOR.
            text = raw.lstrip(b"\xff\xf4\xf2").decode("utf-8", "replace").rstrip("\r\n")
            verb, _, argument = text.partition(" ")
            verb = verb.upper()
            if verb not in _OUT_OF_TURN and self._transfer is not None:
                await asyncio.wait([self._transfer])
            if verb not in _VERBS:
                await self._reply("502 Not Implemented")
            elif not self._logged_in and verb not in _BEFORE_LOGIN:
                await self._reply("530 Not logged in")
            else:
                await _VERBS[verb](self, argument)

    async def abort(self) -> bool:
        """End the running transfer; tell whether there was one."""
        transfer, self._transfer = self._transfer, None
        if transfer is None or transfer.done():
            return False
        transfer.cancel()
        await asyncio.wait([transfer])
        return True

    async def _reply(self, line: str) -> None:
        """Send a reply, if the network lets it through."""
        await self._service.reachable.wait()
        self._writer.write(f"{line}\r\n".encode())
        await self._writer.drain()

    # Login

    async def do_user(self, argument: str) -> None:
        """Take the user's name."""
        self._user, self._logged_in = argument, False
        await self._reply("331 Password required")

    async def do_pass(self, argument: str) -> None:
        """Check the password."""
        config = self._machine.config
        right = (self._user, argument) == (config.ftp_user, config.ftp_password)
        self._logged_in = right and not self._machine.faults.strike(Fault.FTP_LOGIN)
        await self._reply("230 Login OK" if self._logged_in else "530 Login Fail")

    async def do_quit(self, _argument: str) -> None:
        """End the session."""
        self._open = False
        await self._reply("221 Goodbye")

    # Small talk

    async def do_syst(self, _argument: str) -> None:
        """Name the system."""
        await self._reply("215 UNIX Type: L8")

    async def do_ok(self, _argument: str) -> None:
        """Accept what changes nothing."""
        await self._reply("200 OK")

    async def do_denied(self, _argument: str) -> None:
        """Refuse what would change the card."""
        await self._reply("550 Permission denied")

    async def do_rest(self, argument: str) -> None:
        """Take where the next transfer begins."""
        if not _is_number(argument):
            await self._reply("501 Syntax error")
            return
        self._restart = int(argument)
        await self._reply(f"350 Restarting at {self._restart}")

    async def do_abor(self, _argument: str) -> None:
        """Abort the running transfer."""
        if await self.abort():
            await self._reply("426 Transfer aborted")
        await self._reply("226 ABOR command successful")

    # Folders

    def _path(self, argument: str) -> str:
        """Return the absolute path of an argument."""
        path = argument if argument.startswith("/") else f"{self._folder}/{argument}"
        return "/" + "/".join(split_path(path))

    async def do_pwd(self, _argument: str) -> None:
        """Name the folder."""
        await self._reply(f'257 "{self._folder}" is current directory')

    async def do_cwd(self, argument: str) -> None:
        """Change the folder."""
        path = self._path(argument)
        if not isinstance(self._machine.card.find(path), Folder):
            await self._reply("550 No such directory")
            return
        self._folder = path
        await self._reply("250 CWD command successful")

    async def do_cdup(self, _argument: str) -> None:
        """Go up a folder."""
        await self.do_cwd("..")

    async def do_size(self, argument: str) -> None:
        """Tell a file's size."""
        node = self._machine.card.find(self._path(argument))
        if isinstance(node, File):
            await self._reply(f"213 {node.content.size}")
        else:
            await self._reply("550 No such file")

    # Transfers

    async def do_port(self, argument: str) -> None:
        """Take the client's data address."""
        fields = argument.split(",")
        if len(fields) != _PORT_FIELDS or not all(map(_is_number, fields)):
            await self._reply("501 Syntax error")
            return
        await self._take_address(".".join(fields[:4]), int(fields[4]) * 256 + int(fields[5]))

    async def do_eprt(self, argument: str) -> None:
        """Take the client's data address in the long form."""
        fields = argument.split(argument[:1] or "|")
        if len(fields) != _EPRT_FIELDS or not _is_number(fields[3]):
            await self._reply("501 Syntax error")
            return
        await self._take_address(fields[2], int(fields[3]))

    async def _take_address(self, host: str, port: int) -> None:
        """Note the data address; only the client itself is called back."""
        if host != self._peer or not 0 < port <= _HIGHEST_PORT:
            await self._reply("500 Illegal PORT command")
            return
        self._client = (host, port)
        await self._reply("200 PORT command successful")

    async def do_list(self, argument: str) -> None:
        """Send a listing in Unix style."""
        year = self._machine.clock.now().year
        await self._send_names(argument, lambda node: _unix_line(node, year))

    async def do_nlst(self, argument: str) -> None:
        """Send the names."""
        await self._send_names(argument, lambda node: node.name)

    async def _send_names(self, argument: str, form: Callable[[File | Folder], str]) -> None:
        """Send a line for each entry of a folder, or for a file."""
        words = argument.split(" ")
        while words and words[0].startswith("-"):
            del words[0]
        node = self._machine.card.find(self._path(" ".join(words)))
        if node is None:
            await self._reply("550 No such file or directory")
            return
        nodes = list(node.children.values()) if isinstance(node, Folder) else [node]
        data = "".join(f"{form(each)}\r\n" for each in nodes).encode()
        self._begin_transfer(lambda offset, length: data[offset : offset + length], len(data), 0)

    async def do_retr(self, argument: str) -> None:
        """Send a file, as much of it as there is now."""
        node = self._machine.card.find(self._path(argument))
        restart, self._restart = self._restart, 0
        if not isinstance(node, File):
            await self._reply("550 No such file")
            return
        self._service.ledger.retrieved(self._path(argument))
        self._begin_transfer(node.content.read, node.content.size, restart)

    def _begin_transfer(self, read: Callable[[int, int], bytes], size: int, start: int) -> None:
        """Send data while the session goes on listening."""
        transfer = self._send(read, size, start)
        self._transfer = asyncio.get_running_loop().create_task(transfer)

    async def _send(self, read: Callable[[int, int], bytes], size: int, start: int) -> None:
        """Call the client back and send data."""
        client, self._client = self._client, None
        if client is None:
            await self._reply("425 Use PORT first")
            return
        await self._reply("150 Opening data connection")
        writer: asyncio.StreamWriter | None = None
        rate = self._machine.config.ftp_rate
        largest = max(int(rate * _TICK), 1) if rate else _CHUNK
        try:
            if Fault.FTP_DATA_BLOCKED in self._machine.faults:
                await asyncio.sleep(self._machine.config.ftp_data_timeout)
                await self._reply("425 Can't open data connection")
                return
            _, writer = await asyncio.open_connection(*client)
            while start < size:
                await self._service.reachable.wait()
                chunk = read(start, min(largest, size - start))
                writer.write(chunk)
                await writer.drain()
                start += len(chunk)
                if rate:
                    await asyncio.sleep(len(chunk) / rate)
            writer.close()
            await writer.wait_closed()
        except OSError:
            stage = "425 Can't open data connection" if writer is None else "426 Transfer aborted"
            await self._reply(stage)
        else:
            await self._reply("226 Transfer complete")
        finally:
            if writer is not None:
                writer.transport.abort()


def _is_number(text: str) -> bool:
    """Tell whether a text is a number of plain digits."""
    return text.isascii() and text.isdigit()


def _unix_line(node: File | Folder, year: int) -> str:
    """Return a line of a Unix style listing."""
    when = node.modified()
    mode, size = ("-rw-rw-rw-", node.content.size) if isinstance(node, File) else ("drwxrwxrwx", 0)
    return f"{mode}   1 root     root     {size:>10} {_listed_time(when, year)} {node.name}"


def _listed_time(when: datetime, year: int) -> str:
    """Return a time as listed: of this year without the year, of others without the hour."""
    day = f"{_MONTHS[when.month - 1]} {when.day:02}"
    return f"{day} {when:%H:%M}" if when.year == year else f"{day} {when.year}"


# Not by strftime, which follows the locale.
_MONTHS: Final = (
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
)

_BEFORE_LOGIN: Final = {"USER", "PASS", "QUIT", "SYST", "NOOP"}
_OUT_OF_TURN: Final = {"ABOR", "QUIT", "NOOP"}

_VERBS: Final[dict[str, _Verb]] = {
    "USER": _Session.do_user,
    "PASS": _Session.do_pass,
    "QUIT": _Session.do_quit,
    "SYST": _Session.do_syst,
    "NOOP": _Session.do_ok,
    "TYPE": _Session.do_ok,
    "MODE": _Session.do_ok,
    "STRU": _Session.do_ok,
    "REST": _Session.do_rest,
    "ABOR": _Session.do_abor,
    "PWD": _Session.do_pwd,
    "XPWD": _Session.do_pwd,
    "CWD": _Session.do_cwd,
    "CDUP": _Session.do_cdup,
    "SIZE": _Session.do_size,
    "PORT": _Session.do_port,
    "EPRT": _Session.do_eprt,
    "LIST": _Session.do_list,
    "NLST": _Session.do_nlst,
    "RETR": _Session.do_retr,
    "DELE": _Session.do_denied,
    "RMD": _Session.do_denied,
    "MKD": _Session.do_denied,
    "STOR": _Session.do_denied,
    "RNFR": _Session.do_denied,
}
