"""A Home Assistant in process and simulated meters on loopback sockets."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

from homeassistant.const import CONF_HOST, CONF_PORT
from homeassistant.core import HomeAssistant
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

import custom_components  # noqa: F401 - so that Home Assistant finds it
from custom_components.nl43 import coordinator
from custom_components.nl43.const import DOMAIN
from custom_components.nl43.rion import connection
from nl43_sim import SimulatedMeter, SimulatorConfig

# The tests' meters are a hundred times as quick, and judge their clients by that pace.
QUICK = 0.01


@pytest.fixture(autouse=True)
def _real_sockets(socket_enabled: None, enable_custom_integrations: None) -> None:
    """Talk to the simulated meters over real sockets."""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every wait of the poller pass a hundred times as quickly."""
    for module, names in (
        (connection, ("PACE", "SETTLE", "STILL", "MAX_BACKOFF")),
        (coordinator, ("SLOT", "SLOT_INTERVAL", "WATCHED_BACKOFF")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name) * QUICK)
    monkeypatch.setattr(coordinator, "MAX_BACKOFF", connection.MAX_BACKOFF)
    real = connection.backoff
    for module in (connection, coordinator):
        monkeypatch.setattr(
            module, "backoff", lambda failures, limit: real(failures, limit / QUICK) * QUICK
        )


@pytest.fixture
async def sim(quick: None) -> AsyncGenerator[SimulatedMeter]:
    """A measuring meter that allows the tests' quick pace, and is never treated worse."""
    config = SimulatorConfig(pace_limit=QUICK, latency=0.0)
    async with SimulatedMeter(config) as meter:
        yield meter
        assert meter.violations == []


@pytest.fixture
def entry(hass: HomeAssistant, sim: SimulatedMeter) -> MockConfigEntry:
    """The configured meter, not set up yet."""
    entry = MockConfigEntry(
        domain=DOMAIN,
        title="NL-43 01234567",
        unique_id="01234567",
        data={CONF_HOST: sim.host, CONF_PORT: sim.port},
        options={"scan_interval": 1, "live_interval": 1},
    )
    entry.add_to_hass(hass)
    return entry
