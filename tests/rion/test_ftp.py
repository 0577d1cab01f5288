"""The FTP client, in active mode, against the simulated meter's server and against worse ones."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
import contextlib
from contextlib import asynccontextmanager
from datetime import datetime
import gc
import math
import socket
import struct
import sys
import time
import traceback

import pytest
from pytest_socket import socket_allow_hosts

from custom_components.nl43.rion import (
    FtpDataError,
    FtpError,
    FtpLoginError,
    FtpNotFoundError,
    FtpUnreachableError,
    ftp,
)
from custom_components.nl43.rion.ftp import FtpSession
from custom_components.nl43.rion.listing import Listing
from nl43_sim import Fault, SimulatedMeter, SimulatorConfig
from nl43_sim.card import Pattern

from .tools import until

HOST = "127.0.0.1"
NOW = datetime(2026, 1, 7, 14, 20)  # noqa: DTZ001 - the meter tells no zone
SECRET = "hunter2secret"
STORED = "/NL-43/Auto_0018/Auto_Lp_01/NL_0001_SLM_Lp _0018_0001.rnd"
GREETING = b"220 FTP Server Ready\r\n"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the FTP server for a short time only."""
    monkeypatch.setattr(ftp, "TIMEOUT", 1.0)


@pytest.fixture(autouse=True)
def _tidy() -> Generator[None]:
    """Let a socket that nobody closed be the failure of the test that left it."""
    yield
    gc.collect()


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


class Call:
    """A transfer that a server was asked for, and its client waits for."""

    def __init__(
        self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int
    ) -> None:
        """Keep the control connection, and the port where the client listens."""
        self.server = server
        self.reader = reader
        self.writer = writer
        self._port = port

    def reply(self, line: str) -> None:
        """Send a reply."""
        self.writer.write(f"{line}\r\n".encode())

    @asynccontextmanager
    async def data(
        self, first: str | None = "150 Here it comes", source: str = HOST
    ) -> AsyncGenerator[asyncio.StreamWriter]:
        """Open a data connection, announced by a reply, and close it."""
        if first is not None:
            self.reply(first)
        _, writer = await asyncio.open_connection(HOST, self._port, local_addr=(source, 0))
        try:
            yield writer
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


type Answers = Callable[[str], bytes | None]
type Transfer = Callable[[Call], Awaitable[None]]
type Act = Callable[[FtpSession, str], Awaitable[object]]


def polite(line: str) -> bytes:
    """Answer whatever is said as one likes to hear it."""
    verb = line.partition(" ")[0]
    return {"USER": b"331 Password\r\n", "PASS": b"230 OK\r\n"}.get(verb, b"200 OK\r\n")


def silent_at(verb: str) -> Answers:
    """Return answers that lack one."""
    return lambda line: b"" if line.startswith(verb) else polite(line)


class Server:
    """An FTP server that does with each line what a test says."""

    def __init__(
        self, answers: Answers, greeting: bytes = GREETING, transfer: Transfer | None = None
    ) -> None:
        """Answer by the verb, None ends the session; a transfer answers LIST and RETR."""
        self._answers = answers
        self._greeting = greeting
        self._transfer = transfer
        self.port = 0
        self.sessions: set[asyncio.Task[None]] = set()
        self.hanging = False
        self.lines: list[str] = []

    @property
    def verbs(self) -> list[str]:
        """Return the verbs that came."""
        return [line.partition(" ")[0] for line in self.lines]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one session."""
        task = asyncio.current_task()
        assert task is not None
        self.sessions.add(task)
        writer.write(self._greeting)
        with contextlib.suppress(ConnectionError):
            try:
                await self._serve(reader, writer)
            finally:
                writer.close()
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer each line of a session."""
        port = 0
        while raw := await reader.readline():
            line = raw.decode("latin-1").rstrip("\r\n")
            self.lines.append(line)
            verb, _, argument = line.partition(" ")
            if verb == "PORT" and self._transfer is not None:
                high, low = argument.split(",")[4:]
                port = int(high) * 256 + int(low)
            if verb in {"LIST", "RETR"} and self._transfer is not None:
                await self._transfer(Call(self, reader, writer, port))
                continue
            answer = self._answers(line)
            if answer is None:
                break
            writer.write(answer)


@asynccontextmanager
async def serving(server: Server) -> AsyncGenerator[Server]:
    """Run a server."""
    async with await asyncio.start_server(server.serve, HOST, 0) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        try:
            yield server
        finally:
            for task in server.sessions:
                task.cancel()
            await asyncio.gather(*server.sessions, return_exceptions=True)


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
    monkeypatch.setattr(ftp, "TIMEOUT", 0.5)
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
    async with serving(server) as server:
        await fails(FtpLoginError, HOST, server.port)
        assert f"PASS {SECRET}" in server.lines


@pytest.mark.parametrize("where", ["USER", "PASS", "PORT", "LIST"])
async def test_a_server_that_repeats_what_it_got_later(where: str) -> None:
    """The same at every later step, whatever its code."""
    said: list[str] = []

    def answer(line: str) -> bytes:
        said.append(line)
        if line.startswith(where):
            return f"599 {' '.join(said)} {SECRET}\r\n".encode()
        return polite(line)

    async with serving(Server(answer)) as server:
        kinds = {"PORT": FtpDataError, "LIST": FtpError}
        await fails(kinds.get(where, FtpLoginError), HOST, server.port)


@pytest.mark.parametrize("where", ["USER", "PASS", "TYPE", "PORT", "LIST"])
async def test_a_server_that_hangs_up(where: str) -> None:
    """A session that ends early is unreachable, at whatever step."""

    def answer(line: str) -> bytes | None:
        return None if line.startswith(where) else polite(line)

    async with serving(Server(answer)) as server:
        await fails(FtpUnreachableError, HOST, server.port)


@pytest.mark.parametrize(
    "greeting",
    [b"", b"\0\xff\r\n", b"421 Busy\r\n", b"999 What\r\n", b"220" + b"x" * 20_000 + b"\r\n"],
)
async def test_what_is_no_ftp_server(monkeypatch: pytest.MonkeyPatch, greeting: bytes) -> None:
    """Something else on the port is no FTP connection."""
    monkeypatch.setattr(ftp, "TIMEOUT", 0.5)
    async with serving(Server(lambda _: None, greeting)) as server:
        await fails(FtpUnreachableError, HOST, server.port)


async def test_a_listing_is_bounded(monkeypatch: pytest.MonkeyPatch, sim: SimulatedMeter) -> None:
    """A listing without an end is given up."""
    monkeypatch.setattr(ftp, "MAX_LISTING", 0)
    with pytest.raises(FtpError, match="more than 0 lines"):
        await check(sim.host, sim.ftp_port, "USER", "0000")


# The session: against the simulated meter


@asynccontextmanager
async def opened(host: str, port: int, *, limit: float = math.inf) -> AsyncGenerator[FtpSession]:
    """Log in; at the end nothing may be left open, whatever happened."""
    session = FtpSession(host, port, "USER", "0000", limit=limit)
    try:
        await asyncio.to_thread(session.open)
        yield session
    finally:
        await asyncio.to_thread(session.close)
        assert is_closed(session)


def is_closed(session: FtpSession) -> bool:
    """Tell whether a session holds no socket."""
    return session._control is None and session._bell is None


async def listed(session: FtpSession, folder: str) -> Listing:
    """List a folder in a thread."""
    return await asyncio.to_thread(session.list, folder, NOW)


async def fetched(session: FtpSession, path: str) -> bytes:
    """Fetch a file in a thread."""
    return await asyncio.to_thread(lambda: b"".join(session.retrieve(path)))


async def begun(session: FtpSession, path: str) -> Generator[bytes]:
    """Fetch a file's first bytes in a thread."""
    chunks = session.retrieve(path)
    assert await asyncio.to_thread(next, chunks)
    return chunks


async def rest(chunks: Generator[bytes]) -> None:
    """Fetch the rest of a file in a thread."""
    await asyncio.to_thread(lambda: [None for _ in chunks])


async def works(sim: SimulatedMeter) -> None:
    """Show that a new session can do all again."""
    sim.clear()
    async with opened(sim.host, sim.ftp_port) as session:
        assert (await listed(session, "/NL-43")).entries
    await check(sim.host, sim.ftp_port, "USER", "0000")


async def test_folders_and_files(sim: SimulatedMeter) -> None:
    """One session walks the card and fetches what is on it, byte for byte."""
    sim.state.clock.now()
    async with opened(sim.host, sim.ftp_port) as session:
        now = sim.state.clock.now()
        top = await asyncio.to_thread(session.list, "/", now)
        assert {(entry.name, entry.is_folder) for entry in top.entries} == {
            ("NL-43", True),
            ("DCIM", True),
        }
        old = (await asyncio.to_thread(session.list, STORED.rpartition("/")[0], now)).entries
        assert [entry.name for entry in old] == [STORED.rpartition("/")[2]]
        file = sim.state.card.file(STORED)
        assert old[0].size == file.content.size
        assert old[0].modified is not None
        assert old[0].modified.date() == file.modified().date()
        assert await fetched(session, STORED) == file.content.read(0, file.content.size)
        store = await asyncio.to_thread(session.list, "/NL-43", now)
        running = next(entry for entry in store.entries if entry.name == "Auto_0019")
        began = sim.state.card.find("/NL-43/Auto_0019")
        assert began is not None
        assert running.modified == began.modified().replace(second=0, microsecond=0)
        assert running.to_the_minute
        assert store.unusable == 0
    assert sim.ftp_sessions_opened == 1


@pytest.mark.parametrize("size", [0, 1, 3_000_003])
async def test_files_of_any_size(sim: SimulatedMeter, size: int) -> None:
    """What arrives is what there is, in chunks of bounded length, none empty."""
    sim.state.card.add_file("/x.rnd", Pattern(size), NOW)
    async with opened(sim.host, sim.ftp_port) as session:
        chunks = await asyncio.to_thread(lambda: list(session.retrieve("/x.rnd")))
        assert b"".join(chunks) == Pattern(size).read(0, size)
        assert all(1 <= len(chunk) <= 256 * 1024 for chunk in chunks)


async def test_names_of_any_byte(sim: SimulatedMeter) -> None:
    """A name comes back to the meter as the same bytes, whatever its encoding is."""
    sim.state.card.add_file("/\xe9\xea.rnd", b"1", NOW)
    async with opened(sim.host, sim.ftp_port) as session:
        names = [entry.name for entry in (await listed(session, "/")).entries]
        name = next(name for name in names if name.endswith(".rnd"))
        assert await fetched(session, f"/{name}") == b"1"


async def test_ipv6() -> None:
    """An address of the long kind is offered in the long form."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    socket_allow_hosts([HOST, "::1"])
    async with SimulatedMeter(SimulatorConfig(host="::1")) as sim:
        await check(sim.host, sim.ftp_port, "USER", "0000")


async def test_what_is_not_there(sim: SimulatedMeter) -> None:
    """A missing folder or file is said to be missing, and the session goes on."""
    async with opened(sim.host, sim.ftp_port) as session:
        for path in ("/none", STORED):
            with pytest.raises(FtpNotFoundError, match="the folder"):
                await listed(session, path)
        with pytest.raises(FtpNotFoundError, match="the folder"):
            await fetched(session, "/none/x")
        with pytest.raises(FtpNotFoundError, match="the file"):
            await fetched(session, "/NL-43/none.rnd")
        assert (await listed(session, "/")).entries
    assert sim.ftp_sessions_opened == 1


@pytest.mark.parametrize(
    "path", ["", "NL-43", "/a\r\nDELE b", "/a\nb", "/a\0", "/\u20ac", "/\udc80"], ids=ascii
)
async def test_paths_that_cannot_be_sent(path: str) -> None:
    """A path that would be two lines, or no path, is refused before anything is sent."""
    async with serving(Server(polite)) as server, opened(HOST, server.port) as session:
        for act in (listed, fetched):
            with pytest.raises(FtpError, match="not a path"):
                await act(session, path)
        with pytest.raises(FtpError, match="of a folder"):
            await fetched(session, "/NL-43/")
        assert server.verbs == ["USER", "PASS"]


async def test_before_and_after(sim: SimulatedMeter) -> None:
    """A session that is not open says so, can be closed twice and opened again."""
    session = FtpSession(sim.host, sim.ftp_port, "USER", "0000")
    for _ in range(2):
        for act, path in ((listed, "/"), (fetched, STORED)):
            with pytest.raises(FtpUnreachableError, match="closed"):
                await act(session, path)
        await asyncio.to_thread(session.close)
        await asyncio.to_thread(session.open)
        assert (await listed(session, "/")).entries
        await asyncio.to_thread(session.close)
        await asyncio.to_thread(session.close)
    assert sim.ftp_sessions_opened == 2
    await until(lambda: not sim._ftp._tasks)


async def test_an_open_session_is_opened_again(sim: SimulatedMeter) -> None:
    """The former connection is not left behind."""
    async with opened(sim.host, sim.ftp_port) as session:
        await asyncio.to_thread(session.open)
        await until(lambda: len(sim._ftp._tasks) == 1)
        assert (await listed(session, "/")).entries


@pytest.mark.parametrize(
    "fault", [Fault.FTP_OFF, Fault.FTP_LOGIN, Fault.FTP_DATA_BLOCKED, Fault.GONE]
)
async def test_after_each_fault(
    sim: SimulatedMeter, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fault has its error, leaves nothing open and costs nothing later."""
    monkeypatch.setattr(ftp, "TIMEOUT", 0.5)
    sim.inject(fault)
    kind = {Fault.FTP_LOGIN: FtpLoginError, Fault.FTP_DATA_BLOCKED: FtpDataError}
    with pytest.raises(kind.get(fault, FtpUnreachableError)):
        async with opened(sim.host, sim.ftp_port) as session:
            await listed(session, "/")
    monkeypatch.setattr(ftp, "TIMEOUT", 5.0)
    await works(sim)


@pytest.mark.parametrize("fault", [Fault.FTP_OFF, Fault.GONE])
async def test_a_file_that_breaks_off(
    sim: SimulatedMeter, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose connection is cut, or goes silent, never looks whole."""
    monkeypatch.setattr(ftp, "TIMEOUT", 0.5)
    sim.state.card.add_file("/x.rnd", Pattern(200_000_000), NOW)
    async with opened(sim.host, sim.ftp_port) as session:
        chunks = await begun(session, "/x.rnd")
        sim.inject(fault)
        with pytest.raises(FtpUnreachableError):
            await rest(chunks)
        assert is_closed(session)
    monkeypatch.setattr(ftp, "TIMEOUT", 5.0)
    await works(sim)


async def test_a_file_that_is_given_up(sim: SimulatedMeter) -> None:
    """A transfer that is left in the middle leaves no connection, here or at the meter."""
    sim.state.card.add_file("/x.rnd", Pattern(200_000_000), NOW)
    async with opened(sim.host, sim.ftp_port) as session:
        chunks = await begun(session, "/x.rnd")
        await asyncio.to_thread(chunks.close)
        assert is_closed(session)
        await until(lambda: not sim._ftp._tasks)
        with pytest.raises(FtpUnreachableError, match="closed"):
            await listed(session, "/")
    await works(sim)


async def test_one_thing_at_a_time(sim: SimulatedMeter) -> None:
    """What is asked in the middle of a transfer ends both, rather than mix them up."""
    sim.state.card.add_file("/x.rnd", Pattern(200_000_000), NOW)
    async with opened(sim.host, sim.ftp_port) as session:
        chunks = await begun(session, "/x.rnd")
        with pytest.raises(FtpError, match="in the middle of a transfer"):
            await listed(session, "/")
        with pytest.raises(FtpUnreachableError, match="closed"):
            await rest(chunks)


async def test_a_reader_may_take_its_time(
    sim: SimulatedMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time that the reader of a file lets pass is not the meter's."""
    ahead = 0.0
    monkeypatch.setattr(ftp, "monotonic", lambda: time.monotonic() + ahead)
    sim.state.card.add_file("/x.rnd", Pattern(20_000_000), NOW)
    async with opened(sim.host, sim.ftp_port) as session:
        chunks = await begun(session, "/x.rnd")
        ahead = 1e6
        await rest(chunks)
        assert (await listed(session, "/")).entries


# The session: against servers that no meter should be


async def hangs(call: Call) -> None:
    """Do nothing until the client leaves."""
    call.server.hanging = True
    await call.reader.read()


async def never_ends(call: Call) -> None:
    """Send data, then nothing."""
    async with call.data() as data:
        data.write(b"x")
        await data.drain()
        await hangs(call)


async def no_last_reply(call: Call) -> None:
    """Send data, and never say that it was whole."""
    async with call.data() as data:
        data.write(b"x")
    await hangs(call)


async def never_comes(call: Call) -> None:
    """Announce a data connection that never comes."""
    call.reply("150 Here it comes")
    await hangs(call)


def sends(data: bytes, last: str = "226 Done", first: str = "150 Here it comes") -> Transfer:
    """Return a transfer of some bytes."""

    async def transfer(call: Call) -> None:
        async with call.data(first) as writer:
            writer.write(data)
        call.reply(last)

    return transfer


def says(*replies: str) -> Transfer:
    """Return a transfer that is replies only."""

    async def transfer(call: Call) -> None:
        for reply in replies:
            call.reply(reply)

    return transfer


async def drips(call: Call) -> None:
    """Send data a byte at a time, without an end."""
    async with call.data() as data:
        while not call.reader.at_eof():
            data.write(b"x")
            await data.drain()
            await asyncio.sleep(0.01)


async def drips_a_reply(call: Call) -> None:
    """Reply a byte at a time, without an end."""
    while not call.reader.at_eof():
        call.writer.write(b"1")
        await call.writer.drain()
        await asyncio.sleep(0.01)


@asynccontextmanager
async def rogue(transfer: Transfer) -> AsyncGenerator[FtpSession]:
    """Log in at a server whose transfers are not what they should be."""
    server = Server(polite, transfer=transfer)
    async with serving(server), opened(HOST, server.port) as session:
        yield session


@pytest.mark.parametrize("act", [listed, fetched])
@pytest.mark.parametrize(
    ("transfer", "kind"),
    [
        (says("425 No"), FtpDataError),
        (says("150 Yes", "425 No"), FtpDataError),
        (says("150 Yes", "426 No"), FtpDataError),
        (says("450 Busy"), FtpError),
        (says("150 Yes", "451 No"), FtpError),
        (says("550 No"), FtpNotFoundError),
        (says("150 Yes", "550 No"), FtpNotFoundError),
        (says("350 More"), FtpError),
        (sends(b"x", "426 Aborted"), FtpUnreachableError),
        (sends(b"x", "451 Aborted"), FtpUnreachableError),
        (sends(b"x", "550 Gone"), FtpUnreachableError),
        (sends(b"", "426 Aborted"), FtpUnreachableError),
    ],
)
async def test_refusals(act: Act, transfer: Transfer, kind: type[FtpError]) -> None:
    """Each refusal has its error, a file that breaks off another one; the session goes on."""
    async with rogue(transfer) as session:
        for _ in range(2):
            with pytest.raises(FtpError) as raised:
                await act(session, "/x")
            assert type(raised.value) is kind
            assert not is_closed(session)


@pytest.mark.parametrize("act", [listed, fetched])
@pytest.mark.parametrize(
    ("transfer", "kind"),
    [
        (never_ends, FtpUnreachableError),
        (no_last_reply, FtpUnreachableError),
        (never_comes, FtpDataError),
        (hangs, FtpUnreachableError),
        (says("200 Well", "200 Well"), FtpError),
        (says("200 Well", "450 Busy"), FtpError),
        (says("150 Yes", "226 Done"), FtpDataError),
        (says("150 Yes", "What?"), FtpError),
        (says("150 Yes", "421 Bye"), FtpUnreachableError),
        (says("150-Yes"), FtpUnreachableError),
        (says(*["150-Yes"] * 200), FtpError),
        (says(*["150 Yes"] * 200), FtpError),
        (sends(b"x", "\r\n".join(["150 Yes"] * 200)), FtpError),
        (says("1" * 20_000), FtpError),
        (sends(b"x", "150 More"), FtpUnreachableError),
        (sends(b"x", "421 Bye"), FtpUnreachableError),
        (sends(b"x", "2260"), FtpError),
    ],
)
async def test_what_is_out_of_step(
    act: Act, transfer: Transfer, kind: type[FtpError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After what makes no sense, or never comes, nothing more is asked."""
    monkeypatch.setattr(ftp, "TIMEOUT", 0.5)
    async with rogue(transfer) as session:
        with pytest.raises(FtpError) as raised:
            await act(session, "/x")
        assert type(raised.value) is kind
        assert is_closed(session)


@pytest.mark.parametrize(
    "transfer",
    [
        sends(b"x"),
        sends(b"x", "250-Done\r\n line\r\n250-\r\n250 Done"),
        sends(b"x", first="125 It is there"),
        sends(b"x", first="200 OK\r\n150 Here it comes"),
        sends(b"x", first="150 Here it comes\r\n150 Really"),
        sends(b"x", "226 Done\r\n226 Done"),
    ],
)
async def test_servers_that_differ(transfer: Transfer) -> None:
    """What other servers say, and say too often, is understood."""
    async with rogue(transfer) as session:
        for _ in range(3):
            assert await fetched(session, "/x y/z  z.rnd") == b"x"


async def test_the_last_reply_overtakes_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packets of two connections may come in any order: 226 before the data is no end."""
    real = FtpSession._reply
    codes: list[str] = []

    def reply(session: FtpSession, until: float) -> str:
        codes.append(real(session, until))
        return codes[-1]

    monkeypatch.setattr(FtpSession, "_reply", reply)

    async def transfer(call: Call) -> None:
        call.reply("150 Here it comes\r\n226 Done")
        await until(lambda: codes[-1] == "226")
        async with call.data(first=None) as data:
            data.write(b"x")

    async with rogue(transfer) as session:
        assert await fetched(session, "/x") == b"x"
        assert (await listed(session, "/")).unusable == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")
async def test_data_from_elsewhere() -> None:
    """A data connection from another address than the meter's is not read."""

    async def transfer(call: Call) -> None:
        async with call.data(source="127.0.0.2") as writer:
            writer.write(b"x")
        await hangs(call)

    async with rogue(transfer) as session:
        with pytest.raises(FtpDataError, match="another address"):
            await fetched(session, "/x")
        assert is_closed(session)


async def test_data_that_is_reset() -> None:
    """A reset is no end of a file."""

    async def transfer(call: Call) -> None:
        async with call.data() as writer:
            writer.write(b"x")
            await writer.drain()
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        call.reply("226 Done")

    async with rogue(transfer) as session:
        with pytest.raises(FtpUnreachableError, match="lost"):
            await fetched(session, "/x")
        assert is_closed(session)


@pytest.mark.parametrize("act", [listed, fetched])
async def test_single_bytes_without_an_end(act: Act, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data that drips is given up though no single wait is long."""
    monkeypatch.setattr(ftp, "PATIENCE", 0.2)
    async with rogue(drips) as session:
        with pytest.raises(FtpUnreachableError, match="in time"):
            await act(session, "/x")
        assert is_closed(session)


async def test_a_reply_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """So is a reply: its time is that of the whole."""
    monkeypatch.setattr(ftp, "TIMEOUT", 0.2)

    async with rogue(drips_a_reply) as session:
        with pytest.raises(FtpUnreachableError, match="in time"):
            await fetched(session, "/x")


async def test_the_check_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """However a server drags it out, the check ends by its own limit."""
    monkeypatch.setattr(ftp, "TIMEOUT", 1000.0)
    monkeypatch.setattr(ftp, "CHECK_LIMIT", 1.0)
    async with serving(Server(polite, transfer=drips_a_reply)) as server:
        await fails(FtpUnreachableError, HOST, server.port)
        assert server.verbs[-1] == "LIST"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"x\r\n" * 6, "more than 5 lines"),
        (b"x" * 10_000, "a line of more than 8192 bytes"),
        (b"x" * 10_000 + b"\r\n", "a line of more than 8192 bytes"),
    ],
)
async def test_listings_beyond_the_bounds(
    data: bytes, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing of too many lines, or with too long a one, is given up."""
    monkeypatch.setattr(ftp, "MAX_LISTING", 5)
    async with rogue(sends(data)) as session:
        with pytest.raises(FtpError, match=told) as raised:
            await listed(session, "/")
        assert type(raised.value) is FtpError
        assert is_closed(session)


async def test_lines_in_pieces() -> None:
    """A listing is cut at its line ends, wherever its packets are."""
    line = b"-rw-rw-rw- 1 root root 5 Jan 07 14:23 a b\r\n"

    async def transfer(call: Call) -> None:
        async with call.data() as writer:
            for number in range(len(line)):
                writer.write(line[number : number + 1])
                await writer.drain()
                await asyncio.sleep(0)
            writer.write(line.replace(b"\r", b"") + line.rstrip())
        call.reply("226 Done")

    async with rogue(transfer) as session:
        listing = await listed(session, "/")
        assert [entry.name for entry in listing.entries] == ["a b"] * 3
        assert listing.unusable == 0


async def test_a_server_that_does_not_say_goodbye(monkeypatch: pytest.MonkeyPatch) -> None:
    """A close does not wait for long, and not at all for a server that is gone."""
    monkeypatch.setattr(ftp, "_FAREWELL", 0.1)
    monkeypatch.setattr(ftp, "TIMEOUT", 60.0)
    async with serving(Server(silent_at("QUIT"))) as server, opened(HOST, server.port):
        pass
    assert server.verbs[-1] == "QUIT"


@pytest.mark.parametrize(
    ("greeting", "kind"),
    [
        (b"220 Hello\r\n220 and welcome\r\n", None),
        (b"220-Hello\r\n220-\r\nwelcome\r\n220 to you\r\n", None),
        (b"120 Soon\r\n", FtpUnreachableError),
        (b"500 No\r\n", FtpUnreachableError),
        (b"SSH-2.0-x\r\n", FtpUnreachableError),
    ],
)
async def test_greetings(greeting: bytes, kind: type[FtpError] | None) -> None:
    """A greeting of several lines is one; what is none is no FTP server."""
    async with serving(Server(polite, greeting, transfer=sends(b""))) as server:
        if kind is None:
            await check(HOST, server.port, "USER", SECRET)
        else:
            await fails(kind, HOST, server.port)


@pytest.mark.parametrize(
    ("replies", "kind"),
    [
        ({"USER": "230 Welcome"}, None),
        ({"PASS": "332 Account"}, FtpLoginError),
        ({"USER": "421 Busy"}, FtpUnreachableError),
        ({"PASS": "421 Busy"}, FtpUnreachableError),
        ({"PASS": "What?"}, FtpError),
    ],
)
async def test_logins(replies: dict[str, str], kind: type[FtpError] | None) -> None:
    """A login without a password is one; a server that is busy is not taken for a refusal."""

    def answer(line: str) -> bytes | None:
        verb = line.partition(" ")[0]
        return f"{replies[verb]}\r\n".encode() if verb in replies else polite(line)

    async with serving(Server(answer, transfer=sends(b""))) as server:
        if kind is None:
            await check(HOST, server.port, "USER", SECRET)
            assert "PASS" not in server.verbs
        else:
            await fails(kind, HOST, server.port)


async def test_a_second_address(monkeypatch: pytest.MonkeyPatch, sim: SimulatedMeter) -> None:
    """If the first address of a name does not answer, the next one is tried."""
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, port)) for port in (1, sim.ftp_port)
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    async with opened("meter.example", 21) as session:
        assert (await listed(session, "/")).entries
    found.clear()
    with pytest.raises(FtpUnreachableError, match="no address"):
        async with opened("meter.example", 21):
            pass


# Ended from another thread


@asynccontextmanager
async def ended(session: FtpSession, work: Callable[[], object]) -> AsyncGenerator[None]:
    """Do some work in a thread; the block waits until it hangs, then the session is aborted."""
    task = asyncio.create_task(asyncio.to_thread(work))
    try:
        async with asyncio.timeout(20.0):
            yield
            session.abort()
            session.abort()
            with pytest.raises(FtpUnreachableError, match="ended from here"):
                await task
    finally:
        session.abort()
        await asyncio.wait([task])
    assert is_closed(session)
    with pytest.raises(FtpUnreachableError):
        await asyncio.to_thread(session.open)
    assert is_closed(session)
    await asyncio.to_thread(session.close)


def work_of(session: FtpSession, *, is_file: bool) -> Callable[[], object]:
    """Return the fetching of a file, or the listing of a folder."""
    if is_file:
        return lambda: list(session.retrieve("/x"))
    return lambda: session.list("/", NOW)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every wait be longer than a test may last, so that only an abort ends it."""
    monkeypatch.setattr(ftp, "TIMEOUT", 1000.0)
    monkeypatch.setattr(ftp, "PATIENCE", 1000.0)


async def test_ended_in_a_connect(patient: None, sim: SimulatedMeter) -> None:
    """A connect that hangs is ended."""
    sim.inject(Fault.GONE)
    session = FtpSession(sim.host, sim.ftp_port, "USER", "0000")
    async with ended(session, session.open):
        await until(lambda: session._bell is not None)


async def test_ended_before_the_greeting(patient: None) -> None:
    """So is the wait for a greeting."""
    async with serving(Server(polite, b"")) as server:
        session = FtpSession(HOST, server.port, "USER", "0000")
        async with ended(session, session.open):
            await until(lambda: server.sessions)


@pytest.mark.parametrize("verb", ["USER", "PASS"])
async def test_ended_in_a_login(patient: None, verb: str) -> None:
    """So is a login."""
    async with serving(Server(silent_at(verb))) as server:
        session = FtpSession(HOST, server.port, "USER", "0000")
        async with ended(session, session.open):
            await until(lambda: verb in server.verbs)


@pytest.mark.parametrize("verb", ["CWD", "TYPE", "PORT"])
@pytest.mark.parametrize("is_file", [False, True])
async def test_ended_before_a_transfer(patient: None, verb: str, is_file: bool) -> None:
    """So is each command before a transfer."""
    async with serving(Server(silent_at(verb))) as server:
        session = FtpSession(HOST, server.port, "USER", "0000")
        await asyncio.to_thread(session.open)
        async with ended(session, work_of(session, is_file=is_file)):
            await until(lambda: verb in server.verbs)


@pytest.mark.parametrize("transfer", [hangs, never_comes, never_ends, no_last_reply])
@pytest.mark.parametrize("is_file", [False, True])
async def test_ended_in_a_transfer(patient: None, transfer: Transfer, is_file: bool) -> None:
    """So is a transfer, whatever it waits for."""
    async with serving(Server(polite, transfer=transfer)) as server:
        session = FtpSession(HOST, server.port, "USER", "0000")
        await asyncio.to_thread(session.open)
        async with ended(session, work_of(session, is_file=is_file)):
            await until(lambda: server.hanging)


async def test_ended_between_two_chunks(patient: None, sim: SimulatedMeter) -> None:
    """A transfer that nobody reads at the moment ends with its next chunk."""
    sim.state.card.add_file("/x.rnd", Pattern(200_000_000), NOW)
    async with opened(sim.host, sim.ftp_port) as session:
        chunks = await begun(session, "/x.rnd")
        session.abort()
        with pytest.raises(FtpUnreachableError, match="ended from here"):
            await rest(chunks)
        assert is_closed(session)
        await until(lambda: not sim._ftp._tasks)


async def test_ended_before_and_after(sim: SimulatedMeter) -> None:
    """An abort is for good, whether it comes before a session is opened or between two calls."""
    session = FtpSession(sim.host, sim.ftp_port, "USER", "0000")
    await asyncio.to_thread(session.open)
    session.abort()
    await asyncio.to_thread(session.close)
    assert is_closed(session)
    session.abort()
    never = FtpSession(sim.host, sim.ftp_port, "USER", "0000")
    never.abort()
    for each in (session, never):
        with pytest.raises(FtpUnreachableError, match="ended from here"):
            await asyncio.to_thread(each.open)
        assert is_closed(each)
