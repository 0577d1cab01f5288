"""The single poller: its pace, its patience, and what it never shows."""

import asyncio
from functools import partial
from itertools import pairwise
from pathlib import Path

from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_HOST, CONF_PORT, STATE_UNAVAILABLE, STATE_UNKNOWN
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.helpers.event import async_track_state_change_event
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.nl43 import coordinator
from custom_components.nl43.const import DOMAIN
from custom_components.nl43.coordinator import Nl43Coordinator
from custom_components.nl43.facts import DAY, SLOW_QUESTIONS, Facts, MeterData
from custom_components.nl43.rion import NoAnswerError, Priority, Reading, connection
from custom_components.nl43.rion.vocabulary import STORE_NAME
from nl43_sim import Asleep, Fault, SimulatedMeter

from .conftest import QUICK, quick_meter, until
from .tools import (
    CONNECTION,
    CONNECTIVITY,
    DEVICE,
    LP,
    MEASUREMENT,
    OVERLOAD,
    asked,
    history,
    last_frame,
    said,
    set_intervals,
    shown,
    state,
    watch,
)

RECORDED = Path(__file__).parent.parent / "recordings"


def _more_than(frames: list[MeterData], seen: int) -> bool:
    """Tell whether frames came."""
    return len(frames) > seen


# Two rates


async def test_watching_reads_live_and_writes_no_more(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """While watched every frame is handed on, but states are written once a scan interval."""
    set_intervals(hass, loaded, scan=0.5)
    written = history(hass, LP)
    frames, unwatch = watch(hass, loaded)
    start = hass.loop.time()
    for offset in range(60):
        sim.state.level_offset = float(offset)
        seen = len(frames)
        await until(partial(_more_than, frames, seen))
    elapsed = hass.loop.time() - start
    unwatch()
    assert len(written) <= 2 + elapsed / 0.5
    assert len(frames) >= 60


async def test_unwatched_is_read_at_the_scan_interval(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """When the last watcher goes, the meter is left alone again."""
    set_intervals(hass, loaded, scan=3600)
    frames, unwatch = watch(hass, loaded)
    other_frames, unwatch_other = watch(hass, loaded)
    await until(lambda: len(frames) > 3)
    unwatch()
    seen = len(other_frames)
    await until(lambda: len(other_frames) > seen)
    unwatch_other()
    poller: Nl43Coordinator = loaded.runtime_data.coordinator
    assert not poller.watched
    assert poller.interval == 3600


async def test_watchers_outlive_a_reload(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A reload keeps those who watch, and their pace."""
    set_intervals(hass, loaded, scan=3600)
    frames, unwatch = watch(hass, loaded)
    assert await hass.config_entries.async_reload(loaded.entry_id)
    seen = len(frames)
    await until(lambda: len(frames) > seen + 3)
    unwatch()


async def test_options_count_at_once(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A shorter interval does not wait for the end of the longer one, nor costs a reconnect."""
    set_intervals(hass, loaded, scan=3600)
    poller: Nl43Coordinator = loaded.runtime_data.coordinator
    before = last_frame(poller)
    set_intervals(hass, loaded, scan=0.05)
    await until(lambda: last_frame(poller) > before)
    assert sim.connections_opened == 1


async def test_what_matters_is_shown_at_once(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """Overload and run state do not wait for the scan interval; levels do."""
    await until(shown(hass, MEASUREMENT, "measuring"))
    set_intervals(hass, loaded, scan=3600)
    _, unwatch = watch(hass, loaded)
    levels = history(hass, LP)
    sim.state.over = True
    await until(shown(hass, OVERLOAD, "on"))
    sim.state.over = False
    await until(shown(hass, OVERLOAD, "off"))
    sim.press("Measure,Stop")
    await until(shown(hass, MEASUREMENT, "stopped"))
    sim.press("Measure,Start")
    await until(shown(hass, MEASUREMENT, "measuring"))
    unwatch()
    assert len(levels) == 1


async def test_facts_do_not_wait_for_a_distant_poll(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A meter that is read once an hour is asked for its state and settings all the same."""
    set_intervals(hass, entry, scan=3600)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await until(lambda: "Sleep Mode" in entry.runtime_data.coordinator.data.facts)
    await hass.async_block_till_done()
    assert state(hass, MEASUREMENT) == "measuring"
    assert state(hass, f"sensor.{DEVICE}_battery") == "full"
    assert [command.line for command in sim.commands].count("DOD?") == 1


async def test_slow_questions_fill_the_time_between_two_polls(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """After a poll all that is due is asked at once, not one question a slot."""
    set_intervals(hass, loaded, scan=1.0)
    poller: Nl43Coordinator = loaded.runtime_data.coordinator
    await until(lambda: "Sleep Mode" in poller.data.facts)
    first = last_frame(poller)
    await until(lambda: last_frame(poller) > first)
    poller._facts = Facts()
    before = len(sim.commands)
    await until(lambda: sim.commands[-1].line == "Sleep Mode?")
    lines = [command.line for command in sim.commands[before:]]
    assert lines.count("DOD?") <= 1
    assert lines.count("Percentile 5?") == 1


async def test_one_slow_question_between_live_frames(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While live a slow question comes only so often, but a doubtful run state at once."""
    await until(lambda: "Sleep Mode" in loaded.runtime_data.coordinator.data.facts)
    monkeypatch.setattr(coordinator, "SLOT_INTERVAL", 3600.0)
    set_intervals(hass, loaded, scan=3600)
    frames, unwatch = watch(hass, loaded)
    await until(lambda: len(frames) > 2)
    poller = loaded.runtime_data.coordinator
    for question in SLOW_QUESTIONS:
        poller._facts.miss(question.command, hass.loop.time() - 10 * DAY)
    before = len(sim.commands)
    seen = len(frames)
    await until(lambda: len(frames) > seen + 20)
    lines = [command.line for command in sim.commands[before:]]
    assert sum(line != "DOD?" for line in lines) <= 1
    sim.press("Measure,Stop")
    await until(shown(hass, MEASUREMENT, "stopped"))
    unwatch()


async def test_first_questions_between_live_frames(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was never asked is not put off while live, yet it delays each frame by one question."""
    poller: Nl43Coordinator = loaded.runtime_data.coordinator
    monkeypatch.setattr(coordinator, "SLOT_INTERVAL", 3600.0)
    set_intervals(hass, loaded, scan=3600)
    frames, unwatch = watch(hass, loaded)
    await until(lambda: len(frames) > 2)
    poller._facts = Facts()
    before = len(sim.commands)
    await until(lambda: "FTP" in poller.data.facts)
    slow = [command.line != "DOD?" for command in sim.commands[before:]]
    assert sum(slow) > 20
    assert not any(one and next_one for one, next_one in pairwise(slow))
    unwatch()


async def test_watched_is_retried_sooner(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    """Who watches sees a meter come back after 5 s at most, in real time."""
    connection = loaded.runtime_data.coordinator.meter.connection
    assert connection.max_backoff == pytest.approx(60 * QUICK)
    _, unwatch = watch(hass, loaded)
    assert connection.max_backoff == pytest.approx(5 * QUICK)
    unwatch()
    assert connection.max_backoff == pytest.approx(60 * QUICK)


async def test_a_pause_is_shown(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A paused measurement is neither measuring nor stopped."""
    sim.press("Pause,On")
    await hass.config_entries.async_reload(loaded.entry_id)
    await until(shown(hass, MEASUREMENT, "paused"))


# Three failures


async def test_two_lost_answers_are_nothing(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Entities keep their values over two failed polls."""
    poller: Nl43Coordinator = loaded.runtime_data.coordinator
    set_intervals(hass, loaded, scan=0.05)
    levels = history(hass, LP, CONNECTIVITY)
    failures = []
    poller.async_add_prompt_listener(lambda: failures.append(poller.failures))
    sim.inject(Fault.REFUSE_DOD, times=2)
    await until(lambda: 2 in failures and poller.failures == 0)
    assert STATE_UNAVAILABLE not in levels
    assert "off" not in levels
    assert not said(caplog, "the meter is lost")
    sim.inject(Fault.REFUSE_DOD, times=3)
    await until(lambda: 3 in failures)
    assert STATE_UNAVAILABLE in levels
    await until(lambda: poller.failures == 0)
    assert 4 not in failures


@pytest.mark.parametrize(
    ("faults", "connection"),
    [
        ((Fault.WEDGE,), "wedged"),
        ((Fault.WEDGE, Fault.FTP_OFF), "refused"),
        ((Fault.SILENCE,), "unreachable"),
        ((Fault.SLOT_TAKEN,), "unreachable"),
        ((Fault.GONE,), "unreachable"),
        ((Fault.REFUSE_DOD,), "connected"),
    ],
)
async def test_an_outage_and_its_end(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    caplog: pytest.LogCaptureFixture,
    faults: tuple[Fault, ...],
    connection: str,
) -> None:
    """The third failure makes entities unavailable, one good frame brings all back."""
    await until(shown(hass, MEASUREMENT, "measuring"))
    set_intervals(hass, loaded, scan=0.05)
    _, unwatch = watch(hass, loaded)
    measurement = history(hass, MEASUREMENT)
    for fault in faults:
        sim.inject(fault)
    await until(shown(hass, LP, STATE_UNAVAILABLE))
    await until(shown(hass, CONNECTION, connection))
    assert state(hass, CONNECTIVITY) == "off"
    assert loaded.runtime_data.coordinator.failures >= 3
    sim.clear()
    await until(lambda: state(hass, LP) not in (STATE_UNAVAILABLE, STATE_UNKNOWN))
    await until(shown(hass, MEASUREMENT, "measuring"))
    assert state(hass, CONNECTION) == "connected"
    assert state(hass, CONNECTIVITY) == "on"
    assert set(measurement) <= {"measuring", STATE_UNAVAILABLE, STATE_UNKNOWN}
    assert said(caplog, "the meter is lost") == 1
    assert said(caplog, "the meter is back") == 1
    unwatch()


async def test_asleep(hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter) -> None:
    """A meter that answers but has no levels is asked whether it sleeps."""
    sim.config.asleep = Asleep.ANSWERS
    set_intervals(hass, loaded, scan=0.05)
    sim.press("Measure,Stop")
    sim.press("Sleep Mode,On")
    await until(shown(hass, CONNECTION, "asleep"))
    assert state(hass, LP) == STATE_UNAVAILABLE
    sim.press("Sleep Mode,Off")
    await until(shown(hass, CONNECTION, "connected"))
    await until(shown(hass, MEASUREMENT, "stopped"))


async def test_an_outage_leaves_no_old_fact(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A weighting from before is not shown beside the levels from after."""
    set_intervals(hass, loaded, scan=0.05)

    def weighting() -> object:
        found = hass.states.get(LP)
        assert found is not None
        return found.attributes.get("frequency_weighting")

    await until(lambda: weighting() == "A")
    sim.inject(Fault.WEDGE)
    await until(shown(hass, LP, STATE_UNAVAILABLE))
    assert sim.press("Measure,Stop") == "R+0000"
    assert sim.press("Frequency Weighting (Main),C") == "R+0000"
    seen: list[object] = []

    @callback
    def note(event: Event[EventStateChangedData]) -> None:
        new = event.data["new_state"]
        if new is not None and new.state != STATE_UNAVAILABLE:
            seen.append(new.attributes.get("frequency_weighting"))

    async_track_state_change_event(hass, [LP], note)
    sim.clear()
    await until(lambda: "C" in seen)
    assert "A" not in seen


async def test_a_wedge_is_looked_at_rarely(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """The FTP port is not connected to at each attempt."""
    poller: Nl43Coordinator = loaded.runtime_data.coordinator
    _, unwatch = watch(hass, loaded)
    sim.inject(Fault.WEDGE)
    await until(lambda: poller.failures > 6)
    assert state(hass, CONNECTION) == "wedged"
    assert sim.ftp_sessions_opened <= 1
    sim.clear()
    await until(shown(hass, CONNECTION, "connected"))
    unwatch()


@pytest.mark.parametrize("fault", list(Fault))
async def test_no_fault_makes_a_value(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter, fault: Fault
) -> None:
    """Whatever goes wrong, only values that the meter sent are shown, and all comes back."""
    await until(shown(hass, MEASUREMENT, "measuring"))
    sim.replay_frames((RECORDED / "dod_measuring.txt").read_text().splitlines())
    set_intervals(hass, loaded, scan=0.05)
    await until(shown(hass, LP, "46.2"))
    frames, unwatch = watch(hass, loaded)
    levels = history(hass, LP)
    measurement = history(hass, MEASUREMENT)
    sim.inject(fault)
    await asyncio.sleep(0.4)
    sim.clear()
    seen = len(frames)
    await until(lambda: len(frames) > seen)
    await until(shown(hass, LP, "46.2"))
    await until(shown(hass, MEASUREMENT, "measuring"))
    unwatch()
    assert set(levels) <= {"46.2", STATE_UNAVAILABLE}
    assert set(measurement) <= {"measuring", STATE_UNAVAILABLE, STATE_UNKNOWN}
    assert all(frame.reading.main.lp == 46.2 for frame in frames)


async def test_a_dead_meter_slows_no_other(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """Three meters, one of them dead: the others go on at their pace."""
    async with (
        SimulatedMeter(quick_meter("00000002")) as second,
        SimulatedMeter(quick_meter("00000003")) as dead,
    ):
        for meter in (second, dead):
            entry = MockConfigEntry(
                domain=DOMAIN,
                title=f"NL-43 {meter.config.serial}",
                unique_id=meter.config.serial,
                data={CONF_HOST: meter.host, CONF_PORT: meter.port},
                options={"live_interval": QUICK},
            )
            entry.add_to_hass(hass)
            assert await hass.config_entries.async_setup(entry.entry_id)
            if meter is second:
                frames, unwatch = watch(hass, entry)
        dead.inject(Fault.SILENCE)
        _, unwatch_dead = watch(hass, entry)
        await until(lambda: not entry.runtime_data.coordinator.last_update_success)
        seen = len(frames)
        await until(lambda: len(frames) > seen + 10)
        assert entry.state is ConfigEntryState.LOADED
        unwatch()
        unwatch_dead()
        for each in hass.config_entries.async_entries(DOMAIN):
            await hass.config_entries.async_unload(each.entry_id)
        assert second.violations == dead.violations == []


async def test_the_poller_survives_what_nobody_thought_of(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A bug in an entity costs a log entry each time, not the polling, nor the other entities."""
    set_intervals(hass, loaded, scan=0.05)
    poller: Nl43Coordinator = loaded.runtime_data.coordinator

    def fail() -> None:
        raise ValueError("a bug")

    poller.async_add_prompt_listener(fail)
    await until(lambda: said(caplog, "a listener failed") > 2)
    sim.state.over = True
    await until(shown(hass, OVERLOAD, "on"))
    sim.inject(Fault.WEDGE)
    await until(shown(hass, CONNECTIVITY, "off"))
    sim.clear()
    await until(shown(hass, CONNECTIVITY, "on"))


async def test_a_bug_in_a_poll_is_a_failed_poll(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A poller that would die with old values on show makes them unavailable, and goes on."""
    set_intervals(hass, loaded, scan=0.05)
    poller: Nl43Coordinator = loaded.runtime_data.coordinator

    async def fail() -> Reading:
        raise ValueError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(poller.meter, "reading", fail)
        await until(shown(hass, LP, STATE_UNAVAILABLE))
    assert said(caplog, "failed unexpectedly") >= 3
    before = last_frame(poller)
    await until(lambda: last_frame(poller) > before)
    assert poller.failures == 0


# Brought forward


async def idle(poller: Nl43Coordinator) -> None:
    """Wait until a poller has nothing to ask before the next poll, which is far off."""
    loop = poller.hass.loop
    await until(lambda: poller._facts.due(loop.time(), poller.data) is None)
    # It goes to sleep right after its last answer.
    await asyncio.sleep(0)


@pytest.fixture
async def sleepy(
    hass: HomeAssistant,
    patient: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> Nl43Coordinator:
    """Return a poller that has asked everything, and has an hour to sleep."""
    monkeypatch.setattr(coordinator, "SLOT_INTERVAL", 3600.0)
    set_intervals(hass, entry, scan=3600)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    poller: Nl43Coordinator = entry.runtime_data.coordinator
    await idle(poller)
    return poller


async def test_a_doubt_wakes_the_poller(sleepy: Nl43Coordinator, sim: SimulatedMeter) -> None:
    """What is known to be outdated is asked at once, and nothing else is."""
    sim.state.settings["store name"] = "0042"
    before = len(sim.commands)
    sleepy.async_doubt(STORE_NAME)
    await until(lambda: sleepy.data.get(STORE_NAME) == 42)
    assert asked(sim)[before:] == ["Store Name?"]


async def test_a_wanted_poll_comes_at_once(sleepy: Nl43Coordinator, sim: SimulatedMeter) -> None:
    """A poll that is an hour off comes now, and then not again."""
    seen, before = last_frame(sleepy), len(sim.commands)
    sleepy.async_poll_soon()
    await until(lambda: last_frame(sleepy) > seen)
    await idle(sleepy)
    assert asked(sim)[before:] == ["DOD?"]


async def test_a_wanted_poll_ends_a_long_backoff(
    sleepy: Nl43Coordinator, sim: SimulatedMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A meter that has refused its levels for long is asked again over the open connection."""
    sim.inject(Fault.REFUSE_DOD)
    sleepy.async_poll_soon()
    await until(lambda: not sleepy.last_update_success)
    monkeypatch.setattr(coordinator, "backoff", lambda _failures, _limit: 3600.0)
    assert sleepy._next_poll > sleepy.hass.loop.time() + 1000
    sim.clear()
    sleepy.async_poll_soon()
    await until(lambda: sleepy.last_update_success)


async def test_a_wanted_poll_waits_for_the_connection(
    sleepy: Nl43Coordinator, sim: SimulatedMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A meter that has been lost is not connected to before the backoff of its connection."""
    await sim.drop_connection()
    await until(lambda: not sleepy.meter.connection.is_open)
    monkeypatch.setattr(connection, "backoff", lambda _failures, _limit: 1000.0)
    sleepy.async_poll_soon()
    assert sleepy._next_poll == pytest.approx(sleepy.hass.loop.time() + 1000, abs=5)
    assert sleepy.failures == 0


async def test_a_lost_question_is_followed_by_a_poll(
    hass: HomeAssistant, sleepy: Nl43Coordinator, sim: SimulatedMeter
) -> None:
    """An outage that a question meets is not left for an hour as if all were well."""
    sim.inject(Fault.WEDGE)
    await until(lambda: not sleepy.meter.connection.is_open)
    sleepy.async_doubt(STORE_NAME)
    await until(shown(hass, LP, STATE_UNAVAILABLE))
    await until(shown(hass, CONNECTION, "wedged"))
    sim.clear()
    await until(shown(hass, CONNECTION, "connected"))


async def test_a_question_that_loses_the_connection_is_followed_by_a_poll(
    hass: HomeAssistant,
    sleepy: Nl43Coordinator,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the poller sleeps and a person has asked."""
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT", 0.2)
    sim.inject(Fault.SILENCE)
    with pytest.raises(NoAnswerError):
        await sleepy.async_ask(STORE_NAME, Priority.PERSON)
    await until(shown(hass, CONNECTION, "unreachable"))
    sim.clear()
    await until(shown(hass, CONNECTION, "connected"))


async def test_a_poll_goes_before_the_questions(
    sleepy: Nl43Coordinator, sim: SimulatedMeter
) -> None:
    """Over a new connection a frame comes first; a doubt is not worn out by an outage."""
    await sim.drop_connection()
    await until(lambda: not sleepy.meter.connection.is_open)
    before = len(sim.commands)
    sleepy.async_doubt(STORE_NAME)
    await until(lambda: asked(sim)[-1] == "Store Name?")
    assert asked(sim)[before:] == ["Serial Number?", "DOD?", "Store Name?"]


async def test_a_refused_question_is_not(sleepy: Nl43Coordinator, sim: SimulatedMeter) -> None:
    """An answer that is of no use says nothing about the connection."""
    sim.config.missing = ["Store Name"]
    before = len(sim.commands)
    sleepy.async_doubt(STORE_NAME)
    await until(lambda: "Store Name" in sleepy.data.lacking)
    await idle(sleepy)
    assert asked(sim)[before:] == ["Store Name?"]


# While the meter sends files


async def test_failed_polls_during_a_transfer(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A meter that is busy sending is not lost; what fails afterwards counts as ever."""
    poller: Nl43Coordinator = loaded.runtime_data.coordinator
    _, unwatch = watch(hass, loaded)
    levels = history(hass, LP)
    with poller.transferring(), poller.transferring():
        sim.inject(Fault.REFUSE_DOD)
        await until(lambda: poller.failures == 4)
        with poller.transferring():
            pass
        await until(lambda: poller.failures == 6)
        assert not said(caplog, "the meter is lost")
    await until(lambda: poller.failures == 8)
    assert STATE_UNAVAILABLE not in levels
    await until(lambda: poller.failures >= 9)
    await until(lambda: levels[-1] == STATE_UNAVAILABLE)
    sim.clear()
    await until(lambda: levels[-1] != STATE_UNAVAILABLE)
    assert said(caplog, "the meter is lost") == said(caplog, "the meter is back") == 1
    unwatch()
    # A new outage finds nothing forgiven.
    sim.inject(Fault.REFUSE_DOD, times=3)
    set_intervals(hass, loaded, scan=0.05)
    await until(lambda: levels[-1] == STATE_UNAVAILABLE)


async def test_a_transfer_is_no_excuse_for_old_values(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A while after the last good frame all failed polls count, and one good frame ends it."""
    grace = 0.5
    monkeypatch.setattr(coordinator, "TRANSFER_GRACE", grace)
    set_intervals(hass, loaded, scan=0.05)
    poller: Nl43Coordinator = loaded.runtime_data.coordinator
    _, unwatch = watch(hass, loaded)
    with poller.transferring():
        sim.inject(Fault.REFUSE_DOD)
        await until(lambda: poller.failures >= 4)
        assert poller.last_update_success
        good = last_frame(poller)
        await until(shown(hass, LP, STATE_UNAVAILABLE))
        # The next failed poll after the while is enough: there have been many more than three.
        assert (dt_util.utcnow() - good).total_seconds() >= grace
        assert poller._forgiven == 0
        sim.clear()
        await until(lambda: poller.last_update_success)
        sim.inject(Fault.REFUSE_DOD)
        await until(lambda: poller.failures >= 4)
        assert poller.last_update_success
    assert said(caplog, "the meter is lost") == said(caplog, "the meter is back") == 1
    unwatch()
