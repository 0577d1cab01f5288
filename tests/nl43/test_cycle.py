"""Cycles: started under a free name, never over data; stopped for good, and brought home."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.nl43 import control, coordinator, cycle, files
from custom_components.nl43.coordinator import Nl43Coordinator
from custom_components.nl43.rion import ClosedError, connection, ftp
from nl43_sim import Asleep, Fault, SimulatedMeter
from nl43_sim.commands import _COMMANDS, WRONG_STATE, Reply

from .browsing import sizes
from .conftest import until
from .test_services import by_entry, perform, ready, refusal
from .tools import CONNECTION, DEVICE, asked, call, last_frame, said, shown, text_of

CARD: Final = "/NL-43"
START_SENT: Final = "Measure,Start"
STOP_SENT: Final = "Measure,Stop"

type Strike = Callable[[Any, Fault], bool]


@pytest.fixture(autouse=True)
def media(
    hass: HomeAssistant, patient: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Path:
    """Return the media folder; what is waited for is not for long."""
    monkeypatch.setattr(ftp, "TIMEOUT", 3.0)
    monkeypatch.setattr(files, "READY_PAUSE", 0.05)
    monkeypatch.setattr(files, "READY_LIMIT", 3.0)
    monkeypatch.setattr(control, "CONFIRM_LIMIT", 5.0)
    monkeypatch.setattr(cycle, "CONFIRM_LIMIT", 5.0)
    hass.config.media_dirs = {"local": str(tmp_path)}
    return tmp_path


def fill(sim: SimulatedMeter, *names: str) -> None:
    """Have stores on the card under some names."""
    for name in names:
        sim.state.card.add_folder(f"{CARD}/Auto_{name}", sim.state.clock.now())


def sent(sim: SimulatedMeter, before: int = 0) -> list[str]:
    """Return what was commanded, in order."""
    return [line for line in asked(sim)[before:] if "," in line and not line.startswith("Clock,")]


def strike_on(
    sim: SimulatedMeter, monkeypatch: pytest.MonkeyPatch, fault: Fault, line: str
) -> None:
    """Have a fault meet one command alone."""
    real = type(sim.state.faults).strike

    def strike(self: Any, struck: Fault) -> bool:
        lines = asked(sim)
        own = bool(lines) and lines[-1] == line and lines.count(line) == 1
        return (struck is fault and own) or real(self, struck)

    monkeypatch.setattr(type(sim.state.faults), "strike", strike)


# Start


async def test_start(hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter) -> None:
    """Under the next free name, with the clock set right, and known when."""
    sim.state.clock_offset = 3600.0
    await ready(hass, entry, sim)
    fill(sim, "0020", "0021")
    stored = stores_on(sim)
    earliest = dt_util.utcnow()
    answer = await perform(hass, "start_cycle", **by_entry(entry))
    began = dt_util.parse_datetime(answer.pop("start_time"))
    assert began is not None
    assert earliest <= began <= dt_util.utcnow()
    assert answer == {"old_store_name": "0019", "new_store_name": "0022"}
    assert sim.state.measuring
    site = dt_util.now().replace(tzinfo=None)
    assert abs((sim.state.clock.now() - site).total_seconds()) < 2
    assert sent(sim) == ["Store Name,0020", "Store Name,0021", "Store Name,0022", START_SENT]
    assert stores_on(sim) == {*stored, "Auto_0022"}
    start = hass.states.get(f"sensor.{DEVICE}_measurement_start")
    assert start is not None
    assert start.state == began.replace(microsecond=0).isoformat()


def stores_on(sim: SimulatedMeter) -> set[str]:
    """Return the stores on the card."""
    folder: Any = sim.state.card.find(CARD)
    return set(folder.children)


async def test_start_without_setting_the_clock(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """The clock is left alone if a person wants it so."""
    sim.state.clock_offset = 3600.0
    await ready(hass, entry, sim)
    await perform(hass, "start_cycle", sync_clock=False, **by_entry(entry))
    assert sim.state.clock_offset == 3600.0


async def test_start_wraps(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """After 9999 comes 0000."""
    await ready(hass, entry, sim)
    sim.press("Store Name,9998")
    fill(sim, "9999", "0000")
    answer = await perform(hass, "start_cycle", **by_entry(entry))
    assert (answer["old_store_name"], answer["new_store_name"]) == ("9998", "0001")


async def test_no_free_name(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The search ends; levels were read meanwhile; nothing is started or changed."""
    await ready(hass, entry, sim)
    sim.press("Store Name,9980")
    fill(sim, *(f"{number:04}" for number in (*range(9980, 10000), *range(40))))
    monkeypatch.setattr(coordinator, "DEFAULT_SCAN_INTERVAL", 0.1)
    hass.config_entries.async_update_entry(entry, options={"scan_interval": 0.1})
    before = len(sim.commands)
    error = await refusal(hass, "start_cycle", **by_entry(entry))
    assert error.translation_key == "no_free_store_name"
    assert "9981 to 0030" in text_of(error)
    names = [line for line in sent(sim, before) if line.startswith("Store Name,")]
    assert len(names) == cycle.SEARCH_LIMIT + 1
    assert names[-1] == "Store Name,9980"
    assert sim.state.settings["Store Name"] == "9980"
    assert not sim.state.measuring
    lines = asked(sim)[before:]
    polls = [index for index, line in enumerate(lines) if line == "DOD?"]
    assert len(polls) >= 5


async def test_a_name_that_cannot_be_put_back(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody is told that the name is what it was when it is not."""
    await ready(hass, entry, sim)
    monkeypatch.setattr(cycle, "SEARCH_LIMIT", 1)
    fill(sim, "0020")
    monkeypatch.setattr(control, "CONFIRM_LIMIT", 0.2)

    def refuse_old(machine: Any, word: str) -> Reply:
        if word == "0019":
            return Reply(WRONG_STATE)
        machine.settings["store name"] = word
        return Reply("R+0000")

    refusing = replace(_COMMANDS["store name"], set=refuse_old)
    monkeypatch.setitem(_COMMANDS, "store name", refusing)
    error = await refusal(hass, "start_cycle", **by_entry(entry))
    assert error.translation_key == "refused_state"


async def test_start_while_measuring(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """Also if it was started at the meter just now: nothing is commanded."""
    await ready(hass, entry, sim)
    sim.press(START_SENT)
    error = await refusal(hass, "start_cycle", **by_entry(entry))
    assert error.translation_key == "already_measuring"
    assert isinstance(error, ServiceValidationError)
    assert not [line for line in asked(sim) if "," in line]


@pytest.mark.parametrize("lacking", ["Overwrite", "Store Name", "Clock"])
async def test_start_of_a_meter_that_lacks(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter, lacking: str
) -> None:
    """What would be overwritten cannot be told: the meter is left alone."""
    sim.config.missing = [lacking]
    sim.config.missing_result = "R+0001"
    await ready(hass, entry, sim)
    for _ in range(2):
        error = await refusal(hass, "start_cycle", **by_entry(entry))
        assert error.translation_key == "not_installed"
        assert lacking in text_of(error)
    assert sent(sim) == []
    assert not sim.state.measuring


@pytest.mark.parametrize("asleep", list(Asleep))
async def test_asleep(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
    asleep: Asleep,
) -> None:
    """A meter that sleeps is not woken by surprise, and says why it does not stop."""
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT", 0.3)
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", 0.3)
    monkeypatch.setattr(control, "CONFIRM_LIMIT", 0.3)
    sim.config.asleep = asleep
    await ready(hass, entry, sim)
    sim.press("Sleep Mode,On")
    await until(shown(hass, CONNECTION, "asleep" if asleep is Asleep.ANSWERS else "unreachable"))
    expected = {"sleep_mode"} if asleep is Asleep.ANSWERS else {"no_answer"}
    for action in ("start_cycle", "stop_cycle"):
        error = await refusal(hass, action, **by_entry(entry))
        assert error.translation_key in expected
    assert START_SENT not in asked(sim)
    sim.press("Sleep Mode,Off")
    await until(shown(hass, CONNECTION, "connected"))


async def test_standby(hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter) -> None:
    """The connection is left to other tools, whoever asks."""
    await ready(hass, entry, sim)
    await call(hass, f"switch.{DEVICE}_polling", "turn_off")
    before = len(sim.commands)
    for action in ("start_cycle", "stop_cycle"):
        error = await refusal(hass, action, **by_entry(entry))
        assert error.translation_key == "standby"
    assert len(sim.commands) == before


# A start that fails on the way


@pytest.mark.parametrize(
    "line",
    ["Store Name,0021", "Store Name,0022", START_SENT],
)
async def test_start_done_but_the_answer_is_lost(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
) -> None:
    """Each command is sent once; what came of it is asked, and it goes on."""
    await ready(hass, entry, sim)
    fill(sim, "0020", "0021")
    strike_on(sim, monkeypatch, Fault.DROP, line)
    answer = await perform(hass, "start_cycle", **by_entry(entry))
    assert answer["new_store_name"] == "0022"
    assert sent(sim) == ["Store Name,0020", "Store Name,0021", "Store Name,0022", START_SENT]
    assert sim.connections_opened == 2


@pytest.mark.parametrize("line", ["Store Name,0021", START_SENT, "Overwrite?"])
async def test_start_lost_on_the_way(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
) -> None:
    """Nothing runs, and the old name is back, also over a new connection."""
    await ready(hass, entry, sim)
    fill(sim, "0020")
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT", 0.3)
    strike_on(sim, monkeypatch, Fault.SILENCE, line)
    error = await refusal(hass, "start_cycle", **by_entry(entry))
    assert error.translation_key == ("silent" if line == "Overwrite?" else "not_done")
    assert sim.state.settings["Store Name"] == "0019"
    assert not sim.state.measuring
    lines = sent(sim)
    assert len(set(lines)) == len(lines)
    # And it can be repeated.
    assert (await perform(hass, "start_cycle", **by_entry(entry)))["new_store_name"] == "0021"


async def test_start_by_somebody_else(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who was quicker at the meter keeps the name that it measures under."""
    await ready(hass, entry, sim)
    fill(sim, "0020")
    real = _COMMANDS["overwrite"].ask
    assert real is not None

    def ask(machine: Any) -> str:
        answer = real(machine)
        if machine.settings["store name"] == "0021":
            machine.measuring = True
        return answer

    monkeypatch.setitem(_COMMANDS, "overwrite", replace(_COMMANDS["overwrite"], ask=ask))
    fill(sim, "0021")
    error = await refusal(hass, "start_cycle", **by_entry(entry))
    assert error.translation_key == "refused_measuring"
    assert sim.state.settings["Store Name"] == "0021"
    assert START_SENT not in asked(sim)


async def test_start_refused(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A meter that will not start has its old name back."""
    await ready(hass, entry, sim)
    refusing = replace(_COMMANDS["measure"], set=lambda *_: Reply(WRONG_STATE))
    monkeypatch.setitem(_COMMANDS, "measure", refusing)
    error = await refusal(hass, "start_cycle", **by_entry(entry))
    assert error.translation_key == "refused_state"
    assert sent(sim) == ["Store Name,0020", START_SENT, "Store Name,0019"]


async def test_start_given_up(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """An automation that is stopped in the search leaves the old name behind."""
    await ready(hass, entry, sim)
    fill(sim, *(f"{number:04}" for number in range(20, 70)))
    action = asyncio.create_task(perform(hass, "start_cycle", **by_entry(entry)))
    await until(lambda: "Store Name,0022" in asked(sim))
    action.cancel()
    with pytest.raises(asyncio.CancelledError):
        await action
    await until(lambda: sim.state.settings["Store Name"] == "0019")
    assert not sim.state.measuring


async def test_start_of_a_meter_that_goes_away(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It ends in time; that the name could not be put back is in the log."""
    await ready(hass, entry, sim)
    fill(sim, "0020", "0021")
    for name in ("ANSWER_TIMEOUT", "CONNECT_TIMEOUT"):
        monkeypatch.setattr(connection, name, 0.2)
    for module in (control, cycle):
        monkeypatch.setattr(module, "CONFIRM_LIMIT", 0.3)
    action = asyncio.create_task(refusal(hass, "start_cycle", **by_entry(entry)))
    await until(lambda: "Store Name,0021" in asked(sim))
    sim.inject(Fault.GONE)
    error = await action
    assert error.translation_key in ("silent", "unconfirmed", "no_answer")
    assert said(caplog, "could not be put back to 0019") == 1
    sim.clear()
    await until(shown(hass, CONNECTION, "connected"))
    assert START_SENT not in asked(sim)


# Stop


async def measuring(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter, *before: str
) -> Nl43Coordinator:
    """Have a meter that measures under the name 0019, known as such."""
    await ready(hass, entry, sim)
    poller: Nl43Coordinator = entry.runtime_data.coordinator
    for line in (*before, START_SENT):
        assert sim.press(line) == "R+0000"
    await until(lambda: sim._ftp_up is (sim.state.settings["FTP"] == "On"))
    return poller


async def test_stop(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter, media: Path
) -> None:
    """The whole store is in the media folder; a second time there is nothing left to fetch."""
    await measuring(hass, entry, sim)
    answer = await perform(hass, "stop_cycle", **by_entry(entry))
    assert not sim.state.measuring
    assert (answer["store_name"], answer["path"]) == ("0019", f"{CARD}/Auto_0019")
    assert len(answer["saved"]) == 2
    assert answer["bytes"] == sum(sizes(media).values())
    assert {f"nl43/01234567{CARD}/Auto_0019"} == {
        str(Path(name).parents[1]) for name in answer["saved"]
    }
    assert sent(sim) == [STOP_SENT]
    again = await perform(hass, "stop_cycle", **by_entry(entry))
    assert (again["saved"], set(again["skipped"])) == ([], set(answer["saved"]))
    assert sent(sim) == [STOP_SENT, STOP_SENT]
    assert hass.states.get(f"switch.{DEVICE}_measurement").state == "off"  # type: ignore[union-attr]


async def test_stop_alone(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter, media: Path
) -> None:
    """Without a download FTP is not touched, nor needed."""
    await measuring(hass, entry, sim, "FTP,Off")
    data = {key: value for key, value in entry.data.items() if not key.startswith("ftp")}
    hass.config_entries.async_update_entry(entry, data=data)
    sessions = sim.ftp_sessions_opened
    answer = await perform(hass, "stop_cycle", download=False, **by_entry(entry))
    assert answer == {"store_name": "0019"}
    assert sent(sim) == [STOP_SENT]
    assert sim.ftp_sessions_opened == sessions
    # What cannot be brought home is said before anything is done.
    sim.press(START_SENT)
    error = await refusal(hass, "stop_cycle", **by_entry(entry))
    assert error.translation_key == "no_ftp_login"
    assert sim.state.measuring


@pytest.mark.parametrize("late", [None, 0.4])
async def test_stop_with_ftp_off(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter, late: float | None
) -> None:
    """FTP is switched on, waited for, and switched off again."""
    await measuring(hass, entry, sim, "FTP,Off")
    if late is not None:
        sim.inject(Fault.FTP_LATE, seconds=late)
    answer = await perform(hass, "stop_cycle", **by_entry(entry))
    assert len(answer["saved"]) == 2
    assert sent(sim) == [STOP_SENT, "FTP,On", "FTP,Off"]
    assert sim.state.settings["FTP"] == "Off"


async def test_stop_of_a_meter_that_does_not_tell_of_ftp(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """It may have it on all the same."""
    sim.config.missing = ["FTP", "Store Mode"]
    await measuring(hass, entry, sim)
    assert len((await perform(hass, "stop_cycle", **by_entry(entry)))["saved"]) == 2
    assert sent(sim) == [STOP_SENT]


async def test_stop_by_hand(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """In the mode Manual, results are in another folder."""
    await measuring(hass, entry, sim, "Store Mode,Manual")
    error = await refusal(hass, "stop_cycle", **by_entry(entry))
    assert error.translation_key == "stopped_not_saved"
    assert "Manual_0019" in text_of(error)
    sim.press("Manual Store,Start")
    answer = await perform(hass, "stop_cycle", **by_entry(entry))
    assert [Path(name).parent.name for name in answer["saved"]] == ["Manual_0019"]


async def test_stop_with_a_full_card(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """Nothing was stored, and that is what is said."""
    await ready(hass, entry, sim)
    sim.state.card.remove(f"{CARD}/Auto_0019")
    sim.inject(Fault.FULL_CARD)
    sim.press(START_SENT)
    error = await refusal(hass, "stop_cycle", **by_entry(entry))
    assert error.translation_key == "stopped_not_saved"
    assert f"{CARD}/Auto_0019 is not on the card" in text_of(error)
    assert not sim.state.measuring


@pytest.mark.parametrize("ftp_word", ["On", "Off"])
@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Fault.FTP_OFF, "refuses this in its present state"),
        (Fault.FTP_LATE, "does not answer"),
        (Fault.FTP_LOGIN, "refused the FTP user name or password"),
        (Fault.FTP_DATA_BLOCKED, "active FTP"),
    ],
)
async def test_stop_that_saves_nothing(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    media: Path,
    fault: Fault,
    why: str,
    ftp_word: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The stop stands; why nothing was saved is said in full; FTP is as it was; then it works."""
    await measuring(hass, entry, sim, f"FTP,{ftp_word}")
    if fault is Fault.FTP_DATA_BLOCKED:
        monkeypatch.setattr(ftp, "TIMEOUT", 0.4)
    if fault is Fault.FTP_LATE:
        monkeypatch.setattr(files, "READY_LIMIT", 0.5)
    sim.inject(fault)
    if fault is Fault.FTP_LATE and ftp_word == "On":
        sim._switch_ftp(on=False)
        sim._apply()
    error = await refusal(hass, "stop_cycle", **by_entry(entry))
    assert error.translation_key == "stopped_not_saved"
    text = text_of(error)
    assert "Auto_0019 was not saved" in text
    assert why in text
    assert ". Repeat nl43.stop_cycle" in text
    assert not sim.state.measuring
    assert sim.state.settings["FTP"] == ftp_word
    assert sizes(media) == {}
    lines = sent(sim)
    assert len(set(lines)) == len(lines)
    sim.clear()
    monkeypatch.setattr(ftp, "TIMEOUT", 3.0)
    monkeypatch.setattr(files, "READY_LIMIT", 3.0)
    if fault is Fault.FTP_LATE and ftp_word == "On":
        sim._switch_ftp(on=True)
    answer = await perform(hass, "stop_cycle", **by_entry(entry))
    assert len(answer["saved"]) == 2
    assert sim.state.settings["FTP"] == ftp_word


@pytest.mark.parametrize("line", [STOP_SENT, "FTP,On", "FTP,Off"])
async def test_stop_done_but_the_answer_is_lost(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
) -> None:
    """Each command is sent once."""
    await measuring(hass, entry, sim, "FTP,Off")
    strike_on(sim, monkeypatch, Fault.DROP, line)
    assert (await perform(hass, "stop_cycle", **by_entry(entry)))["saved"]
    assert sent(sim) == [STOP_SENT, "FTP,On", "FTP,Off"]
    assert sim.state.settings["FTP"] == "Off"


async def test_stop_without_knowing_of_ftp(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FTP that may have been switched on is switched off."""
    await measuring(hass, entry, sim, "FTP,Off")
    strike_on(sim, monkeypatch, Fault.DROP, "FTP,On")
    real = control.ask_until_answered

    async def ask(poller: Any, question: Any, seconds: float) -> Any:
        if asked(sim)[-1] == "FTP,On":
            raise ClosedError("lost")
        return await real(poller, question, seconds)

    monkeypatch.setattr(control, "ask_until_answered", ask)
    error = await refusal(hass, "stop_cycle", **by_entry(entry))
    assert error.translation_key == "stopped_not_saved"
    assert "was lost" in text_of(error)
    assert sent(sim) == [STOP_SENT, "FTP,On", "FTP,Off"]
    assert sim.state.settings["FTP"] == "Off"


async def test_ftp_that_cannot_be_switched_off_again(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What was saved is said all the same."""
    await measuring(hass, entry, sim, "FTP,Off")
    real = _COMMANDS["ftp"].set
    assert real is not None
    refusing = replace(
        _COMMANDS["ftp"],
        set=lambda machine, word: Reply(WRONG_STATE) if word == "Off" else real(machine, word),
    )
    monkeypatch.setitem(_COMMANDS, "ftp", refusing)
    assert (await perform(hass, "stop_cycle", **by_entry(entry)))["saved"]
    assert said(caplog, "FTP could not be switched off again") == 1


async def test_stop_lost_on_the_way(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
    media: Path,
) -> None:
    """Nothing is fetched from a measurement that runs on."""
    poller = await measuring(hass, entry, sim)
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT", 0.3)
    strike_on(sim, monkeypatch, Fault.SILENCE, STOP_SENT)
    sessions = sim.ftp_sessions_opened
    error = await refusal(hass, "stop_cycle", **by_entry(entry))
    assert error.translation_key == "not_done"
    assert sent(sim) == [STOP_SENT]
    assert sim.state.measuring
    assert sim.ftp_sessions_opened == sessions
    since = dt_util.utcnow()
    await until(lambda: last_frame(poller) > since)
    assert (await perform(hass, "stop_cycle", **by_entry(entry)))["saved"]


async def test_levels_go_on_during_the_download(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A person waits for the files, the poller does not."""
    poller = await measuring(hass, entry, sim, "FTP,Off")
    hass.config_entries.async_update_entry(entry, options={"scan_interval": 0.05})
    sim.inject(Fault.FTP_LATE, seconds=0.8)
    action = asyncio.create_task(perform(hass, "stop_cycle", **by_entry(entry)))
    await until(lambda: "FTP,On" in asked(sim))
    before = asked(sim).count("DOD?")
    await action
    assert asked(sim).count("DOD?") - before >= 3
    assert poller.failures == 0
    assert hass.states.get(f"sensor.{DEVICE}_lp").state != STATE_UNAVAILABLE  # type: ignore[union-attr]


async def test_unloaded_in_the_middle(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """Who waits for a meter that is let go of is told so."""
    await measuring(hass, entry, sim, "FTP,Off")
    sim.inject(Fault.FTP_LATE, seconds=30.0)
    action = asyncio.create_task(refusal(hass, "stop_cycle", **by_entry(entry)))
    await until(lambda: "FTP,On" in asked(sim))
    assert await hass.config_entries.async_unload(entry.entry_id)
    error: HomeAssistantError = await action
    assert error.translation_key == "stopped_not_saved"
