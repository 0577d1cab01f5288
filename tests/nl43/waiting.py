"""Waiting in tests: for what is to come, never for a while."""

import asyncio
from collections.abc import Callable

# The tests' meters are a hundred times as quick, and judge their clients by that pace.
QUICK = 0.01


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until a condition holds; fail when it does not come true."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - any condition, not only an event
            await asyncio.sleep(0.005)
