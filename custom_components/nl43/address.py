"""Where a meter is, and which one answers there."""

import asyncio
from dataclasses import dataclass
import re
from typing import Final

from homeassistant.core import HomeAssistant
from homeassistant.util.hass_dict import HassKey
from homeassistant.util.network import is_ip_address

from .const import DOMAIN
from .rion import (
    ClosedError,
    CommandError,
    DesyncError,
    Meter,
    NoAnswerError,
    Priority,
    SpecificationError,
)
from .rion.protocol import is_result
from .rion.vocabulary import TYPE

MAX_HOST: Final = 253
# A part of a host name; letters of any script, as names can be international.
_LABEL: Final = re.compile(r"(?!-)[\w-]{1,63}(?<!-)")
_NUMERIC: Final = re.compile(r"[\d.]+")
# Two names may lead to one meter, which takes one connection.
_PROBING: HassKey[asyncio.Lock] = HassKey(f"{DOMAIN}_probing")


def clean_host(text: str) -> str | None:
    """Return a host name or IP address as it is to be kept, None if it is neither."""
    host = text.strip().removeprefix("[").removesuffix("]").removesuffix(".")
    if len(host) > MAX_HOST or not host.isprintable() or " " in host:
        return None
    if is_ip_address(host):
        return host
    is_name = all(_LABEL.fullmatch(label) for label in host.split("."))
    return host if is_name and not _NUMERIC.fullmatch(host) else None


async def _addresses(hass: HomeAssistant, host: str) -> set[str]:
    """Return the IP addresses of a host; none if nobody knows its name."""
    if is_ip_address(host):
        return {host}
    try:
        found = await hass.loop.getaddrinfo(host, None)
    except OSError, UnicodeError:
        return set()
    return {str(address[0]) for *_, address in found}


async def is_same_host(hass: HomeAssistant, one: str, other: str) -> bool:
    """Tell whether two names or IP addresses are those of one host."""
    if one == other:
        return True
    found = await asyncio.gather(_addresses(hass, one), _addresses(hass, other))
    return not found[0].isdisjoint(found[1])


@dataclass(frozen=True, slots=True)
class Identity:
    """Which meter answers; `model` is None where it does not tell."""

    model: str | None
    serial: str


async def probe(meter: Meter) -> Identity:
    """Ask a meter who it is; RionError if none answers."""
    try:
        model: str | None = await meter.ask(TYPE, Priority.PERSON)
    except CommandError, SpecificationError:
        if meter.serial is None:
            raise
        model = None
    return Identity(model, str(meter.serial))


async def probe_address(hass: HomeAssistant, host: str, port: int) -> Identity:
    """Ask whoever answers at an address who it is and for its levels, one probe at a time."""
    async with hass.data.setdefault(_PROBING, asyncio.Lock()):
        return await _probe_alone(host, port)


async def _probe_alone(host: str, port: int) -> Identity:
    """Ask over an own connection: no poller and no other probe may have one to this meter."""
    meter = Meter(host, port)
    try:
        identity = await probe(meter)
        await meter.reading(Priority.PERSON)
    except (NoAnswerError, ClosedError) as err:
        exchanges = meter.connection.statistics.recent
        lines = [line for exchange in exchanges for line in exchange.lines]
        if lines and not any(map(is_result, lines)):
            # It talks, but not like a meter: a web server, for one.
            raise DesyncError(str(err)) from err
        raise
    else:
        return identity
    finally:
        await meter.close()
