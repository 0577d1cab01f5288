"""Actions: for one meter, however it is meant; each with its answer, or an error that says why."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
import json
from pathlib import Path
from typing import Any, Final

from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_HOST, CONF_PORT
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized
from homeassistant.helpers import device_registry as dr
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser
import voluptuous as vol

from custom_components.nl43 import control, coordinator, cycle, files
from custom_components.nl43.const import DOMAIN
from custom_components.nl43.coordinator import Nl43Coordinator
from custom_components.nl43.rion import CHANNELS, QUANTITIES, connection, ftp
from nl43_sim import Fault, SimulatedMeter

from .browsing import sizes
from .conftest import until
from .tools import LP, asked, last_frame, set_intervals, text_of

SCREENSHOTS: Final = "/NL-43/Screenshot"
# What each action needs, and the keys of its answer.
DATA: Final[dict[str, dict[str, Any]]] = {
    "start_cycle": {},
    "stop_cycle": {},
    "list_files": {},
    "download": {"path": SCREENSHOTS},
    "read_results": {},
    "send_command": {"command": "Battery Level?"},
}
SAVED: Final = {"path", "folder", "saved", "skipped", "bytes", "unusable"}
ANSWERS: Final[dict[str, set[str]]] = {
    "start_cycle": {"old_store_name", "new_store_name", "start_time"},
    "stop_cycle": {"store_name", *SAVED},
    "list_files": {"path", "entries", "unusable"},
    "download": SAVED,
    "read_results": {"main"},
    "send_command": {"answer"},
}


@pytest.fixture(autouse=True)
def media(
    hass: HomeAssistant, quick: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Path:
    """Return the media folder; what is waited for is not for long."""
    monkeypatch.setattr(ftp, "TIMEOUT", 3.0)
    monkeypatch.setattr(files, "READY_PAUSE", 0.05)
    monkeypatch.setattr(files, "READY_LIMIT", 3.0)
    hass.config.media_dirs = {"local": str(tmp_path)}
    return tmp_path


async def perform(
    hass: HomeAssistant, action: str, context: Context | None = None, **data: Any
) -> Any:
    """Return what an action answers, in bounded time; it must be fit for JSON."""
    async with asyncio.timeout(20):
        answer = await hass.services.async_call(
            DOMAIN, action, data, blocking=True, return_response=True, context=context
        )
    assert json.loads(json.dumps(answer)) == answer
    return answer


async def refusal(hass: HomeAssistant, action: str, **data: Any) -> HomeAssistantError:
    """Return the error that an action ends in, a whole text for a person."""
    with pytest.raises(HomeAssistantError) as raised:
        await perform(hass, action, **data)
    assert text_of(raised.value)
    return raised.value


def by_entry(entry: MockConfigEntry) -> dict[str, Any]:
    """Return how an automation means a meter."""
    return {"config_entry_id": entry.entry_id}


def device_of(hass: HomeAssistant, entry: MockConfigEntry) -> str:
    """Return the id of a meter's device."""
    (device,) = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    return device.id


async def ready(hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter) -> None:
    """Have a meter that has measured, whose card is not busy."""
    sim.press("Measure,Stop")
    sim.press("Store Name,0019")
    set_intervals(hass, entry, scan=1)
    assert await hass.config_entries.async_setup(entry.entry_id)
    poller: Nl43Coordinator = entry.runtime_data.coordinator
    await until(lambda: poller._facts.due(hass.loop.time(), poller.data) is None)
    await hass.async_block_till_done()


# Which meter


async def test_there_without_a_meter(hass: HomeAssistant) -> None:
    """Automations are valid also while no meter is set up; they are told what is missing."""
    assert await async_setup_component(hass, DOMAIN, {})
    assert set(hass.services.async_services_for_domain(DOMAIN)) == set(DATA)
    for action, data in DATA.items():
        error = await refusal(hass, action, **data)
        assert isinstance(error, ServiceValidationError)
        assert error.translation_key == "one_meter"
        assert "0" in text_of(error)


async def test_each_action(
    hass: HomeAssistant, patient: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A meter is meant by its entry, its device, an entity of it; the answer has its keys."""
    await ready(hass, entry, sim)
    for target in (
        by_entry(entry),
        {"device_id": device_of(hass, entry)},
        {"entity_id": LP},
        {**by_entry(entry), "entity_id": [LP], "device_id": [device_of(hass, entry)]},
    ):
        for action, data in DATA.items():
            answer = await perform(hass, action, **data, **target)
            assert set(answer) == ANSWERS[action]
    assert [line for line in asked(sim) if line.startswith("Measure,")] == [
        "Measure,Start",
        "Measure,Stop",
    ] * 4


async def test_two_meters(
    hass: HomeAssistant, patient: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """Nothing is done where two are meant, or none that is there."""
    await ready(hass, entry, sim)
    other = MockConfigEntry(
        domain=DOMAIN,
        title="NL-43 00000002",
        unique_id="00000002",
        data={CONF_HOST: sim.host, CONF_PORT: 1},
        options={"polling": False},
    )
    other.add_to_hass(hass)
    assert await hass.config_entries.async_setup(other.entry_id)
    before = len(sim.commands)
    for action, data in DATA.items():
        for target, count in (
            ({"device_id": [device_of(hass, entry), device_of(hass, other)]}, "2"),
            ({**by_entry(other), "entity_id": LP}, "2"),
            ({"config_entry_id": "nobody"}, "0"),
            ({"entity_id": "sensor.nobody"}, "0"),
            ({}, "0"),
        ):
            error = await refusal(hass, action, **data, **target)
            assert error.translation_key == "one_meter"
            assert f"; {count} were chosen" in text_of(error)
    assert {line for line in asked(sim)[before:] if not line.endswith("?")} == set()
    # The one in stand-by is a meter all the same.
    for action in ("start_cycle", "read_results", "send_command"):
        error = await refusal(hass, action, **DATA[action], **by_entry(other))
        assert error.translation_key == "standby"
    for action in ("stop_cycle", "list_files", "download"):
        error = await refusal(hass, action, **DATA[action], **by_entry(other))
        assert error.translation_key == "no_ftp_login"


async def test_a_meter_that_is_not_loaded(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """It is said by its name, and nothing is sent."""
    assert await async_setup_component(hass, DOMAIN, {})
    assert await hass.config_entries.async_unload(entry.entry_id)
    assert entry.state is ConfigEntryState.NOT_LOADED
    before = len(sim.commands)
    for action, data in DATA.items():
        error = await refusal(hass, action, **data, **by_entry(entry))
        assert error.translation_key == "not_loaded"
        assert entry.title in text_of(error)
    assert len(sim.commands) == before


# What is refused before anything is sent


NO_QUESTIONS: Final = (
    "",
    "?",
    "Measure,Start",
    "Store Name,0020",
    "Clock,2026/01/01 00:00:00",
    "Type?,Start",
    "Measure",
    "DRD?",
    "drd?",
    "DRD?status",
    "DRD ?",
    "Type?status",
    "Type?\r\nMeasure,Stop",
    "Type?\n",
    "Type\r\nMeasure,Stop\r\nType?",
    "Type?Type?",
    "$Type?",
    " Type?",
    "Typ\xe9?",
    "\uff34ype?",
    "\u017ferial Number?",
    "Type\x1a?",
    "Type\t?",
    "Type\x00?",
    "T" * 62 + "?",
    None,
    ["Type?"],
    7,
)


async def test_what_is_no_question(
    hass: HomeAssistant, patient: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """Nothing that sets, streams, hides a second line or is too long reaches the meter."""
    await ready(hass, entry, sim)
    before = len(sim.commands)
    for command in NO_QUESTIONS:
        with pytest.raises(vol.Invalid):
            await perform(hass, "send_command", command=command, **by_entry(entry))
    await perform(hass, "send_command", command="Battery Type?", **by_entry(entry))
    known = {"DOD?", "Measure?", "Clock?", "Battery Level?"}
    assert set(asked(sim)[before:]) - known == {"Battery Type?"}


async def test_what_no_action_takes(hass: HomeAssistant) -> None:
    """The schema refuses it, with or without a meter."""
    assert await async_setup_component(hass, DOMAIN, {})
    wrong: tuple[tuple[str, dict[str, Any]], ...] = (
        ("start_cycle", {"sync_clock": "perhaps"}),
        ("start_cycle", {"command": "Type?"}),
        ("stop_cycle", {"download": "perhaps"}),
        ("list_files", {"path": ""}),
        ("list_files", {"path": "/" * 1025}),
        ("list_files", {"path": ["/"]}),
        ("download", {}),
        ("download", {"path": ""}),
        ("download", {"path": "/NL-43", "target": ""}),
        ("read_results", {"path": "/"}),
        ("read_results", {"config_entry_id": 7}),
        ("send_command", {}),
    )
    for action, data in wrong:
        with pytest.raises(vol.Invalid):
            await perform(hass, action, **data)


async def test_only_administrators_send_commands(
    hass: HomeAssistant,
    patient: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    hass_read_only_user: MockUser,
    hass_admin_user: MockUser,
) -> None:
    """A raw question is for support cases."""
    await ready(hass, entry, sim)
    data = {"command": "Battery Type?", **by_entry(entry)}
    with pytest.raises(Unauthorized):
        await perform(hass, "send_command", Context(user_id=hass_read_only_user.id), **data)
    assert "Battery Type?" not in asked(sim)
    answer = await perform(hass, "send_command", Context(user_id=hass_admin_user.id), **data)
    assert answer == {"answer": "Alkaline"}


# Their answers


async def test_a_raw_answer(
    hass: HomeAssistant, patient: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """The data line as it came; a refusal says which, and what it means."""
    await ready(hass, entry, sim)
    sim.press("Measure,Start")
    for command in ("serial number?", "Battery Type?", "Frequency Weighting (Main)?", "DLC?"):
        answer = await perform(hass, "send_command", command=command, **by_entry(entry))
        assert f"R+0000 {answer['answer']}" == sim.press(command)
    assert (await perform(hass, "send_command", command="TYPE?", **by_entry(entry))) == {
        "answer": "NL-43"
    }
    sim.config.missing = ["Battery Type"]
    sim.config.missing_result = "R+0003"
    for command, result in (
        ("Frobnicate?", "R+0001"),
        ("Manual Store?", "R+0003"),
        ("Battery Type?", "R+0003"),
    ):
        before = len(sim.commands)
        error = await refusal(hass, "send_command", command=command, **by_entry(entry))
        assert error.translation_key == "not_installed"
        assert result in text_of(error)
        assert asked(sim)[before:].count(command) == 1


async def test_results(
    hass: HomeAssistant, patient: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """The final result of each channel in use, by the names of the quantities."""
    sim.config.sub_channels = 0
    await ready(hass, entry, sim)
    answer = await perform(hass, "read_results", **by_entry(entry))
    assert set(answer["main"]) == {*QUANTITIES, "over", "under"}
    assert answer["main"]["lp"] is None
    assert isinstance(answer["main"]["leq"], float)
    assert answer["main"]["over"] is False


async def test_results_of_sub_channels(
    hass: HomeAssistant, patient: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """As the meter's line has them."""
    await ready(hass, entry, sim)
    line = sim.press("DLC?").removeprefix("R+0000 ").split(",")
    line[16:32] = line[:16]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(sim.state), "dlc", lambda _self: ",".join(line))
        answer = await perform(hass, "read_results", **by_entry(entry))
    assert list(answer) == list(CHANNELS[:2])
    assert answer["main"] == answer["sub1"]


async def test_a_listing(
    hass: HomeAssistant, patient: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """The stores by default; times in UTC where they are known to the minute, else the day."""
    sim.press("Measure,Stop")
    sim.state.clock_offset = 7200.0
    sim.press("Measure,Start")
    await ready(hass, entry, sim)
    answer = await perform(hass, "list_files", **by_entry(entry))
    assert answer["path"] == "/NL-43"
    assert answer["unusable"] == 0
    entries = {each["name"]: each for each in answer["entries"]}
    assert {"Auto_0017", "Auto_0018", "Auto_0019", "Manual_0018", "Screenshot"} == set(entries)
    for each in entries.values():
        assert set(each) == {"name", "folder", "size", "date", "modified"}
        assert each["folder"] is True
        assert each["size"] is None
    assert entries["Auto_0017"]["modified"] is None
    assert entries["Auto_0017"]["date"].endswith("-12-25")
    began = datetime.fromisoformat(entries["Auto_0019"]["modified"])
    assert -65 <= (began - dt_util.utcnow()).total_seconds() <= 5
    answer = await perform(hass, "list_files", path=f"{SCREENSHOTS}/", **by_entry(entry))
    assert {each["folder"] for each in answer["entries"]} == {False}
    assert all(each["size"] > 0 for each in answer["entries"])
    for path, key in (
        ("NL-43", "bad_path"),
        ("/NL-43/../..", "bad_path"),
        ("/NL-43/\u20ac", "bad_path"),
        ("/Nothing", "ftp_not_found"),
    ):
        error = await refusal(hass, "list_files", path=path, **by_entry(entry))
        assert error.translation_key == key


async def test_a_download(
    hass: HomeAssistant, patient: None, entry: MockConfigEntry, sim: SimulatedMeter, media: Path
) -> None:
    """A folder or a file, below the media folder; what is there whole is not fetched again."""
    await ready(hass, entry, sim)
    first = await perform(hass, "download", path=SCREENSHOTS, **by_entry(entry))
    assert first["path"] == SCREENSHOTS
    assert first["folder"] == "nl43/01234567"
    assert first["skipped"] == []
    assert set(first["saved"]) == set(sizes(media))
    assert first["bytes"] == sum(sizes(media).values())
    again = await perform(hass, "download", path=SCREENSHOTS, **by_entry(entry))
    assert (again["saved"], again["bytes"]) == ([], 0)
    assert set(again["skipped"]) == set(first["saved"])
    one = f"{SCREENSHOTS}/{Path(first['saved'][0]).name}"
    answer = await perform(hass, "download", path=one, target="sites/a", **by_entry(entry))
    assert answer["saved"] == [f"sites/a/01234567{one}"]
    assert (media / answer["saved"][0]).is_file()
    for data, key in (
        ({"path": "/NL-43/Nothing"}, "no_such_file"),
        ({"path": SCREENSHOTS, "target": "../.."}, "bad_target"),
        ({"path": SCREENSHOTS, "target": "/etc"}, "bad_target"),
    ):
        error = await refusal(hass, "download", **data, **by_entry(entry))
        assert error.translation_key == key


# Faults


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """An action, and what is pressed at the meter before it."""

    action: str
    data: dict[str, Any] = field(default_factory=dict)
    before: tuple[str, ...] = ()


ATTEMPTS: Final = (
    Attempt(action="start_cycle"),
    Attempt(action="stop_cycle", before=("Measure,Start",)),
    Attempt(action="stop_cycle", before=("Measure,Start", "FTP,Off")),
    Attempt(action="stop_cycle", data={"download": False}, before=("Measure,Start",)),
    Attempt(action="list_files"),
    Attempt(action="download", data={"path": SCREENSHOTS}),
    Attempt(action="read_results"),
    Attempt(action="send_command", data={"command": "Battery Type?"}),
)
SECONDS: Final = {Fault.FTP_LATE: 0.3, Fault.SLOW: 0.5, Fault.SPLIT: 0.0001}
# What the control connection does not get through, and what FTP does not.
LOSES: Final[dict[Fault, set[str]]] = {
    Fault.WEDGE: {"refused", "silent"},
    Fault.SLOT_TAKEN: {"silent"},
    Fault.SILENCE: {"silent"},
    Fault.SLOW: {"silent"},
    Fault.DROP: {"silent"},
    Fault.GLUED: {"silent"},
    Fault.JUNK: {"silent", "not_a_meter"},
    Fault.BAD_VALUES: {"silent", "not_a_meter"},
    Fault.GONE: {"silent", "no_answer", "ftp_unreachable"},
}
EXPECTED: Final = {
    **LOSES,
    Fault.MISSING_OPTIONS: {"not_installed"},
    Fault.FTP_OFF: {"ftp_unreachable", "stopped_not_saved"},
    Fault.FTP_LOGIN: {"ftp_login", "stopped_not_saved"},
    Fault.FTP_DATA_BLOCKED: {"ftp_data", "stopped_not_saved"},
}


async def prepare(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter, *before: str
) -> Nl43Coordinator:
    """Have a meter as if nothing had happened to it yet, known to the poller."""
    poller: Nl43Coordinator = entry.runtime_data.coordinator
    for line in ("Measure,Stop", "FTP,On", "Store Name,0019", *before):
        sim.press(line)
    await until(lambda: sim._ftp_up is (sim.state.settings["FTP"] == "On"))
    sim.state.card.remove("/NL-43/Auto_0020")
    if sim.state.measuring is False:
        sim.state.card.remove("/NL-43/Auto_0019")
    entry.runtime_data.files.async_forget()
    poller.meter.lacking.clear()
    return poller


@pytest.mark.parametrize("fault", list(Fault))
async def test_each_action_against_a_fault(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    media: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
) -> None:
    """No command twice, an end in time, a reason for a person; and no harm that stays."""
    patience = 0.15 if fault in LOSES else 2.0
    for module, name, seconds in (
        (connection, "ANSWER_TIMEOUT", patience),
        (connection, "CONNECT_TIMEOUT", patience),
        (control, "CONFIRM_LIMIT", 0.2),
        (cycle, "CONFIRM_LIMIT", 0.2),
        (coordinator, "MAX_BACKOFF", 0.05),
        (ftp, "TIMEOUT", 0.3 if fault in (Fault.GONE, Fault.FTP_DATA_BLOCKED) else 3.0),
    ):
        monkeypatch.setattr(module, name, seconds)
    await ready(hass, entry, sim)
    keys: set[str | None] = set()
    for attempt in ATTEMPTS:
        poller = await prepare(hass, entry, sim, *attempt.before)
        sim.inject(fault, seconds=SECONDS.get(fault))
        before, ftp_was = len(sim.commands), sim.state.settings["FTP"]
        key = await outcome(hass, entry, attempt)
        keys.add(key)
        settings = [line for line in asked(sim)[before:] if "," in line]
        assert len(set(settings)) == len(settings)
        sim.clear()
        await until(partial(heard_again, poller, dt_util.utcnow()))
        assert sim.state.settings["FTP"] == ftp_was
        if attempt.action == "start_cycle":
            assert sim.state.measuring is (key is None)
            assert sim.state.settings["Store Name"] == ("0019" if key else "0020")
        if key == "stopped_not_saved":
            assert not sim.state.measuring
            answer = await perform(hass, "stop_cycle", **by_entry(entry))
            assert answer["saved"] or answer["skipped"]
    assert keys - {None} <= EXPECTED.get(fault, set())
    assert bool(keys - {None}) is (fault in EXPECTED)
    assert not [name for name in sizes(media) if name.endswith(".part")]


async def outcome(hass: HomeAssistant, entry: MockConfigEntry, attempt: Attempt) -> str | None:
    """Perform an action, and return the key of the error that it ends in, if it does."""
    try:
        await perform(hass, attempt.action, **attempt.data, **by_entry(entry))
    except HomeAssistantError as err:
        text_of(err)
        return err.translation_key
    return None


def heard_again(poller: Nl43Coordinator, since: datetime) -> bool:
    """Tell whether the meter is there again."""
    poller.async_poll_soon()
    return poller.meter.connection.is_open and last_frame(poller) > since
