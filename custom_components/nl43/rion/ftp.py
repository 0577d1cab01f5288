"""The meter's FTP server: active mode only, so the meter connects back to this machine.

Source of the facts: recorded on an NL-43. PASV, EPSV, MLSD and MLST are not implemented.

The standard library's client is not used: it cannot be stopped from another thread, waits for as
long as single bytes go on dripping in, and takes a data connection from anybody.
"""

from collections.abc import Generator
import contextlib
from contextlib import closing, contextmanager
from datetime import datetime
import math
import os
import re
import select
import socket
import threading
from time import monotonic
from typing import Final

from .errors import FtpDataError, FtpError, FtpLoginError, FtpNotFoundError, FtpUnreachableError
from .link import keep_alive
from .listing import MAX_LINE, Listing, parse_listing

PORT: Final = 21
# Seconds: a connect, a whole reply, the coming of a data connection, a pause in the data.
TIMEOUT: Final = 10.0
CHECK_LIMIT: Final = 30.0
# Seconds that a transfer may wait for data in all, and what a second more must bring (bytes):
# less than any link has that is of use.
PATIENCE: Final = 60.0
MIN_RATE: Final = 256
# Seconds: a session that ends need not wait long for a farewell.
_FAREWELL: Final = 2.0
MAX_LISTING: Final = 10_000
_MAX_REPLY_LINES: Final = 100
_CHUNK: Final = 262_144
# Names of a real meter are ASCII. Latin-1 takes any other byte too, and gives back the same.
_ENCODING: Final = "latin-1"

_CODE: Final = re.compile(r"[1-5][0-9]{2}(?![0-9])")


class FtpSession:
    """One login to the meter's FTP server, for one thread at a time; it blocks.

    Any method but `abort` belongs to the thread that uses the session. After an error the session
    goes on if server and client are still in step (a file that is not there), else it is closed:
    what is asked of it then ends in FtpUnreachableError. `open` may be called again.
    """

    def __init__(
        self, host: str, port: int, username: str, password: str, *, limit: float = math.inf
    ) -> None:
        """Take where and as whom to log in, and how many seconds the session may last.

        Nothing is connected yet. When the limit has passed, whatever still waits ends in
        FtpUnreachableError or FtpDataError; a name server may keep `open` for longer.
        """
        self._host = host
        self._port = port
        self._username = username
        self._password = password
        self._limit = limit
        self._ends = 0.0
        self._lock = threading.Lock()
        self._aborted = False
        # Its first end is waited on beside every socket, `abort` writes to the second.
        self._bell: tuple[socket.socket, socket.socket] | None = None
        self._control: socket.socket | None = None
        self._waiting = b""
        # Whether each command has its last reply.
        self._in_step = False

    def open(self) -> None:
        """Connect and log in.

        Raises FtpUnreachableError (no connection), FtpLoginError, or FtpError (what answers does
        not speak FTP). No text of an error has the name or the password.
        """
        self._drop()
        self._ends = monotonic() + self._limit
        with self._kept():
            with self._lock:
                if self._aborted:
                    raise _ended()
                self._bell = socket.socketpair()
            try:
                self._control = self._connect()
                self._waiting = b""
                greeting = self._reply(monotonic() + TIMEOUT)
            except (OSError, UnicodeError, FtpError) as err:
                msg = f"no FTP connection: {err}"
                raise FtpUnreachableError(msg) from err
            if not greeting.startswith("2"):
                msg = f"no FTP connection: a greeting of {greeting}"
                raise FtpUnreachableError(msg)
            self._in_step = True
            self._log_in()

    def list(self, folder: str, now: datetime) -> Listing:
        """Return what a folder holds; its path is absolute, such as `/NL-43/Auto_0019`.

        `now` is the meter's local time, without a zone: a listing leaves the year out. Raises
        FtpNotFoundError, FtpDataError (the data connection never came, or came from elsewhere),
        FtpUnreachableError, or FtpError, as for more than MAX_LISTING lines or one of more than
        MAX_LINE bytes. Waits PATIENCE seconds in all, and longer only for what comes at MIN_RATE.
        """
        _check_path(folder)
        with closing(self._list(folder)) as lines:
            return parse_listing(lines, now)

    def retrieve(self, path: str) -> Generator[bytes]:
        """Give a file's bytes as they arrive, 1 to 256 KiB at a time.

        Nothing is asked before the first one is. If the generator ends by itself, the meter has
        said that the file is whole. Raises FtpNotFoundError, FtpDataError, FtpError, or
        FtpUnreachableError, also when the file breaks off. Waits PATIENCE seconds in all for data,
        and longer only for what comes at MIN_RATE; the time between two chunks does not count.

        A generator closed before its end closes the session with it.
        """
        _check_path(path)
        folder, _, name = path.rpartition("/")
        if not name:
            msg = "the path of a folder, not of a file"
            raise FtpError(msg)
        with self._kept():
            # The name alone is the argument: it has blanks, and so might be cut in a longer one.
            self._enter(folder or "/")
            yield from self._transfer("TYPE I", f"RETR {name}")

    def abort(self) -> None:
        """End what the session waits for, now and ever after; may be called from any thread.

        The blocked call, and each later one, raises FtpUnreachableError and closes the session.
        Only the look-up of a host name is not cut short.
        """
        with self._lock:
            first = not self._aborted
            self._aborted = True
            if first and self._bell is not None:
                self._bell[1].send(b"\0")

    def close(self) -> None:
        """Say goodbye if that can be done within two seconds, and close; never raises."""
        if self._in_step and not self._aborted:
            self._ends = min(self._ends, monotonic() + _FAREWELL)
            with contextlib.suppress(FtpError, OSError):
                self._ask("QUIT")
        self._drop()

    @contextmanager
    def _kept(self) -> Generator[None]:
        """Close the session unless it ends in step, and give errors of sockets their name."""
        try:
            yield
        except TimeoutError as err:
            msg = "the FTP server did not answer in time"
            raise FtpUnreachableError(msg) from err
        except OSError as err:
            msg = f"the FTP connection was lost: {err}"
            raise FtpUnreachableError(msg) from err
        finally:
            if not self._in_step:
                self._drop()

    def _drop(self) -> None:
        """Close without a word."""
        with self._lock:
            bell, self._bell = self._bell, None
            control, self._control = self._control, None
            self._in_step = False
        for sock in (*(bell or ()), control):
            if sock is not None:
                sock.close()

    def _connected(self) -> socket.socket:
        """Return the control connection."""
        if self._control is None:
            raise _closed()
        return self._control

    # Waiting

    def _wait(
        self, until: float, sock: socket.socket, event: int, *, or_reply: bool = False
    ) -> bool:
        """Wait for a socket, or for a reply as well; tell whether it is the socket.

        Raises TimeoutError, and FtpUnreachableError when the session was aborted or closed.
        """
        if self._bell is None:
            raise _closed()
        poll = select.poll()
        poll.register(self._bell[0], select.POLLIN)
        poll.register(sock, event)
        has_reply = False
        if or_reply:
            poll.register(self._connected(), select.POLLIN)
            has_reply = b"\n" in self._waiting
        seconds = 0.0 if has_reply else max(min(until, self._ends) - monotonic(), 0.0)
        ready = poll.poll(seconds * 1000)
        if self._aborted:
            raise _ended()
        if not ready and not has_reply:
            msg = "timed out"
            raise TimeoutError(msg)
        return any(number == sock.fileno() for number, _ in ready)

    # The control connection

    def _connect(self) -> socket.socket:
        """Return a connection to the first address of the host that takes one."""
        error = OSError("the host has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(
            self._host, self._port, type=socket.SOCK_STREAM
        ):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(0)
                # A NAT on the way forgets a connection that is silent during a long transfer.
                keep_alive(sock)
                with contextlib.suppress(BlockingIOError):
                    sock.connect(address)
                self._wait(monotonic() + TIMEOUT, sock, select.POLLOUT)
                if number := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    error = OSError(number, os.strerror(number))
                else:
                    return sock
            except OSError as err:
                error = err
            except BaseException:
                sock.close()
                raise
            sock.close()
        raise error

    def _log_in(self) -> None:
        """Log in."""
        for line in (f"USER {self._username}", f"PASS {self._password}"):
            if not _can_be_sent(line):
                msg = "the FTP login has letters that cannot be sent"
                raise FtpLoginError(msg)
            code = self._ask(line)
            if code.startswith("2"):
                return
            if not code.startswith("3"):
                break
        self._in_step = False
        msg = "the FTP server refused the login"
        raise FtpLoginError(msg)

    def _enter(self, folder: str) -> None:
        """Make a folder the current one."""
        self._demand("the folder", self._ask(f"CWD {folder}"))

    def _demand(self, what: str, code: str, expected: str = "2") -> None:
        """Return if a reply is as expected; what the server says is left out.

        It may repeat any line that it got, the password too.
        """
        if code.startswith(expected):
            return
        if code == "550":
            msg = f"the FTP server does not find {what}"
            raise FtpNotFoundError(msg)
        if code in {"425", "426"}:
            msg = f"the FTP server could not open the data connection ({code})"
            raise FtpDataError(msg)
        msg = f"the FTP server refused {what} ({code})"
        raise FtpError(msg)

    def _ask(self, line: str) -> str:
        """Send a command and return its reply's code."""
        control = self._connected()
        if not self._in_step:
            msg = "the FTP session is in the middle of a transfer"
            raise FtpError(msg)
        self._in_step = False
        # What nobody asked for must not be taken for the answer.
        self._waiting = b""
        with contextlib.suppress(BlockingIOError):
            control.recv(MAX_LINE)
        until = monotonic() + TIMEOUT
        data = f"{line}\r\n".encode(_ENCODING)
        while data:
            self._wait(until, control, select.POLLOUT)
            data = data[control.send(data) :]
        code = self._reply(until)
        self._in_step = not code.startswith("1")
        return code

    def _last_reply(self) -> str:
        """Return the code of the reply that ends a transfer."""
        until = monotonic() + TIMEOUT
        # Some servers announce a transfer twice.
        for _ in range(_MAX_REPLY_LINES):
            code = self._reply(until)
            if not code.startswith("1"):
                return code
        raise _endless()

    def _reply(self, until: float) -> str:
        """Return the code of the next reply, which may be of several lines."""
        line = self._line(until)
        code = line[:3]
        if not _CODE.match(line):
            msg = "what answers does not speak FTP"
            raise FtpError(msg)
        if line[3:4] == "-":
            for _ in range(_MAX_REPLY_LINES):
                line = self._line(until)
                if line[:3] == code and line[3:4] != "-":
                    break
            else:
                raise _endless()
        if code == "421":
            msg = "the FTP server ended the session (421)"
            raise FtpUnreachableError(msg)
        return code

    def _line(self, until: float) -> str:
        """Return the next line of the control connection, without its end."""
        control = self._connected()
        while b"\n" not in self._waiting:
            if len(self._waiting) > MAX_LINE:
                msg = f"an FTP reply of more than {MAX_LINE} bytes"
                raise FtpError(msg)
            self._wait(until, control, select.POLLIN)
            data = control.recv(MAX_LINE)
            if not data:
                msg = "the FTP server ended the session"
                raise FtpUnreachableError(msg)
            self._waiting += data
        line, _, self._waiting = self._waiting.partition(b"\n")
        return _text(line)

    # Data connections

    def _list(self, folder: str = "") -> Generator[str]:
        """Give the lines of a folder's listing, or of the current one's, without their ends."""
        with self._kept():
            if folder:
                # Not as an argument of LIST, which may take its blanks for separators.
                self._enter(folder)
            rest = b""
            count = 0
            with closing(self._transfer("TYPE A", "LIST")) as chunks:
                for chunk in chunks:
                    *whole, rest = (rest + chunk).split(b"\n")
                    count += len(whole)
                    if count > MAX_LISTING:
                        msg = f"an FTP listing of more than {MAX_LISTING} lines"
                        raise FtpError(msg)
                    if any(len(raw) > MAX_LINE for raw in (*whole, rest)):
                        msg = f"an FTP listing with a line of more than {MAX_LINE} bytes"
                        raise FtpError(msg)
                    yield from (_text(raw) for raw in whole)
            yield _text(rest)

    def _transfer(self, kind: str, command: str) -> Generator[bytes]:
        """Give the data that a command brings, in chunks as they arrive."""
        what = "the listing" if command == "LIST" else "the file"
        self._demand("the kind of transfer", self._ask(kind))
        with self._listen() as listening:
            code = self._ask(command)
            if code.startswith("2"):
                # Some servers say 200 first.
                self._in_step = False
                code = self._reply(monotonic() + TIMEOUT)
            self._demand(what, code, "1")
            last, data = self._accept(listening, what)
        with data:
            waited = 0.0
            received = 0
            while True:
                began = monotonic()
                patience = PATIENCE + received / MIN_RATE - waited
                self._wait(began + min(TIMEOUT, patience), data, select.POLLIN)
                chunk = data.recv(_CHUNK)
                if not chunk:
                    break
                waited += monotonic() - began
                received += len(chunk)
                yield chunk
        code = last or self._last_reply()
        self._in_step = True
        if not code.startswith("2"):
            msg = f"{what} was lost on the way ({code})"
            raise FtpUnreachableError(msg)

    def _listen(self) -> socket.socket:
        """Listen for a data connection where the meter sees us, and tell it so."""
        control = self._connected()
        host = control.getsockname()[0]
        listening = socket.create_server((host, 0), family=control.family, backlog=1)
        try:
            listening.settimeout(0)
            self._offer(host, listening.getsockname()[1], long=control.family != socket.AF_INET)
        except BaseException:
            listening.close()
            raise
        return listening

    def _offer(self, host: str, port: int, *, long: bool) -> None:
        """Tell the meter where to connect to."""
        short = f"PORT {host.replace('.', ',')},{port // 256},{port % 256}"
        code = self._ask(f"EPRT |2|{host}|{port}|" if long else short)
        if not code.startswith("2"):
            msg = f"the FTP server refused to open a data connection ({code})"
            raise FtpDataError(msg)

    def _accept(self, listening: socket.socket, what: str) -> tuple[str, socket.socket]:
        """Return the data connection, and the last reply if that came before it."""
        control = self._connected()
        until = monotonic() + TIMEOUT
        last = ""
        try:
            # Packets of two connections may overtake each other: 226 alone is no end.
            for _ in range(_MAX_REPLY_LINES):
                if self._wait(until, listening, select.POLLIN, or_reply=not last):
                    break
                code = self._reply(until)
                if not code.startswith("1"):
                    self._in_step = True
                    self._demand(what, code)
                    self._in_step = False
                    last = code
            else:
                raise _endless()
        except TimeoutError as err:
            msg = "the FTP data connection never came"
            raise FtpDataError(msg) from err
        data, (host, *_) = listening.accept()
        if host != control.getpeername()[0]:
            data.close()
            msg = "the FTP data connection came from another address than the meter's"
            raise FtpDataError(msg)
        data.settimeout(0)
        return last, data


def check(host: str, port: int, username: str, password: str) -> None:
    """Log in and list the card; blocking, CHECK_LIMIT seconds at most.

    Raises FtpUnreachableError, FtpLoginError, FtpDataError or FtpError. Names nothing secret.
    """
    with closing(FtpSession(host, port, username, password, limit=CHECK_LIMIT)) as session:
        session.open()
        for _ in session._list():  # noqa: SLF001 - the times are of no interest here
            pass


def answers(host: str, port: int) -> bool:
    """Tell whether something accepts connections on the FTP port; blocking."""
    try:
        with socket.create_connection((host, port), timeout=TIMEOUT / 2):
            return True
    except OSError, UnicodeError:
        return False


def _closed() -> FtpUnreachableError:
    """Return the error of a session that is not open."""
    return FtpUnreachableError("the FTP session is closed")


def _ended() -> FtpUnreachableError:
    """Return the error of a session that was aborted."""
    return FtpUnreachableError("the FTP session was ended from here")


def _endless() -> FtpError:
    """Return the error of a server that does not come to an end."""
    return FtpError(f"an FTP reply of more than {_MAX_REPLY_LINES} lines")


def _text(raw: bytes) -> str:
    """Return the text of a line."""
    return raw.decode(_ENCODING).removesuffix("\r")


def _can_be_sent(text: str) -> bool:
    """Tell whether a text is one line of the letters that are sent."""
    try:
        text.encode(_ENCODING)
    except UnicodeEncodeError:
        return False
    return not set("\r\n\0") & set(text)


def _check_path(path: str) -> None:
    """Raise FtpError if a path is not absolute, or cannot be sent."""
    if not path.startswith("/") or not _can_be_sent(path):
        msg = "not a path of the meter's card"
        raise FtpError(msg)
