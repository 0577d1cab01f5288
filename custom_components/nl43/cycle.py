"""Measurement cycles: begin under a free store name; end, and bring home what was stored."""

import asyncio
from collections.abc import AsyncGenerator
import contextlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from homeassistant.exceptions import HomeAssistantError

from .const import LOGGER
from .control import (
    CONFIRM_LIMIT,
    ask_until_answered,
    async_set,
    async_set_quietly,
    async_start,
    async_stop,
    async_sync_clock_quietly,
    check_awake,
    commanding,
    refused,
    stores_results_only,
)
from .coordinator import Nl43Coordinator
from .errors import translated
from .files import Download, Nl43Files
from .rion import CommandError, Priority, ResultError, RionError, SpecificationError
from .rion.vocabulary import (
    FTP,
    MAX_STORE_NAME,
    MEASURE,
    OVERWRITE,
    STORE_NAME,
    OnOff,
    Overwrite,
    format_store_name,
)

# Each name costs three commands. Polls go on in between.
SEARCH_LIMIT: Final = 50


@dataclass(frozen=True, slots=True)
class StartedCycle:
    """A measurement that was started under a name that was free."""

    old_store_name: int
    new_store_name: int
    began: datetime


@dataclass(frozen=True, slots=True)
class StoppedCycle:
    """A measurement that was stopped, and what was brought home of it."""

    store_name: int
    path: str
    download: Download | None


async def async_start_cycle(
    coordinator: Nl43Coordinator, files: Nl43Files, *, sync_clock: bool
) -> StartedCycle:
    """Start under the next store name that holds no data; HomeAssistantError if there is none."""
    async with commanding(coordinator):
        check_awake(coordinator)
        if (await coordinator.async_ask(MEASURE, Priority.PERSON)).measuring:
            raise refused(coordinator, "already_measuring")
        # A meter that cannot tell what would be overwritten is left alone.
        await coordinator.meter.ask(OVERWRITE)
        old = await coordinator.async_ask(STORE_NAME, Priority.PERSON)
        if sync_clock:
            await async_sync_clock_quietly(coordinator)
        try:
            new = await _choose_free_name(coordinator, old)
            began = None if new is None else await async_start(coordinator)
        except RionError, HomeAssistantError, asyncio.CancelledError:
            await _put_back(coordinator, old)
            raise
        if new is None or began is None:
            await async_set_quietly(coordinator, STORE_NAME, old)
            raise refused(
                coordinator,
                "no_free_store_name",
                first=format_store_name(_following(old, 1)),
                last=format_store_name(_following(old, SEARCH_LIMIT)),
            )
    files.async_forget()
    return StartedCycle(old, new, began)


def _following(name: int, steps: int) -> int:
    """Return the store name some steps further; after 9999 comes 0."""
    return (name + steps) % (MAX_STORE_NAME + 1)


async def _choose_free_name(coordinator: Nl43Coordinator, old: int) -> int | None:
    """Set the next store name that is free, and return it; None if there is none near."""
    # No person's priority: levels go on being read between the questions.
    priority = Priority.READING
    for step in range(1, SEARCH_LIMIT + 1):
        name = _following(old, step)
        await async_set_quietly(coordinator, STORE_NAME, name, priority)
        if await coordinator.meter.ask(OVERWRITE, priority) is Overwrite.NONE:
            return name
    return None


async def _put_back(coordinator: Nl43Coordinator, old: int) -> None:
    """Set the old store name if nothing runs: the next start is to find what it would have found.

    Over a lost connection as well, as far as it comes back soon.
    """
    try:
        state = await ask_until_answered(coordinator, MEASURE, CONFIRM_LIMIT)
        if not state.measuring:
            await async_set_quietly(coordinator, STORE_NAME, old)
    except (RionError, HomeAssistantError) as err:
        LOGGER.warning(
            "%s: the store name could not be put back to %s: %s",
            coordinator.name,
            format_store_name(old),
            err,
        )


async def async_stop_cycle(
    coordinator: Nl43Coordinator, files: Nl43Files, *, download: bool
) -> StoppedCycle:
    """Stop, and copy the store into the media folder; a failed copy does not undo the stop."""
    if download and not files.has_login:
        raise refused(coordinator, "no_ftp_login")
    async with commanding(coordinator):
        # The folder that the meter stores into.
        kind = "Manual" if await stores_results_only(coordinator) else "Auto"
        name = await coordinator.async_ask(STORE_NAME, Priority.PERSON)
        await async_stop(coordinator)
    files.async_forget()
    folder = f"{kind}_{format_store_name(name)}"
    if not download:
        return StoppedCycle(name, folder, None)
    try:
        async with _ftp_on(coordinator):
            await files.async_until_ready()
            path = f"{(await files.async_root()).rstrip('/')}/{folder}"
            return StoppedCycle(name, path, await files.async_download(path))
    except HomeAssistantError as err:
        raise translated(
            HomeAssistantError,
            "stopped_not_saved",
            coordinator.config_entry,
            folder=folder,
            error=str(err),
        ) from err


@contextlib.asynccontextmanager
async def _ftp_on(coordinator: Nl43Coordinator) -> AsyncGenerator[None]:
    """Have the meter's FTP server on, and put it back afterwards as it was."""
    is_switched = False
    try:
        async with commanding(coordinator):
            was: OnOff | None = None
            # A meter that cannot say may have it on all the same.
            with contextlib.suppress(CommandError, SpecificationError):
                was = await coordinator.async_ask(FTP, Priority.PERSON)
            if was is OnOff.OFF:
                # Also where the answer is lost, and nobody knows.
                is_switched = True
                try:
                    await async_set_quietly(coordinator, FTP, OnOff.ON)
                except ResultError:
                    is_switched = False
                    raise
        yield
    finally:
        if is_switched:
            try:
                await async_set(coordinator, FTP, OnOff.OFF)
            except HomeAssistantError as err:
                LOGGER.warning("%s: FTP could not be switched off again: %s", coordinator.name, err)
