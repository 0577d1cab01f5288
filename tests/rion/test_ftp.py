"""The check of the FTP login, in active mode, against the simulated meter's server."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
import socket
import traceback

import pytest

from custom_components.nl43.rion import (
    FtpDataError,
    FtpError,
    FtpLoginError,
    FtpUnreachableError,
    ftp,
)
from nl43_sim import Fault, SimulatedMeter

from .tools import until

SECRET = "hunter2secret"
GREETING = b"220 FTP Server Ready\r\n"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the FTP server for a short time only."""
    monkeypatch.setattr(ftp, "TIMEOUT", 1.0)


async def check(host: str, port: int, username: str, password: str) -> None:
    """Run the check as the integration does: in a thread."""
    await asyncio.to_thread(ftp.check, host, port, username, password)


async def fails[E: FtpError](
    kind: type[E], host: str, port: int, username: str = "USER", password: str = SECRET
) -> E:
    """Return the error of a check, whose every text is free of the password."""
    with pytest.raises(kind) as raised:
        await check(host, port, username, password)
    assert type(raised.value) is kind
    told = "".join(traceback.format_exception(raised.value, chain=True))
    assert password not in told
    return raised.value


class Server:
    """An FTP server that answers each line with what a test says."""

    def __init__(self, answers: Callable[[str], bytes | None], greeting: bytes = GREETING) -> None:
        """Answer by the verb; None ends the session."""
        self._answers = answers
        self._greeting = greeting
        self.lines: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one session."""
        writer.write(self._greeting)
        while raw := await reader.readline():
            line = raw.decode("latin-1").rstrip("\r\n")
            self.lines.append(line)
            answer = self._answers(line)
            if answer is None:
                break
            writer.write(answer)
        writer.close()


@asynccontextmanager
async def serving(server: Server) -> AsyncGenerator[int]:
    """Run a server; gives its port."""
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1]


async def test_success(sim: SimulatedMeter) -> None:
    """The right login is taken, the card is listed and the session ended."""
    await check(sim.host, sim.ftp_port, "USER", "0000")
    assert sim.ftp_sessions_opened == 1


@pytest.mark.parametrize(("username", "password"), [("USER", SECRET), (SECRET, "0000")])
async def test_wrong_login(sim: SimulatedMeter, username: str, password: str) -> None:
    """A wrong name or password is refused, and not repeated in the error."""
    err = await fails(FtpLoginError, sim.host, sim.ftp_port, username, password)
    assert str(err) == "the FTP server refused the login"
    assert username not in str(err)


@pytest.mark.parametrize("password", [f"{SECRET}\r\nDELE x", f"{SECRET}\u20ac"])
async def test_a_password_that_cannot_be_sent(sim: SimulatedMeter, password: str) -> None:
    """A password that would be a second command, or has letters FTP cannot send, is refused."""
    await fails(FtpLoginError, sim.host, sim.ftp_port, "USER", password)


async def test_ftp_is_off(sim: SimulatedMeter) -> None:
    """A refused connection says so, and that something answers is not claimed."""
    assert await asyncio.to_thread(ftp.answers, sim.host, sim.ftp_port)
    sim.inject(Fault.FTP_OFF)
    err = await fails(FtpUnreachableError, sim.host, sim.ftp_port)
    assert str(err).startswith("no FTP connection")
    assert not await asyncio.to_thread(ftp.answers, sim.host, sim.ftp_port)


async def test_the_wedge_leaves_ftp_alone(sim: SimulatedMeter) -> None:
    """Of a wedged meter the FTP port still answers."""
    sim.inject(Fault.WEDGE)
    assert await asyncio.to_thread(ftp.answers, sim.host, sim.ftp_port)
    await check(sim.host, sim.ftp_port, "USER", "0000")


async def test_the_network_is_gone(sim: SimulatedMeter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connect that hangs ends in time."""
    monkeypatch.setattr(ftp, "TIMEOUT", 0.2)
    sim.inject(Fault.GONE)
    await fails(FtpUnreachableError, sim.host, sim.ftp_port)
    assert not await asyncio.to_thread(ftp.answers, sim.host, sim.ftp_port)


async def test_the_data_connection_never_comes(
    sim: SimulatedMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What NAT or a container network does to active mode has its own error."""
    monkeypatch.setattr(ftp, "TIMEOUT", 0.3)
    sim.inject(Fault.FTP_DATA_BLOCKED)
    with pytest.raises(FtpDataError, match="never came"):
        await check(sim.host, sim.ftp_port, "USER", "0000")
    # The session is not left open.
    await until(lambda: not sim._ftp._tasks)


async def test_the_meter_gives_the_data_connection_up(sim: SimulatedMeter) -> None:
    """The same when the meter is the first to say so."""
    sim.config.ftp_data_timeout = 0.0
    sim.inject(Fault.FTP_DATA_BLOCKED)
    with pytest.raises(FtpDataError):
        await check(sim.host, sim.ftp_port, "USER", "0000")


@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        UnicodeEncodeError("idna", "..", 0, 1, "label empty"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A host name without an address, or that cannot be one, is unreachable."""

    def unknown(*_: object, **__: object) -> object:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    await fails(FtpUnreachableError, "meter.example", 21)
    assert not await asyncio.to_thread(ftp.answers, "meter.example", 21)


async def test_what_is_no_port() -> None:
    """A port that there is not is unreachable."""
    await fails(FtpUnreachableError, "127.0.0.1", 65536)
    assert not await asyncio.to_thread(ftp.answers, "127.0.0.1", 65536)


async def test_a_server_that_repeats_what_it_got() -> None:
    """A server that quotes the password brings it into no error."""
    server = Server(
        lambda line: (
            b"331 Password please\r\n" if line.startswith("USER") else f"530 {line}\r\n".encode()
        )
    )
    async with serving(server) as port:
        await fails(FtpLoginError, "127.0.0.1", port)
        assert f"PASS {SECRET}" in server.lines


@pytest.mark.parametrize("where", ["USER", "PASS", "PORT", "LIST"])
async def test_a_server_that_repeats_what_it_got_later(where: str) -> None:
    """The same at every later step, whatever its code."""
    said: list[str] = []

    def answer(line: str) -> bytes:
        said.append(line)
        verb = line.partition(" ")[0]
        if verb == where:
            return f"599 {' '.join(said)} {SECRET}\r\n".encode()
        return {"USER": b"331 Password\r\n", "PASS": b"230 OK\r\n"}.get(verb, b"200 OK\r\n")

    async with serving(Server(answer)) as port:
        kinds = {"PORT": FtpDataError, "LIST": FtpError}
        await fails(kinds.get(where, FtpLoginError), "127.0.0.1", port)


@pytest.mark.parametrize("where", ["USER", "PASS", "TYPE", "LIST"])
async def test_a_server_that_hangs_up(where: str) -> None:
    """A session that ends early is unreachable, at whatever step."""

    def answer(line: str) -> bytes | None:
        verb = line.partition(" ")[0]
        if verb == where:
            return None
        return {"USER": b"331 Password\r\n", "PASS": b"230 OK\r\n"}.get(verb, b"200 OK\r\n")

    async with serving(Server(answer)) as port:
        await fails(FtpUnreachableError, "127.0.0.1", port)


@pytest.mark.parametrize(
    "greeting",
    [b"", b"\0\xff\r\n", b"421 Busy\r\n", b"999 What\r\n", b"220" + b"x" * 20_000 + b"\r\n"],
)
async def test_what_is_no_ftp_server(monkeypatch: pytest.MonkeyPatch, greeting: bytes) -> None:
    """Something else on the port is no FTP connection."""
    monkeypatch.setattr(ftp, "TIMEOUT", 0.3)
    async with serving(Server(lambda _: None, greeting)) as port:
        await fails(FtpUnreachableError, "127.0.0.1", port)


async def test_a_listing_is_bounded(monkeypatch: pytest.MonkeyPatch, sim: SimulatedMeter) -> None:
    """A listing without an end is given up."""
    monkeypatch.setattr(ftp, "MAX_LISTING", 0)
    with pytest.raises(FtpError, match="more than 0 lines"):
        await check(sim.host, sim.ftp_port, "USER", "0000")
