"""A plain client: sockets and the standard library only, nothing of the integration."""

import asyncio
from collections.abc import Callable
import ftplib
import threading
from typing import Protocol, Self

from nl43_sim import SimulatedMeter

TIMEOUT = 2.0
FACTORY_PASSWORD = "0000"
QUIET = 0.15
"""Long enough for a wrong answer to come, at a latency of a few milliseconds."""


class Address(Protocol):
    """Whatever says where a meter listens."""

    @property
    def host(self) -> str:
        """The address."""

    @property
    def port(self) -> int:
        """The control port."""


class Client:
    """A control connection that shows what comes, byte for byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Use an open connection."""
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, sim: Address, port: int | None = None) -> Self:
        """Connect to a meter's control port, or to another."""
        async with asyncio.timeout(TIMEOUT):
            return cls(*await asyncio.open_connection(sim.host, port or sim.port))

    async def __aenter__(self) -> Self:
        """Use it."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            # The meter was the one to cut it.
            return

    def send(self, data: str | bytes) -> None:
        """Send a command line, or bytes as they are."""
        self.writer.write(data if isinstance(data, bytes) else f"{data}\r\n".encode())

    async def line(self) -> str:
        """Return the next line without its end and without prompts; a lone prompt is skipped."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                raw = await self.reader.readuntil(b"\r\n")
                text = raw.decode("ascii").removesuffix("\r\n").lstrip("$")
                if text:
                    return text

    async def ask(self, command: str) -> tuple[str, str | None]:
        """Send a request and return result and data."""
        self.send(command)
        result = await self.line()
        has_data = result == "R+0000" and "?" in command
        return result, await self.line() if has_data else None

    async def value(self, command: str) -> str:
        """Return the data of a request that has to succeed."""
        result, data = await self.ask(command)
        assert result == "R+0000"
        assert data is not None
        return data

    async def result(self, command: str) -> str:
        """Return the result of a command."""
        return (await self.ask(command))[0]

    async def is_silent(self) -> bool:
        """Tell whether nothing comes, and the connection stays open."""
        try:
            async with asyncio.timeout(QUIET):
                await self.reader.read(1)
        except TimeoutError:
            return True
        return False

    async def is_cut(self) -> bool:
        """Tell whether the meter has ended the connection."""
        try:
            async with asyncio.timeout(TIMEOUT):
                while await self.reader.read(4096):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True


async def connects(sim: SimulatedMeter, port: int, *, within: float = TIMEOUT) -> bool:
    """Tell whether a connect is accepted (True) or refused (False); TimeoutError if it hangs."""
    try:
        async with asyncio.timeout(within):
            _, writer = await asyncio.open_connection(sim.host, port)
    except ConnectionRefusedError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def until(seen: Callable[[], bool]) -> None:
    """Wait until something is to be seen at the meter, which tells nobody when it changes."""
    async with asyncio.timeout(TIMEOUT * 2):
        while not seen():  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(0.01)


async def in_thread[T](work: Callable[[], T]) -> T:
    """Run blocking work in a thread that is gone afterwards."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - handed to the test
            loop.call_soon_threadsafe(done.set_exception, error)
        else:
            loop.call_soon_threadsafe(done.set_result, result)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        return await done
    finally:
        thread.join()


async def with_ftp[T](
    sim: SimulatedMeter, work: Callable[[ftplib.FTP], T], *, password: str = FACTORY_PASSWORD
) -> T:
    """Log in over FTP in active mode and do some work."""

    def session() -> T:
        with ftplib.FTP(timeout=TIMEOUT, encoding="utf-8") as ftp:  # noqa: S321 - the meter has no other
            ftp.connect(sim.host, sim.ftp_port)
            ftp.login("USER", password)
            ftp.set_pasv(False)
            return work(ftp)

    return await in_thread(session)


def listing(ftp: ftplib.FTP, path: str) -> list[str]:
    """Return the lines of a listing."""
    lines: list[str] = []
    ftp.dir(path, lines.append)
    return lines


def download(ftp: ftplib.FTP, path: str, *, start: int | None = None) -> bytes:
    """Return a file's content."""
    data = bytearray()
    ftp.retrbinary(f"RETR {path}", data.extend, rest=start)
    return bytes(data)
