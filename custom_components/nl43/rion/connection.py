"""The one connection to a meter: one command at a time, in order of who asks, at its pace.

Facts of the field: the meter takes one connection, wants 1.0 s of rest after each answer, and
stops listening for good when it is connected to over and over. So the socket is kept as long
as it lives, and after a loss the next connect waits for a growing backoff.
"""

import asyncio
from collections.abc import Callable
import contextlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import IntEnum
import heapq
import itertools
from typing import Any, Final, cast

from .errors import ClosedError, DesyncError, RefusedError, ResultError, RionError, UnreachableError
from .history import Exchange, Statistics
from .link import Link
from .protocol import SUBSTITUTE, check_result, encode, is_result

# The guide: the next command at least 1 s after the answer.
PACE: Final = 1.0
# The guide: answers within 3 s.
ANSWER_LIMIT: Final = 3.0
# The same, with time for a slow cellular link.
ANSWER_TIMEOUT: Final = 5.0
# Three attempts of the operating system; a dead meter must not hold up the start of others.
CONNECT_TIMEOUT: Final = 5.0
# A second answer glued to the first shows within this time; the pace hides the wait.
SETTLE: Final = 0.1
# A stream sends a line every 100 ms: after so long without one it has stopped.
STILL: Final = 0.5
# Lines without a result code that may come before the answer's own.
MAX_STRAY_LINES: Final = 8
MAX_BACKOFF: Final = 60.0


class Priority(IntEnum):
    """Who goes first: a person's command, the live reading, a slow question."""

    PERSON = 0
    READING = 1
    SLOW = 2


@dataclass(frozen=True, slots=True)
class _Job:
    """One command waiting for its turn; `parse` is None for a setting.

    With `late` the command is worded by it in the moment of sending.
    """

    command: str
    parse: Callable[[str], Any] | None
    stream: bool
    priority: Priority
    answer: asyncio.Future[Any]
    late: Callable[[], str] | None = None


# Reconnects that a person asks for wait no longer than after so many losses, but that long.
ASKED_LOSSES: Final = 3


@dataclass(frozen=True, slots=True)
class Greeting:
    """What is asked first on each new socket; a parse that raises closes it again."""

    request: str
    parse: Callable[[str], Any]


def backoff(failures: int, limit: float = MAX_BACKOFF) -> float:
    """Return how many seconds to wait after so many failures in a row: 1, 2, 4 ... limit."""
    return min(2.0 ** min(failures - 1, 10), limit)


class Connection:
    """A queue of commands before one kept socket.

    One task owns the socket and does one command after the other, so a caller that is
    cancelled leaves the connection in step: its answer is still read, and thrown away.
    """

    def __init__(self, host: str, port: int, *, greeting: Greeting | None = None) -> None:
        """Prepare; the socket is opened by the first command."""
        self._host = host
        self._port = port
        self._greeting = greeting
        self._loop = asyncio.get_running_loop()
        self._queue: list[tuple[int, int, _Job]] = []
        self._order = itertools.count()
        self._changed = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._link: Link | None = None
        self._rest_since = -PACE
        self._losses = 0
        self._lost_at = 0.0
        self._opened_at = 0.0
        self._lost_by: RionError = ClosedError("not connected yet")
        self._misfits: set[str] = set()
        self._max_backoff = MAX_BACKOFF
        self._closed = False
        self.statistics = Statistics()

    @property
    def is_open(self) -> bool:
        """Whether the socket is open now."""
        return self._link is not None and self._link.alive

    @property
    def is_closed(self) -> bool:
        """Whether it was given up for good."""
        return self._closed

    @property
    def max_backoff(self) -> float:
        """Longest wait in seconds before a reconnect; another one counts at once."""
        return self._max_backoff

    @max_backoff.setter
    def max_backoff(self, seconds: float) -> None:
        self._max_backoff = seconds
        self._changed.set()

    @property
    def reconnect_in(self) -> float:
        """Seconds until the next connect may be tried, 0 where none is needed."""
        if self._link is not None and not self._link.alive:
            self._lose(ClosedError("the meter closed the connection"))
        if self._link is not None or not self._losses:
            return 0.0
        return self._lost_at + backoff(self._losses, self._max_backoff) - self._loop.time()

    def check_reconnect(self) -> None:
        """Raise what closed the connection if its reopening is more than a command away."""
        if self.reconnect_in > PACE:
            # A new one each time: one error raised again and again would grow by a traceback.
            raise self._lost_by.of_unsent()

    async def ask[T](
        self,
        request: str,
        parse: Callable[[str], T],
        priority: Priority,
        *,
        stream: bool = False,
    ) -> T:
        """Send a request and return what `parse` makes of its data line.

        `stream`: the meter sends lines until told to stop; the first one is taken.
        """
        answer = await self._submit(request, parse, priority, stream=stream)
        return cast("T", answer)

    async def tell(
        self, setting: str, priority: Priority, *, late: Callable[[], str] | None = None
    ) -> None:
        """Send a setting, once, and return when the meter says done.

        `late` words it anew in the moment of sending: a time must not grow old in the queue.
        """
        await self._submit(setting, None, priority, late=late)

    def renew(self) -> None:
        """Give the socket up for a new one, soon: a person asks for it.

        Whoever asks again and again still leaves the meter its backoff of some seconds.
        """
        if self._link is not None:
            self._lose(ClosedError("a person asked for a new connection"))
        self._losses = min(self._losses, ASKED_LOSSES)
        self._changed.set()

    async def close(self) -> None:
        """Close the socket, and end every waiting command with ClosedError.

        Returns when the meter has had its rest: whoever connects next may speak at once.
        """
        self._closed = True
        link = self._link
        # All is given up before the first await: who closes may be cancelled, too.
        for _, _, job in self._queue:
            if not job.answer.done():
                job.answer.set_exception(ClosedError("this connection is closed").of_unsent())
        self._queue.clear()
        if link is not None:
            link.close()
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])
        if link is not None:
            await asyncio.shield(link.closed)
        await self._rest()

    async def _submit(
        self,
        command: str,
        parse: Callable[[str], Any] | None,
        priority: Priority,
        *,
        stream: bool = False,
        late: Callable[[], str] | None = None,
    ) -> object:
        """Queue a command and wait for its answer."""
        if self._closed:
            raise ClosedError("this connection is closed").of_unsent()
        encode(command)
        if priority is Priority.PERSON:
            # A person is told at once, not after a long backoff, and nothing was sent.
            self.check_reconnect()
        job = _Job(command, parse, stream, priority, self._loop.create_future(), late)
        heapq.heappush(self._queue, (priority, next(self._order), job))
        self._changed.set()
        if self._worker is None:
            self._worker = self._loop.create_task(self._work())
        return await job.answer

    async def _work(self) -> None:
        """Serve the queue until closed."""
        while True:
            await self._until_ready()
            _, _, job = heapq.heappop(self._queue)
            if job.answer.done():
                continue
            try:
                answer = await self._serve(job)
            except Exception as err:  # noqa: BLE001 - its caller's, and this task serves all callers
                if not job.answer.done():
                    job.answer.set_exception(err)
            except BaseException:
                if not job.answer.done():
                    job.answer.set_exception(ClosedError("given up while in flight"))
                raise
            else:
                if not job.answer.done():
                    job.answer.set_result(answer)

    async def _until_ready(self) -> None:
        """Return when a command waits and the meter may be spoken to."""
        while True:
            self._changed.clear()
            pause = None
            if self._queue:
                pause = max(self._rested_at - self._loop.time(), self.reconnect_in)
                if pause <= 0:
                    return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._changed.wait()

    @property
    def _rested_at(self) -> float:
        """When the pace allows the next command; a prompt that comes late puts it off."""
        late = self._rest_since if self._link is None else self._link.arrived
        # A meter that never stops talking would put it off for ever.
        return PACE + min(max(self._rest_since, late), self._rest_since + ANSWER_LIMIT)

    async def _serve(self, job: _Job) -> object:
        """Do one command, on a new socket where there is none."""
        if (link := self._link) is None:
            try:
                link = self._link = await self._open()
                await self._greet(link)
            except RionError as err:
                self._lose(err)
                raise err.of_unsent() from err
            except BaseException:
                self._lose(ClosedError("given up while connecting"))
                raise
        if job.answer.cancelled():
            # Nobody wants it any more, and a setting must not be sent on the quiet.
            return None
        try:
            answer = await self._transact(link, job)
        except ResultError:
            self._in_step()
            raise
        except DesyncError as err:
            if job.command in self._misfits:
                # Draining before this command did not help.
                self._lose(err)
            else:
                # Different questions may each have an answer in words that nobody knows.
                self._misfits.add(job.command)
            raise
        except RionError as err:
            self._lose(err)
            raise
        except BaseException:
            # Cancelled in mid-answer by close(): nobody may ask on this socket again.
            self._lose(ClosedError("given up while in flight"))
            raise
        self._in_step()
        return answer

    async def _open(self) -> Link:
        """Return a new socket."""
        # Not every kind of loop can tell the errors of a name's addresses apart; asyncio's own can.
        loop = cast("asyncio.BaseEventLoop", self._loop)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                _, link = await loop.create_connection(
                    Link, self._host, self._port, all_errors=True
                )
        except TimeoutError as err:
            msg = "no connection in time"
            raise UnreachableError(msg) from err
        except ExceptionGroup as err:
            # One error for each address that the host name has.
            if err.subgroup(ConnectionRefusedError):
                msg = "the connection was refused"
                raise RefusedError(msg) from err
            msg = f"no connection: {err.exceptions[0]}"
            raise UnreachableError(msg) from err
        except (OSError, ValueError, OverflowError) as err:
            # A host name that nobody knows, or what is none; a port that there is not.
            msg = f"no connection: {err}"
            raise UnreachableError(msg) from err
        self.statistics.connects += 1
        self._opened_at = self._loop.time()
        return link

    async def _greet(self, link: Link) -> None:
        """Ask what is asked first on each new socket."""
        if (greeting := self._greeting) is not None:
            hello = _Job(
                greeting.request,
                greeting.parse,
                stream=False,
                priority=Priority.SLOW,
                answer=self._loop.create_future(),
            )
            await self._transact(link, hello)
            await self._rest()

    async def _rest(self) -> None:
        """Let the pace pass."""
        while (pause := self._rested_at - self._loop.time()) > 0:  # noqa: ASYNC110 - for time alone
            await asyncio.sleep(pause)

    async def _transact(self, link: Link, job: _Job) -> object:
        """Send one command, return its answer, and keep the exchange for diagnostics."""
        if job.late is not None:
            job = replace(job, command=job.late())
        started = self._loop.time()
        error: BaseException | None = None
        try:
            link.send(encode(job.command))
            return await self._answer(link, job, started + ANSWER_TIMEOUT)
        except BaseException as err:
            error = err
            raise
        finally:
            ended = self._loop.time()
            if error is None or isinstance(error, ResultError):
                ended = self._rest_since = link.arrived
            else:
                # The right answer may still be on its way: it is waited for, and then drained.
                self._rest_since = max(ended, started + ANSWER_LIMIT - PACE)
            self.statistics.add(
                Exchange(
                    datetime.now(UTC).isoformat(timespec="milliseconds"),
                    job.command,
                    tuple(link.received),
                    round(ended - started, 4),
                    None if error is None else f"{type(error).__name__}: {error}",
                )
            )

    @classmethod
    async def _answer(cls, link: Link, job: _Job, deadline: float) -> object:
        """Read one answer, and see that nothing else comes after it."""
        try:
            answer = await cls._read(link, job, deadline)
        except ResultError:
            await cls._settle(link, job)
            raise
        except DesyncError:
            if job.stream:
                # It may stream all the same.
                await cls._stop(link, deadline)
            raise
        if job.stream:
            await cls._stop(link, deadline)
        else:
            await cls._settle(link, job)
        return answer

    @staticmethod
    async def _read(link: Link, job: _Job, deadline: float) -> object:
        """Read the result line, and the data line of a question."""
        for _ in range(MAX_STRAY_LINES):
            line = await link.line(deadline)
            if is_result(line):
                check_result(line, job.command)
                return job.parse and job.parse(await link.line(deadline))
        msg = f"no result code in the answer to {job.command!r}"
        raise DesyncError(msg)

    @staticmethod
    async def _stop(link: Link, deadline: float) -> None:
        """Stop a stream, and wait until it is still."""
        link.write(SUBSTITUTE)
        await link.quiet(STILL, deadline)

    @staticmethod
    async def _settle(link: Link, job: _Job) -> None:
        """Raise DesyncError if a second answer came: which one was meant, nobody knows."""
        await asyncio.sleep(SETTLE)
        if link.note_leftover():
            msg = f"more than one answer to {job.command!r}"
            raise DesyncError(msg)

    def _in_step(self) -> None:
        """Note that command and answer fitted."""
        self._misfits.clear()
        # A socket that dies young again and again must not be reopened every second.
        if self._loop.time() - self._opened_at >= MAX_BACKOFF:
            self._losses = 0

    def _lose(self, error: RionError) -> None:
        """Close the socket, if there is one, and start the backoff."""
        if self._link is not None:
            self._link.close()
            self._link = None
        self._misfits.clear()
        self._losses += 1
        self._lost_at = self._loop.time()
        self._lost_by = error
        if self.reconnect_in > PACE:
            self._give_up_waiting(error)

    def _give_up_waiting(self, error: RionError) -> None:
        """Tell the persons who wait that nothing was sent, rather than send it much later."""
        for priority, _, job in self._queue:
            if priority is Priority.PERSON and not job.answer.done():
                job.answer.set_exception(error.of_unsent())
