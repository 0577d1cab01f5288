"""The FTP service, used by the standard library's client."""

import ftplib
import io
import re
import socket
import struct
import wave

import pytest

from nl43_sim import SimulatedMeter, SimulatorConfig
from nl43_sim.card import Pattern

from .client import TIMEOUT, Client, connects, download, listing, with_ftp

RUNNING = "/NL-43/Auto_0019/Auto_Lp_01/NL_0001_SLM_Lp _0019_0001.rnd"
LINE = re.compile(
    r"[d-]rw.rw.rw. +1 root +root +(\d+) ([A-Z][a-z]{2} \d\d (?:\d\d:\d\d| ?\d{4})) (.+)"
)


async def test_active_mode_only(sim: SimulatedMeter) -> None:
    """What asks for another mode, or is not known, is not implemented."""
    refused = ("PASV", "EPSV", "MLSD", "MLST", "MDTM x", "FEAT")

    def ask(ftp: ftplib.FTP) -> set[str]:
        replies = set()
        for line in refused:
            with pytest.raises(ftplib.error_perm) as caught:
                ftp.sendcmd(line)
            replies.add(str(caught.value))
        return replies

    assert await with_ftp(sim, ask) == {"502 Not Implemented"}
    assert sim.ftp_sessions_opened == 1


async def test_a_wrong_login(sim: SimulatedMeter) -> None:
    """A wrong password is refused, and nothing else goes without a login."""
    with pytest.raises(ftplib.error_perm, match=r"^530 Login Fail$"):
        await with_ftp(sim, ftplib.FTP.pwd, password="1234")

    def without(ftp: ftplib.FTP) -> str:
        ftp.sendcmd("USER nobody")
        with pytest.raises(ftplib.error_perm) as caught:
            ftp.pwd()
        return str(caught.value)

    assert (await with_ftp(sim, without)).startswith("530")


async def test_small_talk_and_folders(sim: SimulatedMeter) -> None:
    """A client can look around and change nothing."""

    def walk(ftp: ftplib.FTP) -> list[str]:
        assert ftp.sendcmd("SYST").startswith("215 UNIX")
        assert ftp.sendcmd("NOOP").startswith("200")
        assert ftp.sendcmd("TYPE I").startswith("200")
        seen = [ftp.pwd()]
        ftp.cwd("NL-43")
        ftp.cwd("Auto_0019")
        seen.append(ftp.pwd())
        ftp.cwd("..")
        ftp.sendcmd("CDUP")
        seen.append(ftp.pwd())
        for refused in ("CWD /nowhere", "CWD /NL-43/../../etc", f"DELE {RUNNING}", "MKD /x"):
            with pytest.raises(ftplib.error_perm, match=r"^550"):
                ftp.sendcmd(refused)
        for wrong in ("PORT 1,2,3", "PORT a,b,c,d,e,f", "EPRT |1|", "REST x"):
            with pytest.raises(ftplib.error_perm, match=r"^501"):
                ftp.sendcmd(wrong)
        for foreign in ("PORT 192,0,2,1,200,1", "EPRT |1|192.0.2.1|5000|", "PORT 127,0,0,1,0,0"):
            with pytest.raises(ftplib.error_perm, match=r"^500"):
                ftp.sendcmd(foreign)
        with pytest.raises(ftplib.error_temp, match=r"^425"):
            ftp.sendcmd("LIST")
        return seen

    assert await with_ftp(sim, walk) == ["/", "/NL-43/Auto_0019", "/"]


async def test_listings(sim: SimulatedMeter) -> None:
    """Listings are in Unix style, in the meter's time, with or without the year."""
    now = sim.state.clock.now()

    def look(ftp: ftplib.FTP) -> tuple[list[str], list[str], list[str], list[str]]:
        return (
            listing(ftp, "/NL-43"),
            listing(ftp, "-la /NL-43/Auto_0019/Auto_Lp_01"),
            listing(ftp, RUNNING),
            ftp.nlst("/NL-43/Screenshot"),
        )

    folders, files, file, names = await with_ftp(sim, look)
    times = {match[3]: match[2] for line in folders if (match := LINE.fullmatch(line))}
    assert len(times) == len(folders)
    assert times["Auto_0017"] == f"Dec 25 {now.year - 1}"
    began = f"{now.day:02} {now:%H:%M}"
    assert times["Auto_0019"][4:] in {began, f"{now.day:02} {sim.state.clock.now():%H:%M}"}
    assert [line.split(" ", 1)[0] for line in folders] == ["drwxrwxrwx"] * len(folders)
    assert files[0].endswith(" NL_0001_SLM_Lp _0019_0001.rnd")
    assert file[0].rsplit(maxsplit=6)[-1] == files[0].rsplit(maxsplit=6)[-1]
    assert f"0001_{now.year - 1}1225_093000.bmp" in names


async def test_a_missing_path(sim: SimulatedMeter) -> None:
    """What is not there is said to be so."""

    def look(ftp: ftplib.FTP) -> None:
        for ask in (
            lambda: listing(ftp, "/NL-43/Auto_9999"),
            lambda: download(ftp, "/NL-43/none.rnd"),
            lambda: ftp.sendcmd("SIZE /NL-43"),
        ):
            with pytest.raises(ftplib.error_perm, match=r"^550"):
                ask()

    await with_ftp(sim, look)


async def test_files_are_what_they_seem(sim: SimulatedMeter) -> None:
    """A picture is a picture, a sound file a sound file, a file of levels has rows."""

    def fetch(ftp: ftplib.FTP) -> tuple[bytes, bytes, bytes, bytes]:
        sound = ftp.nlst("/NL-43/Auto_0018/SOUND")[0]
        picture = ftp.nlst("/NL-43/Screenshot")[0]
        return (
            download(ftp, f"/NL-43/Screenshot/{picture}"),
            download(ftp, f"/NL-43/Auto_0018/SOUND/{sound}"),
            download(ftp, "/NL-43/Auto_0018/Auto_Lp_01/NL_0001_SLM_Lp _0018_0001.rnd"),
            download(ftp, "/NL-43/Auto_0018/Auto_Leq_01/NL_0001_SLM_Leq_0018_0001.rnd"),
        )

    picture, sound, lp, leq = await with_ftp(sim, fetch)
    magic, size = struct.unpack_from("<2sI", picture)
    assert (magic, size) == (b"BM", len(picture))
    with wave.open(io.BytesIO(sound)) as opened:
        assert opened.getnframes() == 48_000
    rows = lp.decode("ascii").splitlines()
    assert rows[:2] == ["CSV", "Start Time,Main"]
    assert len(rows) == 2 + 1800
    assert re.fullmatch(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{3}, *\d+\.\d", rows[2])
    assert leq.decode("ascii").splitlines()[1].startswith("Start Time,Leq,LE,Lmax,Lmin,LN1,")


async def test_the_running_file_grows(sim: SimulatedMeter) -> None:
    """What is sent is as long as was listed or longer, and what was there stays the same."""

    def twice(ftp: ftplib.FTP) -> tuple[int | None, bytes, bytes]:
        size = ftp.size(RUNNING)
        first = download(ftp, RUNNING)
        while len(second := download(ftp, RUNNING)) == len(first):
            pass
        return size, first, second

    size, first, second = await with_ftp(sim, twice)
    assert size is not None
    assert size <= len(first) < len(second)
    assert second.startswith(first)


async def test_a_transfer_can_begin_later(sim: SimulatedMeter) -> None:
    """REST leaves out the beginning, once."""
    sim.state.card.add_file("/NL-43/x.rnd", b"0123456789", sim.state.clock.now())

    def fetch(ftp: ftplib.FTP) -> tuple[bytes, bytes]:
        return download(ftp, "/NL-43/x.rnd", start=4), download(ftp, "/NL-43/x.rnd")

    assert await with_ftp(sim, fetch) == (b"456789", b"0123456789")


async def test_a_large_file_is_sent_whole(sim: SimulatedMeter) -> None:
    """A file far larger than any buffer arrives, in the stated size."""
    size = 20_000_003
    sim.state.card.add_file("/NL-43/big.rnd", Pattern(size), sim.state.clock.now())

    def fetch(ftp: ftplib.FTP) -> tuple[int | None, int]:
        received = 0

        def count(data: bytes) -> None:
            nonlocal received
            received += len(data)

        ftp.retrbinary("RETR /NL-43/big.rnd", count)
        return ftp.size("/NL-43/big.rnd"), received

    assert await with_ftp(sim, fetch) == (size, size)


async def test_a_transfer_can_be_aborted(sim: SimulatedMeter) -> None:
    """ABOR ends a transfer, also one whose client does not read; the session goes on."""
    sim.state.card.add_file("/NL-43/big.rnd", Pattern(200_000_000), sim.state.clock.now())

    def abort(ftp: ftplib.FTP) -> tuple[str, str, str]:
        data = ftp.transfercmd("RETR /NL-43/big.rnd")
        with data:
            data.recv(1000)
            first = ftp.abort()
            last = ftp.getmultiline()
        return first, last, ftp.pwd()

    first, last, folder = await with_ftp(sim, abort)
    assert first.startswith("426")
    assert last.startswith("226")
    assert folder == "/"
    assert (await with_ftp(sim, ftplib.FTP.abort)).startswith("226")


async def test_a_client_that_refuses_the_data_connection(sim: SimulatedMeter) -> None:
    """If the client cannot be called back, that is said."""

    def refuse(ftp: ftplib.FTP) -> str:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            ftp.sendport("127.0.0.1", bound.getsockname()[1])
            assert ftp.sendcmd("LIST").startswith("150")
            return ftp.getmultiline()

    assert (await with_ftp(sim, refuse)).startswith("425")


async def test_the_long_form_of_port(sim: SimulatedMeter) -> None:
    """EPRT does what PORT does."""

    def use(ftp: ftplib.FTP) -> bytes:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(TIMEOUT)
            ftp.sendcmd(f"EPRT |1|127.0.0.1|{listener.getsockname()[1]}|")
            ftp.sendcmd("NLST /")
            data, _ = listener.accept()
            with data:
                received = data.recv(1000)
            ftp.voidresp()
        return received

    assert await with_ftp(sim, use) == b"NL-43\r\nDCIM\r\n"


async def test_an_endless_line_ends_the_session(sim: SimulatedMeter) -> None:
    """A line without an end is not kept."""
    async with await Client.connect(sim, sim.ftp_port) as session:
        session.send(b"x" * 100_000)
        assert await session.is_cut()


async def test_off_and_on_by_command() -> None:
    """FTP,Off closes the port and the sessions; after FTP,On it takes a moment."""
    config = SimulatorConfig(pace_limit=0.0, latency=0.0, ftp_delay=0.05, settings={"FTP": "Off"})
    async with SimulatedMeter(config) as sim, await Client.connect(sim) as client:
        assert not await connects(sim, sim.ftp_port)
        assert await client.result("FTP,On") == "R+0000"
        assert not await connects(sim, sim.ftp_port)
        while not await connects(sim, sim.ftp_port):
            pass
        async with await Client.connect(sim, sim.ftp_port) as session:
            assert (await session.line()).startswith("220")
            assert await client.result("FTP,Off") == "R+0000"
            assert await session.is_cut()
        assert not await connects(sim, sim.ftp_port)
        assert await client.result("FTP,On") == "R+0000"
        assert await client.result("FTP,Off") == "R+0000"
        assert await client.value("FTP?") == "Off"


async def test_the_card_of_another_model() -> None:
    """The top folder has the model's name."""
    async with SimulatedMeter(SimulatorConfig(model="NL-53")) as sim:
        names = await with_ftp(sim, lambda ftp: ftp.nlst("/"))
    assert names == ["NL-53", "DCIM"]


async def test_a_file_can_be_held_back() -> None:
    """Over a modem a file comes in small parts, and whole."""
    config = SimulatorConfig(pace_limit=0.0, latency=0.0, ftp_rate=200_000.0)
    async with SimulatedMeter(config) as sim:
        sim.state.card.add_file("/a.bin", Pattern(50_000), sim.state.clock.now())
        parts: list[int] = []

        def fetch(ftp: ftplib.FTP) -> None:
            ftp.retrbinary("RETR /a.bin", lambda data: parts.append(len(data)), blocksize=65_536)

        await with_ftp(sim, fetch)
    assert sum(parts) == 50_000
    assert max(parts) <= 20_000


async def test_what_is_counted(sim: SimulatedMeter) -> None:
    """Sessions at the same time are told from those one after the other, and files are noted."""

    def again(ftp: ftplib.FTP) -> None:
        with ftplib.FTP(timeout=TIMEOUT) as second:  # noqa: S321 - the meter has no other
            second.connect(ftp.host, ftp.port)

    assert sim.ftp_sessions_at_once == 0
    for _ in range(2):
        await with_ftp(sim, lambda ftp: download(ftp, RUNNING))
    assert (sim.ftp_sessions_opened, sim.ftp_sessions_at_once) == (2, 1)
    assert sim.ftp_retrievals == [RUNNING, RUNNING]
    await with_ftp(sim, again)
    assert (sim.ftp_sessions_opened, sim.ftp_sessions_at_once) == (4, 2)
    assert "FTP sessions: 4, 2 at once" in sim.report()
