"""The meter's FTP server: active mode only, so the meter connects back to this machine.

Source of the facts: recorded on an NL-43. PASV, EPSV, MLSD and MLST are not implemented.
"""

import contextlib
from ftplib import FTP, Error as FtpReplyError
import socket
from typing import Final

from .errors import FtpDataError, FtpError, FtpLoginError, FtpUnreachableError

PORT: Final = 21
TIMEOUT: Final = 10.0
MAX_LISTING: Final = 10_000
_DATA_REPLIES: Final = ("425", "426", "500", "501")


def check(host: str, port: int, username: str, password: str) -> None:
    """Log in and list the card's root; blocking, some seconds at most.

    Raises FtpUnreachableError, FtpLoginError, FtpDataError or FtpError. Names nothing secret.
    """
    ftp = FTP(timeout=TIMEOUT, encoding="latin-1")  # noqa: S321 - the meter has no other
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
        if str(err).startswith(_DATA_REPLIES):
            msg = "the FTP server could not open the data connection"
            raise FtpDataError(msg) from err
        msg = "the FTP server refused the listing"
        raise FtpError(msg) from err
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
