"""The command line, as a process of its own."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
import os
from pathlib import Path
import re
import signal
import socket
import sys

import pytest

from nl43_sim import Fault

from .client import Client
from .test_wire import RECORDINGS, recorded

ROOT = Path(__file__).parent.parent.parent
FREE = ("--port", "0", "--ftp-port", "0")
LISTENS = re.compile(r"(NL-\d\d) (\d{8}) listens on 127\.0\.0\.1 port (\d+), FTP port (\d+)\n")
PATIENCE = 10.0


class Address:
    """Where a started meter listens."""

    def __init__(self, line: str) -> None:
        """Read the line that says so."""
        match = LISTENS.fullmatch(line)
        assert match, line
        self.model, self.serial = match[1], match[2]
        self.host, self.port, self.ftp_port = "127.0.0.1", int(match[3]), int(match[4])


class Process:
    """A running simulator."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Take a started process."""
        self.process = process

    async def line(self) -> str:
        """Return the next line it prints."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            return (await self.process.stdout.readline()).decode()

    async def until(self, text: str) -> str:
        """Return what it prints up to a line that has a text."""
        printed = ""
        while text not in printed:
            line = await self.line()
            assert line, printed
            printed += line
        return printed

    def type(self, line: str) -> None:
        """Type a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        """End it by a signal; return exit code, output and errors."""
        self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE):
            output, errors = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, output.decode(), errors.decode()


@asynccontextmanager
async def simulator(*words: str, stdin: int = asyncio.subprocess.PIPE) -> AsyncGenerator[Process]:
    """Run the simulator."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        "-m",
        "nl43_sim",
        *words,
        cwd=ROOT,
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_listens_reports_and_ends_cleanly(number: signal.Signals) -> None:
    """It says where it listens, works, and reports when it is stopped."""
    async with simulator(*FREE) as running:
        address = Address(await running.line())
        async with await Client.connect(address) as client:
            assert await client.value("Serial Number?") == address.serial == "01234567"
            code, output, errors = await running.stop(number)
    assert (code, errors) == (0, "")
    assert "commands: 1 received, 1 answered" in output
    assert "violations: 0" in output


async def test_a_signal_asks_for_the_report() -> None:
    """SIGUSR1 prints the report and nothing else happens."""
    async with simulator(*FREE) as running:
        await running.line()
        running.process.send_signal(signal.SIGUSR1)
        assert "commands: 0 received" in await running.until("violations: 0")
        assert (await running.stop())[0] == 0


async def test_a_port_that_is_taken() -> None:
    """It says so in one line and fails."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for words in (("--port", port, "--ftp-port", "0"), ("--port", "0", "--ftp-port", port)):
            async with simulator(*words) as running:
                async with asyncio.timeout(PATIENCE):
                    output, errors = await running.process.communicate()
                assert running.process.returncode == 1
                assert output == b""
                assert re.fullmatch(
                    rf"nl43_sim: cannot listen on 127\.0\.0\.1 port {port}: .*in use.*\n",
                    errors.decode(),
                )


async def test_a_file_that_cannot_be_read() -> None:
    """A missing file is said plainly."""
    async with simulator(*FREE, "--replay", "/nowhere") as running:
        async with asyncio.timeout(PATIENCE):
            _, errors = await running.process.communicate()
        assert running.process.returncode == 1
        assert errors.decode().startswith("nl43_sim: ")
        assert errors.count(b"\n") == 1


async def test_options() -> None:
    """The options make the meter."""
    words = (
        *("--serial", "00000042", "--model", "NL-53", "--stopped", "--seed", "9"),
        *("--replay", str(RECORDINGS / "dod_measuring.txt"), "--missing", "Battery Level"),
        *("--set", "Store Mode,Manual", "--fault", "empty_battery", "--fault", "slow=0.01"),
        *("--meters", "2", "--sub-channels", "1"),
    )
    async with simulator(*FREE, *words) as running:
        first, second = Address(await running.line()), Address(await running.line())
        assert [first.serial, second.serial] == ["00000042", "00000043"]
        assert first.model == "NL-53"
        async with await Client.connect(second) as client:
            assert await client.value("Measure?") == "Stop"
            await asyncio.sleep(1.0)
            assert await client.value("DOD?") == recorded("dod_measuring.txt")[0]
            await asyncio.sleep(1.0)
            assert await client.result("Battery Level?") == "R+0003"
            await asyncio.sleep(1.0)
            assert await client.value("Store Mode?") == "Manual"
        code, output, _ = await running.stop()
    assert code == 0
    assert output.count("violations: 0") == 2


async def test_lines_typed_while_it_runs() -> None:
    """Faults go on and off by typed lines; mistakes are told."""
    async with simulator(*FREE) as running:
        address = Address(await running.line())
        running.type("fault wedge 600")
        assert await running.line() == "fault wedge is on\n"
        with pytest.raises(ConnectionRefusedError):
            await Client.connect(address)
        running.type("clear wedge")
        assert await running.line() == "fault wedge is off\n"
        async with await Client.connect(address) as client:
            assert await client.value("Measure?") == "Start"
        for typed, said in (
            ("fault slow 2 60", "fault slow is on\n"),
            ("clear", "no faults\n"),
            ("", None),
            ("press Measure,Stop", "R+0000\n"),
            ("press Type?", "R+0000 NL-43\n"),
            ("louder 20", "+20.0 dB\n"),
            ("fault", "fault: '' is not a valid Fault\n"),
            ("fault wedge soon", "fault: could not convert string to float: 'soon'\n"),
            ("dance", "unknown: dance (try help)\n"),
        ):
            running.type(typed)
            if said is not None:
                assert await running.line() == said
        running.type("report")
        assert "violations: 0" in await running.until("violations")
        running.type("help")
        text = await running.until(f"  {list(Fault)[-1].value} ")
        assert all(f"  {fault.value} " in text for fault in Fault)
        assert (await running.stop())[0] == 0


async def test_it_runs_without_anybody_typing() -> None:
    """The end of the standard input, or none at all, does not end it."""
    null = os.open(os.devnull, os.O_RDONLY)
    try:
        async with simulator(*FREE, stdin=null) as running:
            address = Address(await running.line())
            async with await Client.connect(address) as client:
                assert await client.value("Type?") == "NL-43"
            assert (await running.stop())[0] == 0
    finally:
        os.close(null)
    async with simulator(*FREE) as running:
        address = Address(await running.line())
        assert running.process.stdin is not None
        running.process.stdin.write(b"clear")
        running.process.stdin.close()
        assert await running.line() == "no faults\n"
        async with await Client.connect(address) as client:
            assert await client.value("Type?") == "NL-43"
        assert (await running.stop())[0] == 0


async def test_help_shows_the_faults() -> None:
    """The help text has the table of faults."""
    async with simulator("--help") as running:
        text = (await running.process.communicate())[0].decode()
        assert running.process.returncode == 0
    assert all(f"  {fault.value} " in text for fault in Fault)
