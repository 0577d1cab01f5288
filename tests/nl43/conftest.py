"""A Home Assistant in process and simulated meters on loopback sockets."""

from collections.abc import AsyncGenerator

from homeassistant.const import CONF_HOST, CONF_PORT
from homeassistant.core import HomeAssistant
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.entity import Entity
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

import custom_components  # noqa: F401 - so that Home Assistant finds it
from custom_components.nl43 import alarm, control, coordinator
from custom_components.nl43.const import CONF_FTP_PASSWORD, CONF_FTP_PORT, CONF_FTP_USERNAME, DOMAIN
from custom_components.nl43.rion import connection
from custom_components.nl43.watch import frame_signal
from nl43_sim import SimulatedMeter, SimulatorConfig

from .sound import Sound, dod_line
from .waiting import QUICK, until

__all__ = ["QUICK", "configured", "quick_meter", "until"]


def quick_meter(serial: str = "01234567") -> SimulatorConfig:
    """Return a measuring meter that is as quick as the tests' poller."""
    return SimulatorConfig(serial=serial, pace_limit=QUICK, answer_limit=3 * QUICK, latency=0.0)


@pytest.fixture(autouse=True)
def _real_sockets(socket_enabled: None, enable_custom_integrations: None) -> None:
    """Talk to the simulated meters over real sockets."""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every wait of the poller pass a hundred times as quickly."""
    for module, names in (
        (
            connection,
            (
                "PACE",
                "SETTLE",
                "STILL",
                "MAX_BACKOFF",
                "ANSWER_LIMIT",
            ),
        ),
        (coordinator, ("SLOT", "SLOT_INTERVAL", "FIRST_SLOT_INTERVAL", "WATCHED_BACKOFF")),
        (control, ("PACE", "CONFIRM_LIMIT")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name) * QUICK)
    # A hundredth of these is less than a busy machine needs now and then.
    for name in ("ANSWER_TIMEOUT", "CONNECT_TIMEOUT"):
        monkeypatch.setattr(connection, name, 20 * QUICK)
    monkeypatch.setattr(coordinator, "MAX_BACKOFF", connection.MAX_BACKOFF)
    real = connection.backoff
    for module in (connection, coordinator):
        monkeypatch.setattr(
            module, "backoff", lambda failures, limit: real(failures, limit / QUICK) * QUICK
        )


@pytest.fixture
def patient(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give answers a second to come, however busy this machine is."""
    for name in ("ANSWER_TIMEOUT", "CONNECT_TIMEOUT"):
        monkeypatch.setattr(connection, name, 1.0)


@pytest.fixture
async def sim(quick: None) -> AsyncGenerator[SimulatedMeter]:
    """Run a measuring meter that allows the tests' quick pace, and is never treated worse."""
    async with SimulatedMeter(quick_meter()) as meter:
        yield meter
        assert meter.violations == []


@pytest.fixture
def all_enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enable every entity, as a person would who wants to see all."""
    monkeypatch.setattr(Entity, "entity_registry_enabled_default", True)


def configured(
    hass: HomeAssistant, sim: SimulatedMeter, serial: str = "01234567"
) -> MockConfigEntry:
    """Return a meter that a person has configured, not set up yet."""
    entry = MockConfigEntry(
        domain=DOMAIN,
        title=f"NL-43 {serial}",
        unique_id=serial,
        data={
            CONF_HOST: sim.host,
            CONF_PORT: sim.port,
            CONF_FTP_PORT: sim.ftp_port,
            CONF_FTP_USERNAME: "USER",
            CONF_FTP_PASSWORD: "0000",
        },
        options={"scan_interval": 1, "live_interval": 1},
    )
    entry.add_to_hass(hass)
    return entry


@pytest.fixture
def entry(hass: HomeAssistant, sim: SimulatedMeter) -> MockConfigEntry:
    """Return the configured meter, not set up yet."""
    return configured(hass, sim)


@pytest.fixture
async def loaded(
    hass: HomeAssistant, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
) -> MockConfigEntry:
    """Return the configured meter, set up and read, however busy this machine is."""
    with monkeypatch.context() as patience:
        for name in ("ANSWER_TIMEOUT", "CONNECT_TIMEOUT"):
            patience.setattr(connection, name, 2.0)
        assert await hass.config_entries.async_setup(entry.entry_id)
        await hass.async_block_till_done()
    return entry


@pytest.fixture
def sound(
    hass: HomeAssistant,
    sim: SimulatedMeter,
    entry: MockConfigEntry,
    monkeypatch: pytest.MonkeyPatch,
) -> Sound:
    """Return the sound at the configured meter: quiet, until a test plays something."""
    made = Sound(sim)
    hass.config_entries.async_update_entry(
        entry, options={"scan_interval": 1, "live_interval": QUICK}
    )
    sim.replay_frames([dod_line(lp=30.0, leq=30.0)])
    monkeypatch.setattr(alarm, "monotonic", lambda: made.now)
    async_dispatcher_connect(hass, frame_signal(entry.entry_id), made.read)
    return made


@pytest.fixture
async def quiet(hass: HomeAssistant, loaded: MockConfigEntry) -> AsyncGenerator[MockConfigEntry]:
    """Add a second meter, at a quiet place, which is never treated worse either."""
    config = quick_meter("07654321")
    config.replay = [dod_line(lp=30.0)]
    async with SimulatedMeter(config) as sim:
        entry = configured(hass, sim, "07654321")
        assert await hass.config_entries.async_setup(entry.entry_id)
        await hass.async_block_till_done()
        yield entry
        assert await hass.config_entries.async_unload(entry.entry_id)
        assert sim.violations == []
