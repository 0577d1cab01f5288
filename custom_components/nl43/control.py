"""What a person has a meter do: sent once, confirmed by asking, refused in plain words."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
import contextlib
from datetime import datetime, timedelta
from typing import Any, Final

from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.util import dt as dt_util

from .coordinator import Nl43Coordinator
from .errors import translated, translation_key
from .rion import (
    ClosedError,
    CommandError,
    DesyncError,
    NoAnswerError,
    ParameterError,
    Priority,
    ResultError,
    RionError,
    SpecificationError,
    StateError,
)
from .rion.connection import PACE
from .rion.vocabulary import (
    CLOCK,
    FTP,
    MEASURE,
    OVERWRITE,
    PAUSE,
    SLEEP_MODE,
    STORE_MODE,
    STORE_NAME,
    Command,
    OnOff,
    Overwrite,
    RunState,
    Setting,
    StoreMode,
    format_store_name,
)

# Seconds in which a lost answer is made up for by asking what came of the command.
CONFIRM_LIMIT: Final = 30.0
# The clock shows whole seconds, and its answer takes a while on a slow link.
CLOCK_TOLERANCE: Final = timedelta(seconds=5)
_LACKING: Final = (CommandError, SpecificationError)
# Whether the meter got the command, nobody knows: it is asked, never repeated.
_LOST: Final = (NoAnswerError, ClosedError, DesyncError)
# What a running measurement does not keep a meter from: a refusal has another reason.
_WHILE_MEASURING: Final = (MEASURE.name, PAUSE.name, FTP.name)


class UnconfirmedError(RionError):
    """The answer to a command was lost, and the meter did not tell what came of it."""


# The verbs


async def async_set[T](coordinator: Nl43Coordinator, setting: Setting[T], value: T) -> None:
    """Set one thing; HomeAssistantError if the meter does not confirm it."""
    async with commanding(coordinator):
        await async_set_quietly(coordinator, setting, value)


async def async_measure(coordinator: Nl43Coordinator, *, on: bool) -> None:
    """Start or stop a measurement; what is stored already is never overwritten."""
    async with commanding(coordinator):
        if on:
            await _check_start(coordinator)
            await async_start(coordinator)
        else:
            await async_stop(coordinator)


async def async_pause(coordinator: Nl43Coordinator, *, on: bool) -> None:
    """Hold the running measurement, or go on with it."""
    async with commanding(coordinator):
        try:
            await async_set_quietly(coordinator, PAUSE, OnOff.ON if on else OnOff.OFF)
        except StateError as err:
            await _ask_why(coordinator)
            if coordinator.data.measuring is False:
                raise refused(coordinator, "not_measuring") from err
            raise


async def async_store(coordinator: Nl43Coordinator) -> None:
    """Store the last result on the card; there is nothing to ask about it afterwards."""
    async with commanding(coordinator):
        try:
            await coordinator.meter.store()
        except _LOST as err:
            if err.unsent:
                raise
            raise UnconfirmedError(str(err)) from err
        except StateError as err:
            await _ask_why(coordinator)
            check_awake(coordinator)
            raise refused(coordinator, "nothing_to_store") from err


async def async_sync_clock(coordinator: Nl43Coordinator) -> None:
    """Set the meter's clock to the site's local time."""
    async with commanding(coordinator):
        await async_sync_clock_quietly(coordinator)


async def async_reconnect(coordinator: Nl43Coordinator) -> None:
    """Give the connection up for a new one; HomeAssistantError if the meter is not there."""
    async with commanding(coordinator):
        if err := await coordinator.async_reconnect():
            raise _translated(coordinator, translation_key(err), err)


# Their parts, for those who command already


@contextlib.asynccontextmanager
async def commanding(coordinator: Nl43Coordinator) -> AsyncGenerator[None]:
    """Have the meter for one person's commands; its errors become Home Assistant's."""
    async with coordinator.command_lock:
        if not coordinator.polling:
            raise refused(coordinator, "standby")
        try:
            yield
        except RionError as err:
            if isinstance(err, StateError):
                await _ask_why(coordinator)
            raise _translated(coordinator, _explanation(coordinator, err), err) from err
        finally:
            coordinator.async_update_listeners()
            # The levels follow, however seldom they are read.
            coordinator.async_poll_soon()


async def async_set_quietly[T](
    coordinator: Nl43Coordinator,
    setting: Setting[T],
    value: T,
    priority: Priority = Priority.PERSON,
) -> None:
    """Set one thing while commanding."""
    await _do(
        coordinator,
        coordinator.meter.set(setting, value, priority),
        setting,
        lambda found: found == value,
        told=value,
    )


async def async_sync_clock_quietly(coordinator: Nl43Coordinator) -> None:
    """Set the clock while commanding, to the second that is nearest when it is sent."""

    def now() -> datetime:
        nearest = dt_util.now() + timedelta(seconds=0.5)
        return nearest.replace(microsecond=0, tzinfo=None)

    await _do(
        coordinator,
        coordinator.meter.set_clock(now),
        CLOCK,
        lambda shown: abs(shown - now()) <= CLOCK_TOLERANCE,
    )


async def async_start(coordinator: Nl43Coordinator) -> datetime:
    """Start a measurement while commanding; return when the meter began."""
    began = await _run(coordinator, RunState.START)
    # The meter may count its stores by itself.
    coordinator.async_doubt(STORE_NAME)
    # Whether it is paused needs to be known before it shows as measuring.
    with contextlib.suppress(RionError):
        await coordinator.async_ask(PAUSE, Priority.PERSON)
    return began


async def async_stop(coordinator: Nl43Coordinator) -> None:
    """Stop the measurement while commanding."""
    await _run(coordinator, RunState.STOP)


async def _would_overwrite(coordinator: Nl43Coordinator) -> bool:
    """Tell whether a measurement would overwrite stored data, as far as the meter can tell."""
    try:
        return await coordinator.meter.ask(OVERWRITE, Priority.PERSON) is Overwrite.EXIST
    except _LACKING:
        return False


async def _run(coordinator: Nl43Coordinator, wanted: RunState) -> datetime:
    """Start or stop; return when the meter said that it did."""
    said_at: list[datetime] = []

    async def send() -> None:
        await coordinator.meter.set(MEASURE, wanted)
        said_at.append(dt_util.utcnow())
        if wanted.measuring:
            coordinator.told_start = said_at[0]

    def is_done(found: RunState) -> bool:
        return found.measuring is wanted.measuring

    await _do(coordinator, send(), MEASURE, is_done, told=wanted)
    return said_at[0] if said_at else dt_util.utcnow()


async def _check_start(coordinator: Nl43Coordinator) -> None:
    """Refuse a start that would overwrite data, or that a sleeping meter would not do."""
    check_awake(coordinator)
    # Somebody may have been at the meter since it was asked last.
    if (await coordinator.async_ask(MEASURE, Priority.PERSON)).measuring:
        return
    by_hand = coordinator.data.get(STORE_MODE) is StoreMode.MANUAL
    if by_hand and await stores_results_only(coordinator):
        return
    if await _would_overwrite(coordinator) and not await stores_results_only(coordinator):
        name = await coordinator.async_ask(STORE_NAME, Priority.PERSON)
        raise refused(coordinator, "would_overwrite", name=format_store_name(name))


async def stores_results_only(coordinator: Nl43Coordinator) -> bool:
    """Tell whether a measurement leaves the card alone: by hand, result is put after result."""
    try:
        return await coordinator.async_ask(STORE_MODE, Priority.PERSON) is StoreMode.MANUAL
    except _LACKING:
        return False


def check_awake(coordinator: Nl43Coordinator) -> None:
    """Refuse what wakes a meter by surprise: a person switches its sleep mode off first."""
    if coordinator.data.get(SLEEP_MODE) is OnOff.ON:
        raise refused(coordinator, "sleep_mode")


async def _do[T](
    coordinator: Nl43Coordinator,
    sending: Awaitable[None],
    question: Command[T],
    is_done: Callable[[T], bool],
    told: T | None = None,
) -> None:
    """Send a command once, and ask what came of it; RionError if it was not done."""
    failure: RionError | None = None
    try:
        await sending
    except (StateError, *_LOST) as err:
        if err.unsent:
            raise
        failure = err
    lost = isinstance(failure, _LOST)
    try:
        found = await ask_until_answered(coordinator, question, CONFIRM_LIMIT if lost else 0.0)
    except RionError:
        if not failure and told is not None:
            # The meter has said done; asleep, for one, it says nothing more.
            coordinator.async_learn(question, told)
        coordinator.async_doubt(question)
        if lost:
            raise UnconfirmedError(str(failure)) from failure
        if failure:
            raise failure from None
        return
    if is_done(found):
        # Also where it refused because it was so already.
        return
    if isinstance(failure, StateError):
        raise failure
    key = "not_done" if lost else "not_taken"
    raise translated(HomeAssistantError, key, coordinator.config_entry)


async def _ask_why(coordinator: Nl43Coordinator) -> None:
    """Ask what may keep a meter from doing what it was told; what is known may be old."""
    with contextlib.suppress(RionError):
        await coordinator.async_ask(MEASURE, Priority.PERSON)
        if coordinator.data.get(SLEEP_MODE) is not None:
            return
    with contextlib.suppress(RionError):
        await coordinator.async_ask(SLEEP_MODE, Priority.PERSON)


async def ask_until_answered[T](
    coordinator: Nl43Coordinator, question: Command[T], seconds: float
) -> T:
    """Ask once, and again over a lost connection until the time is up."""
    loop = coordinator.hass.loop
    deadline = loop.time() + seconds
    while True:
        connection = coordinator.meter.connection
        try:
            return await coordinator.async_ask(question, Priority.PERSON)
        except ResultError:
            raise
        except RionError:
            pause = max(connection.reconnect_in, PACE)
            if connection.is_closed or loop.time() + pause > deadline:
                raise
            await asyncio.sleep(pause)


def refused(coordinator: Nl43Coordinator, key: str, **words: Any) -> ServiceValidationError:
    """Return the error of a command that was not sent, or not done for a plain reason."""
    return translated(ServiceValidationError, key, coordinator.config_entry, **words)


def _translated(coordinator: Nl43Coordinator, key: str, err: RionError) -> HomeAssistantError:
    """Return the error of a command that went wrong on the way or at the meter."""
    return translated(HomeAssistantError, key, coordinator.config_entry, error=str(err))


def _explanation(coordinator: Nl43Coordinator, err: RionError) -> str:
    """Return the key of the text that says why a meter did not do what it was told."""
    if isinstance(err, StateError):
        if coordinator.data.get(SLEEP_MODE) is OnOff.ON:
            return "sleep_mode"
        in_the_way = err.command.partition(",")[0] not in _WHILE_MEASURING
        measuring = in_the_way and coordinator.data.measuring
        return "refused_measuring" if measuring else "refused_state"
    kinds: dict[type[RionError] | tuple[type[RionError], ...], str] = {
        ParameterError: "refused_value",
        _LACKING: "not_installed",
        UnconfirmedError: "unconfirmed",
        # It is the right meter, and it talks, perhaps to somebody else.
        DesyncError: "silent",
    }
    return next((key for kind, key in kinds.items() if isinstance(err, kind)), translation_key(err))
