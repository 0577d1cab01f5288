"""The meter's FTP server: active mode only, so the meter connects back to this machine.

Source of the facts: recorded on an NL-43. PASV, EPSV, MLSD and MLST are not implemented.
"""

import contextlib
from ftplib import FTP, Error as FtpReplyError
import socket
from typing import Final, override

from .errors import FtpDataError, FtpError, FtpLoginError, FtpUnreachableError

PORT: Final = 21
TIMEOUT: Final = 10.0
MAX_LISTING: Final = 10_000
_DATA_REPLIES: Final = ("425", "426", "500", "501")


class _ActiveFtp(FTP):
    """ftplib's client, but for the port of a data connection that the server refuses."""

    @override
    def makeport(self) -> socket.socket:
        """Listen for a data connection where the meter sees us; closed if it will not come."""
        if self.sock is None:
            msg = "not connected"
            raise OSError(msg)
        host = self.sock.getsockname()[0]
        listening = socket.create_server((host, 0), family=self.af, backlog=1)
        try:
            port = listening.getsockname()[1]
            if self.af == socket.AF_INET:
                self.sendport(host, port)
            else:
                self.sendeprt(host, port)
            listening.settimeout(TIMEOUT)
        except BaseException:
            listening.close()
            raise
        return listening


def check(host: str, port: int, username: str, password: str) -> None:
    """Log in and list the card's root; blocking, some seconds at most.

    Raises FtpUnreachableError, FtpLoginError, FtpDataError or FtpError. Names nothing secret.
    """
    ftp = _ActiveFtp(timeout=TIMEOUT, encoding="latin-1")
    try:
        _connect(ftp, host, port)
        _login(ftp, username, password)
        _list(ftp)
        # After a failure the answers may be out of step: then it is only closed.
        with contextlib.suppress(OSError, EOFError, FtpReplyError):
            ftp.quit()
    finally:
        ftp.close()


def _connect(ftp: FTP, host: str, port: int) -> None:
    """Open the control connection."""
    try:
        ftp.connect(host, port)
    except (OSError, EOFError, UnicodeError, FtpReplyError) as err:
        msg = f"no FTP connection: {err}"
        raise FtpUnreachableError(msg) from err
    ftp.set_pasv(False)


def _login(ftp: FTP, username: str, password: str) -> None:
    """Log in; what ftplib says is left out, as it may repeat what was sent."""
    try:
        ftp.login(username, password)
    except FtpReplyError, ValueError:
        msg = "the FTP server refused the login"
        raise FtpLoginError(msg) from None
    except OSError, EOFError:
        msg = "the FTP server did not answer the login"
        raise FtpUnreachableError(msg) from None


def _list(ftp: FTP) -> list[str]:
    """Return the lines of the current folder's listing."""
    lines: list[str] = []

    def keep(line: str) -> None:
        if len(lines) >= MAX_LISTING:
            msg = f"a listing of more than {MAX_LISTING} lines"
            raise FtpError(msg)
        lines.append(line)

    try:
        ftp.retrlines("LIST", keep)
    except TimeoutError as err:
        msg = "the FTP data connection never came"
        raise FtpDataError(msg) from err
    except FtpReplyError as err:
        # What it says is left out: a server may repeat any line that it got.
        if str(err).startswith(_DATA_REPLIES):
            msg = "the FTP server could not open the data connection"
            raise FtpDataError(msg) from None
        msg = "the FTP server refused the listing"
        raise FtpError(msg) from None
    except (OSError, EOFError) as err:
        msg = "the FTP connection was lost"
        raise FtpUnreachableError(msg) from err
    return lines


def answers(host: str, port: int) -> bool:
    """Tell whether something accepts connections on the FTP port; blocking."""
    try:
        with socket.create_connection((host, port), timeout=TIMEOUT / 2):
            return True
    except OSError, UnicodeError:
        return False
