"""Diagnostics: enough to make a fixture of, nothing of who and where."""

from typing import Any, Final

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.nl43.diagnostics import _hide
from custom_components.nl43.rion import dod
from nl43_sim import Fault, SimulatedMeter

from .conftest import until

pytestmark = [
    pytest.mark.usefixtures("patient"),
    # Home Assistant's own http component keeps its keys as texts.
    pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey"),
]

SERIAL: Final = "01234567"
OTHER_SERIAL: Final = "76543210"
SECRETS: Final = {
    "ftp_username": "the-observer",
    "ftp_password": "swordfish",
    "mac": "00:10:50:aa:bb:cc",
}
HIDDEN: Final = "**REDACTED**"


@pytest.fixture
def entry(entry: MockConfigEntry, hass: HomeAssistant) -> MockConfigEntry:
    """Return an entry that knows every secret; its title has the serial number."""
    hass.config_entries.async_update_entry(entry, data={**entry.data, **SECRETS})
    assert SERIAL in entry.title
    return entry


async def download(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, entry: MockConfigEntry
) -> dict[str, Any]:
    """Return the report as a person downloads it, after a look for secrets in all of it."""
    assert await async_setup_component(hass, "diagnostics", {})
    client = await hass_client()
    response = await client.get(f"/api/diagnostics/config_entry/{entry.entry_id}")
    assert response.status == 200
    text = await response.text()
    for secret in (SERIAL, OTHER_SERIAL, entry.data["host"], *SECRETS.values()):
        assert secret not in text
    report: dict[str, Any] = (await response.json())["data"]
    return report


async def test_report(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    hass_client: ClientSessionGenerator,
) -> None:
    """The raw last answers are there and can be read again, with what the poller knows."""
    await until(lambda: "System Version" in loaded.runtime_data.coordinator.data.facts)
    report = await download(hass, hass_client, loaded)
    assert report["entry"]["data"] == {
        "host": HIDDEN,
        "port": sim.port,
        "ftp_port": sim.ftp_port,
        "ftp_username": HIDDEN,
        "ftp_password": HIDDEN,
        "mac": HIDDEN,
    }
    assert report["entry"]["options"] == {"scan_interval": 1, "live_interval": 1}
    assert report["entry"]["state"] == "loaded"
    assert report["meter"]["model"] == "NL-43"
    assert report["meter"]["firmware"] == "01.02.0107"
    assert report["poller"]["connection"] == "connected"
    assert report["poller"]["available"] is True
    assert report["connection"]["connects"] == 1
    answers = report["connection"]["last_answers"]
    assert answers["Serial Number?"]["lines"] == ["R+0000", HIDDEN]
    assert answers["DOD?"]["error"] is None
    assert answers["DOD?"]["seconds"] > 0
    result, frame = answers["DOD?"]["lines"]
    assert result == "R+0000"
    assert dod.parse_reading(frame).main.lp is not None
    assert [exchange["command"] for exchange in report["connection"]["recent"]][:2] == [
        "Serial Number?",
        "DOD?",
    ]


async def test_serial_number_among_stray_lines(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    hass_client: ClientSessionGenerator,
) -> None:
    """An answer that came out of step does not tell the serial number either."""
    sim.replay_frames([SERIAL])
    coordinator = loaded.runtime_data.coordinator
    await until(lambda: coordinator.failures)
    report = await download(hass, hass_client, loaded)
    assert report["connection"]["last_answers"]["DOD?"]["lines"] == ["R+0000", HIDDEN]
    assert report["connection"]["errors"] > 0


async def test_another_meter_answers(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    hass_client: ClientSessionGenerator,
) -> None:
    """The last error says what is wrong without either serial number."""
    sim.config.serial = OTHER_SERIAL
    await sim.drop_connection()
    await until(lambda: not loaded.runtime_data.coordinator.last_update_success)
    report = await download(hass, hass_client, loaded)
    assert report["poller"]["available"] is False
    assert "WrongMeterError" in report["poller"]["last_error"]
    assert report["poller"]["last_error"].count(HIDDEN) == 2


async def test_meter_that_is_not_set_up(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    hass_client: ClientSessionGenerator,
) -> None:
    """A meter that never answered has a report too, which says why."""
    sim.inject(Fault.WEDGE)
    await hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    report = await download(hass, hass_client, entry)
    assert list(report) == ["entry"]
    assert report["entry"]["state"] == "setup_retry"
    assert f"The meter at {HIDDEN}:{sim.port} refuses" in report["entry"]["reason"]


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("Connect call failed ('192.0.2.7', 2255)", f"Connect call failed {HIDDEN}"),
        ("Connect call failed ('2001:db8::1', 2255, 0, 0)", f"Connect call failed {HIDDEN}"),
        ("serial number 76543210 answers", f"serial number {HIDDEN} answers"),
        ("meter.example is away", f"{HIDDEN} is away"),
        ("R+0000", "R+0000"),
        ("2025/12/24 02:10:55", "2025/12/24 02:10:55"),
        ("123456789", "123456789"),
    ],
)
def test_texts(text: str, hidden: str) -> None:
    """Addresses, in the system's messages too, and serial numbers are hidden, the rest is kept."""
    assert _hide({"deep": [(text, 1.5, None)]}, ["meter.example"]) == {
        "deep": [[hidden, 1.5, None]]
    }
