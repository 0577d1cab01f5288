"""Since when a measurement runs: what is shown is true, or unknown."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import log10
from typing import Any, Final

from homeassistant.const import STATE_UNAVAILABLE, STATE_UNKNOWN
from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.nl43 import measurement
from custom_components.nl43.coordinator import Nl43Coordinator
from custom_components.nl43.facts import Fact, MeterData
from custom_components.nl43.files import Nl43Files
from custom_components.nl43.measurement import MeasurementStart
from custom_components.nl43.rion import NO_READING, Channel, ftp
from custom_components.nl43.rion.vocabulary import (
    CLOCK,
    FTP,
    MEASURE,
    PAUSE,
    STORE_MODE,
    STORE_NAME,
    TYPE,
    Model,
    OnOff,
    RunState,
    StoreMode,
)
from nl43_sim import Fault, SimulatedMeter

from .conftest import until
from .tools import DEVICE, MEASUREMENT, call, set_intervals, shown, state

START: Final = f"sensor.{DEVICE}_measurement_start"
SWITCH: Final = f"switch.{DEVICE}_measurement"
# What the measured time tells, beside the looks themselves.
NEAR: Final = timedelta(seconds=4)
STORE: Final = "/NL-43/Auto_0019"


def seconds(count: float) -> timedelta:
    """Return a time span."""
    return timedelta(seconds=count)


# Told frame by frame


@dataclass
class Story:
    """A meter's frames and facts, told one by one; its card is that of a simulated meter."""

    poller: Nl43Coordinator
    files: Nl43Files
    sim: SimulatedMeter
    start: MeasurementStart
    zero: datetime
    hides_le: bool = False
    hides_all: bool = False

    def at(self, count: float) -> datetime:
        """Return the time some seconds after the story's beginning."""
        return self.zero + seconds(count)

    def look(
        self,
        count: float,
        measured: float | None,
        *,
        running: bool | None = None,
        said: float | None = None,
        frame: float | None = None,
        **facts: Any,
    ) -> datetime | None:
        """Tell a look at the meter, and return the start that is shown then.

        `measured` is for how many seconds it has measured, None while it does not. It says what it
        does at `said`, or now; the frame is of `frame`, or of now.
        """
        channel = Channel(**{**_fields(NO_READING.main), "lp": 50.0, "over": False})
        if measured is not None and not self.hides_all:
            le = None if self.hides_le else round(60.0 + 10 * log10(max(measured, 0.1)), 1)
            channel = replace(channel, leq=60.0, le=le, lmax=66.0)
        is_running = measured is not None if running is None else running
        word = RunState.START if is_running else RunState.STOP
        now = self.at(count)
        known: dict[str, Any] = {
            MEASURE.name: Fact(word, now if said is None else self.at(said)),
            TYPE.name: Fact(Model.NL_43, now),
            STORE_MODE.name: Fact(StoreMode.AUTO, now),
            STORE_NAME.name: Fact(19, now),
            CLOCK.name: Fact(now.replace(tzinfo=None), now),
        }
        known |= {name: Fact(value, now) for name, value in facts.items()}
        self.poller.data = MeterData(
            reading=replace(NO_READING, main=channel),
            at=now if frame is None else self.at(frame),
            facts={name: fact for name, fact in known.items() if fact.value is not None},
            lacking=frozenset(),
        )
        self.poller.last_update_success = True
        self.poller._async_update_prompt_listeners()
        return self.start.value

    def lose(self) -> None:
        """Tell that the meter is lost."""
        self.poller.last_update_success = False
        self.poller._async_update_prompt_listeners()
        assert self.start.value is None

    def store(self, began: datetime, name: str = "0019") -> None:
        """Have a store on the card, dated by a clock that shows UTC."""
        self.sim.state.card.remove(f"/NL-43/Auto_{name}")
        self.sim.state.card.add_folder(f"/NL-43/Auto_{name}", began.replace(tzinfo=None))

    async def restart(self) -> None:
        """Have Home Assistant restarted."""
        await self.start.async_save()
        self.start = MeasurementStart(self.poller, self.files)
        await self.start.async_load()

    async def card(self) -> None:
        """Wait until the card was asked."""
        assert self.start._asking is not None
        await self.start._asking


def _fields(channel: Channel) -> dict[str, Any]:
    """Return the fields of a channel."""
    return {name: getattr(channel, name) for name in Channel.__slots__}


@pytest.fixture
async def story(
    hass: HomeAssistant,
    patient: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> Story:
    """Return a meter that is not polled."""
    monkeypatch.setattr(ftp, "TIMEOUT", 1.0)
    hass.config_entries.async_update_entry(entry, pref_disable_polling=True)
    assert await hass.config_entries.async_setup(entry.entry_id)
    meter = entry.runtime_data
    await meter.start.async_save()
    start = MeasurementStart(meter.coordinator, meter.files)
    await start._store.async_remove()
    await start.async_load()
    # Long ago, but for what the card tells of the last minutes.
    zero = dt_util.utcnow() - timedelta(hours=3)
    return Story(meter.coordinator, meter.files, sim, start, zero)


def near(found: datetime | None, expected: datetime) -> bool:
    """Tell whether a start is the right one, as far as it can be seen."""
    return found is not None and abs(found - expected) <= NEAR


async def test_told(story: Story) -> None:
    """Started from here, it is when the meter said so, to the second."""
    assert story.look(0, None) is None
    story.poller.told_start = story.at(7.2)
    assert story.look(8, 0.5, said=7.9) == story.at(7.2)
    for count in range(18, 400, 10):
        assert story.look(count, count - 7.2) == story.at(7.2)
    assert story.look(410, None) is None
    # It says nothing about the next.
    assert near(story.look(420, 5), story.at(415))


@pytest.mark.parametrize("hides_le", [False, True])
async def test_seen_by_the_frames(story: Story, hides_le: bool) -> None:
    """Between a frame without a measurement and one with it; LE tells more exactly when."""
    story.hides_le = hides_le
    story.look(0, None)
    assert story.look(10, None, said=0) is None
    # The frame comes first, the word follows.
    assert story.look(20, 7, running=False, said=0) is None
    expected = story.at(20 if hides_le else 13)
    assert near(story.look(20, 7, said=20.5, frame=20), expected)
    assert near(story.look(30, 17, said=20.5), expected)
    assert near(story.look(60, 47), expected)


async def test_seen_by_its_word(story: Story) -> None:
    """The next frame makes it more exact, once, and never earlier than the meter was stopped."""
    story.look(0, None)
    assert story.look(30, None, frame=25, running=True) == story.at(30)
    assert near(story.look(35, 20, said=30), story.at(15))
    exact = story.start.value
    for count in range(45, 2000, 10):
        assert story.look(count, (count - 15) * 1.02) == exact
    story.look(3000, None)
    assert story.look(3010, None, frame=3000, running=True) == story.at(3010)
    assert story.look(3020, 60, said=3010) == story.at(3000)


async def test_levels_that_are_not_shown(story: Story) -> None:
    """A meter that shows neither Leq nor Lmax is followed by its word alone."""
    story.hides_all = True
    for count in range(0, 100, 10):
        assert story.look(count, None) is None
    assert story.look(110, 1) == story.at(110)
    for count in range(120, 300, 10):
        assert story.look(count, 1) == story.at(110)
    assert story.look(310, None) is None
    assert story.look(320, 1) == story.at(320)


async def test_not_seen(story: Story) -> None:
    """Between two looks that lie far apart it is not known when it began."""
    story.look(0, None)
    assert story.look(200, 60) is None
    assert story.look(210, 70) is None
    # What was measured leaves two minutes at most.
    story.look(220, None)
    assert near(story.look(420, 150), story.at(270))


async def test_a_frame_without_levels_is_no_stop(story: Story) -> None:
    """The meter's word counts; the frame before the start does not move it."""
    story.look(0, None)
    start = story.look(10, 5)
    story.look(200, 195)
    assert story.look(210, None, running=True) == start
    assert story.look(220, 215) == start
    assert near(start, story.at(5))


async def test_a_start_that_was_not_seen_stays_unknown(story: Story) -> None:
    """A frame without levels does not make one up."""
    story.look(0, None)
    assert story.look(300, 100) is None
    assert story.look(310, None, running=True) is None
    assert story.look(320, 120) is None


async def test_stopped_and_started_between_two_looks(story: Story) -> None:
    """The measured time tells; also where what it said is older."""
    story.look(0, None)
    assert near(story.look(10, 5), story.at(5))
    story.look(100, 95)
    assert near(story.look(110, 4, said=95), story.at(106))
    story.poller.told_start = story.at(2)
    story.look(170, 64)
    assert near(story.look(180, 9), story.at(171))
    # Far apart, nobody knows whether it was paused since.
    assert story.look(1180, 300) is None


async def test_followed_every_ten_minutes(story: Story) -> None:
    """Also a long scan interval keeps the start, while it explains what was measured."""
    story.look(0, None)
    assert near(story.look(30, 20), story.at(10))
    for count in range(630, 4000, 600):
        assert near(story.look(count, count - 10), story.at(10)), count
    story.look(4600, None)
    assert near(story.look(4630, 20), story.at(4610))
    # Either it was paused, or it is another one.
    assert story.look(5230, 300) is None


async def test_paused(story: Story) -> None:
    """What was not measured does not count."""
    story.look(0, None)
    start = story.look(10, 5)
    paused: dict[str, Any] = {PAUSE.name: OnOff.ON}
    for count in range(20, 700, 10):
        assert story.look(count, 14, **paused) == start
    assert story.look(1300, 14, **paused) == start
    for count in range(1310, 2000, 10):
        assert story.look(count, count - 1310 + 14) == start


@pytest.mark.parametrize("restart", [False, True])
async def test_the_same_after_a_gap(story: Story, restart: bool) -> None:
    """More was measured than fits into the gap."""
    story.look(0, None)
    start = story.look(10, 5)
    story.look(1000, 995)
    await leave(story, restart)
    assert story.look(1500, 1495) == start
    await leave(story, restart)
    # Paused in between.
    assert story.look(2900, 1600) == start
    assert story.start._asking is None


@pytest.mark.parametrize("restart", [False, True])
async def test_a_young_one_after_a_gap(story: Story, restart: bool) -> None:
    """Its start explains all that was measured, to two minutes."""
    story.look(0, None)
    start = story.look(10, 5)
    await leave(story, restart)
    assert story.look(900, 890) == start


async def leave(story: Story, restart: bool) -> None:
    """Have a meter not followed for a while."""
    if restart:
        await story.restart()
    else:
        story.lose()


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("measured", [400, 600, 1010], ids=["less", "unknown", "more"])
async def test_another_after_a_gap(story: Story, restart: bool, measured: float) -> None:
    """What may be another measurement has no start, but for the card's."""
    story.look(0, None)
    story.look(10, 5)
    story.look(510, 505)
    await leave(story, restart)
    assert story.look(5000, measured) is None
    assert story.look(5010, measured + 10) is None


@pytest.mark.parametrize("restart", [False, True])
async def test_stopped_in_a_gap(story: Story, restart: bool) -> None:
    """The stop was seen after the gap; the next start is seen."""
    story.look(0, None)
    story.look(10, 5)
    await leave(story, restart)
    assert story.look(5000, None) is None
    assert near(story.look(5010, 4), story.at(5006))


async def test_without_le_a_gap_proves_nothing(story: Story) -> None:
    """A restart or an outage leaves it unknown."""
    story.hides_le = True
    story.look(0, None)
    assert story.look(10, 5) is not None
    story.lose()
    assert story.look(20, 5) is None
    story.look(30, None)
    assert story.look(40, 5) is not None
    await story.restart()
    assert story.look(50, 5) is None


async def test_a_gap_before_the_first_frame(story: Story) -> None:
    """Started from here just before: the start explains what was measured since."""
    story.look(0, None)
    story.poller.told_start = story.at(7)
    assert story.look(8, None, running=True, frame=0) == story.at(7)
    await story.restart()
    assert story.look(20, 13) == story.at(7)
    await story.restart()
    assert story.look(400, 100) is None


async def test_its_word_is_missing(story: Story) -> None:
    """While the meter does not say whether it measures, nothing is shown."""
    story.look(0, None)
    start = story.look(10, 5)
    silent: dict[str, Any] = {MEASURE.name: None}
    assert story.look(200, 195, **silent) is None
    assert story.look(210, 205) == start


async def test_absurd_levels(story: Story) -> None:
    """Levels that tell of centuries tell nothing."""
    story.look(0, None)
    start = story.look(10, 5)
    assert story.look(20, 1e60) == start
    assert story.look(30, 25) == start


async def test_saved_now_and_then(
    hass: HomeAssistant, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash loses no more than some minutes."""
    saved: list[Any] = []
    monkeypatch.setattr(
        story.start._store, "async_delay_save", lambda data, _delay: saved.append(data())
    )
    story.look(0, None)
    assert saved == []
    start = story.look(10, 5)
    assert start is not None
    for count in range(20, 1290, 10):
        story.look(count, count - 5)
    assert len(saved) == 3
    assert saved[-1]["start"] == start.isoformat()
    assert saved[-1]["measured"] > 1000
    story.look(1300, None)
    assert saved[-1] == {"start": None, "seen": None, "measured": None}


# The card


def recent(story: Story, ago: float) -> float:
    """Return the moment so many seconds ago."""
    return (dt_util.utcnow() - story.zero).total_seconds() - ago


async def test_the_card_tells(story: Story) -> None:
    """Once a measurement; the time of the newest store."""
    began = recent(story, 600)
    story.store(story.at(began))
    assert story.look(recent(story, 5), 595) is None
    await story.card()
    assert story.sim.ftp_sessions_opened == 1
    minute = story.at(began).replace(second=0, microsecond=0)
    found = story.look(recent(story, 0), 600)
    assert found is not None
    assert abs(found - minute) <= seconds(2)
    for _ in range(20):
        assert story.look(recent(story, 0), 600) == found
    assert story.sim.ftp_sessions_opened == 1
    # Stopped, and begun anew in a gap: asked anew.
    story.look(recent(story, 0), None)
    story.lose()
    story.look(recent(story, 0), 0.2)
    await story.card()
    assert story.sim.ftp_sessions_opened == 2


@pytest.mark.parametrize(
    ("began", "newest", "facts"),
    [
        (600, "0020", {}),
        (600, "0019", {STORE_MODE.name: StoreMode.MANUAL}),
        (600, "0019", {STORE_MODE.name: None}),
        (600, "0019", {STORE_NAME.name: None}),
        (600, "0019", {CLOCK.name: None}),
        (600, "0019", {FTP.name: OnOff.OFF}),
        (7200, "0019", {}),
        (200, "0019", {}),
        (-3600, "0019", {}),
        (86400 * 400, "0019", {}),
    ],
    ids=[
        "full card",
        "by hand",
        "no mode",
        "no name",
        "no clock",
        "FTP off",
        "of an earlier one",
        "later than measured",
        "future",
        "another year",
    ],
)
async def test_what_the_card_does_not_tell(
    story: Story, began: float, newest: str, facts: dict[str, Any]
) -> None:
    """Nothing is made up."""
    for name in ("0018", "0019"):
        story.store(story.zero - timedelta(days=500), name)
    story.store(story.at(recent(story, began)), newest)
    assert story.look(recent(story, 0), 600, **facts) is None
    if story.start._asking is not None:
        await story.card()
    assert story.look(recent(story, 0), 600, **facts) is None
    assert story.sim.ftp_sessions_opened <= 1


async def test_an_empty_card(story: Story) -> None:
    """No store, no start."""
    for name in ("0017", "0018", "0019"):
        story.sim.state.card.remove(f"/NL-43/Auto_{name}")
    story.look(recent(story, 0), 600)
    await story.card()
    assert story.look(recent(story, 0), 600) is None


async def test_without_le_the_card_is_believed(story: Story) -> None:
    """But for what lies in the future; a second or two is the clock's."""
    story.hides_le = True
    story.store(story.at(recent(story, 5000)))
    story.look(recent(story, 0), 1)
    await story.card()
    found = story.look(recent(story, 0), 1)
    assert found is not None
    assert abs(found - story.at(recent(story, 5000))) <= seconds(62)
    story.lose()
    story.store(story.at(recent(story, -3600)))
    story.look(recent(story, 0), 1)
    await story.card()
    assert story.look(recent(story, 0), 1) is None


async def test_never_in_the_future(story: Story) -> None:
    """A clock that is known to a second does not shift a start beyond now."""
    now = recent(story, 0)
    story.store(story.at(now + 60))
    story.look(now, 0.2)
    await story.card()
    found = story.look(now, 0.2)
    assert found is not None
    assert found <= story.at(now)


@pytest.mark.parametrize("restart", [False, True])
async def test_the_card_tells_that_it_is_the_same(story: Story, restart: bool) -> None:
    """A pause does not make a measurement another one; its start stays exact."""
    began = recent(story, 5000)
    story.look(began - 5, None)
    start = story.look(began + 3, 3)
    story.store(story.at(began))
    await leave(story, restart)
    assert story.look(recent(story, 0), 600) is None
    await story.card()
    assert story.look(recent(story, 0), 600) == start


async def test_dated_by_the_clock_of_then(story: Story) -> None:
    """A clock that is set while it measures does not shift its start."""
    began = recent(story, 600)
    story.store(story.at(began) + timedelta(hours=3))
    wrong = (story.at(recent(story, 100)) + timedelta(hours=3)).replace(tzinfo=None)
    facts: dict[str, Any] = {CLOCK.name: wrong, FTP.name: OnOff.OFF}
    story.look(recent(story, 100), 500, **facts)
    story.look(recent(story, 0), 600)
    await story.card()
    found = story.look(recent(story, 0), 600)
    assert found is not None
    assert abs(found - story.at(began)) <= seconds(62)


async def test_by_a_store_name_of_the_same_age(story: Story) -> None:
    """What the store was called before the measurement is asked anew first, once."""
    story.store(story.at(recent(story, 600)))
    doubts: list[Any] = []
    story.poller.async_doubt = lambda *settings: doubts.append(settings)  # type: ignore[method-assign]
    now = recent(story, 0)
    story.look(now - 10, 590, said=now)
    story.look(now - 5, 595, said=now)
    assert doubts == [(STORE_MODE, STORE_NAME)]
    assert story.start._asking is None
    story.look(now, 600)
    await story.card()
    assert story.look(now, 600) is not None


@pytest.mark.parametrize("fault", [Fault.FTP_OFF, Fault.FTP_LOGIN, Fault.FTP_DATA_BLOCKED])
async def test_ftp_out_of_order(
    story: Story, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """Unknown; asked ever more seldom, also over outages, and at once when it was mended."""
    monkeypatch.setattr(ftp, "TIMEOUT", 0.2)
    loop = story.poller.hass.loop
    story.store(story.at(recent(story, 600)))
    story.sim.inject(fault)
    story.look(recent(story, 0), 600)
    task = story.start._asking
    assert task is not None
    await task
    for _ in range(50):
        assert story.look(recent(story, 0), 600) is None
        story.lose()
    assert story.start._asking is task
    assert story.start._card_due - loop.time() > measurement.RETRY * 0.9
    for power in range(1, 9):
        story.start._card_due = 0.0
        story.look(recent(story, 0), 600)
        await story.card()
        pause = story.start._card_due - loop.time()
        assert pause == pytest.approx(measurement.RETRY * min(2**power, 36), abs=5)
    story.sim.clear()
    task = story.start._asking
    assert story.look(recent(story, 0), 600) is None
    assert story.start._asking is task
    # Somebody else has used it.
    await story.files.async_list("/")
    story.look(recent(story, 0), 600)
    await story.card()
    assert story.look(recent(story, 0), 600) is not None
    assert story.start._card_failures == 0


async def test_no_login(hass: HomeAssistant, story: Story) -> None:
    """Without one, the card is left alone."""
    entry = story.poller.config_entry
    data = {key: value for key, value in entry.data.items() if not key.startswith("ftp")}
    hass.config_entries.async_update_entry(entry, data=data)
    assert story.look(recent(story, 0), 600) is None
    assert story.start._asking is None


async def test_ended_while_the_card_is_asked(story: Story) -> None:
    """What comes too late is not taken."""
    story.sim.inject(Fault.FTP_DATA_BLOCKED)
    story.look(recent(story, 0), 600)
    task = story.start._asking
    assert task is not None
    story.look(recent(story, 0), 600)
    assert story.start._asking is task
    await until(lambda: story.sim.ftp_sessions_opened == 1)
    assert story.look(recent(story, 0), None) is None
    await until(task.done)
    assert task.cancelled()


# With a real poller


def moment(hass: HomeAssistant) -> datetime:
    """Return the start that is shown."""
    found = dt_util.parse_datetime(state(hass, START))
    assert found is not None
    return found


def age(hass: HomeAssistant) -> float:
    """Return how many seconds ago it began as far as is shown."""
    return (dt_util.utcnow() - moment(hass)).total_seconds()


async def set_up(
    hass: HomeAssistant, entry: MockConfigEntry, scan: float = 0.05
) -> Nl43Coordinator:
    """Set a meter up that is read quickly."""
    set_intervals(hass, entry, scan=scan)
    assert await hass.config_entries.async_setup(entry.entry_id)
    poller: Nl43Coordinator = entry.runtime_data.coordinator
    return poller


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/St_Johns"])
@pytest.mark.parametrize(
    ("utc_offset", "ahead"), [(None, 0.0), (-34_200.0, 0.0), (50_400.0, 7200.0), (0.0, -90_000.0)]
)
async def test_a_clock_of_any_kind(
    hass: HomeAssistant,
    patient: None,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    utc_offset: float | None,
    ahead: float,
    zone: str,
) -> None:
    """Neither a wrong clock nor a time zone shifts a start; the card is asked once."""
    await hass.config.async_set_time_zone(zone)
    sim.press("Measure,Stop")
    sim.state.clock._utc_offset = None if utc_offset is None else seconds(utc_offset)
    sim.state.clock_offset = ahead
    sim.press("Measure,Start")
    poller = await set_up(hass, entry)
    await until(lambda: state(hass, START) != STATE_UNKNOWN)
    assert -0.5 <= age(hass) <= 66
    await until(lambda: poller._facts.due(hass.loop.time(), poller.data) is None)
    assert sim.ftp_sessions_opened == 1


async def test_started_from_here(
    hass: HomeAssistant, patient: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """No card is needed; a stop ends it."""
    sim.press("Measure,Stop")
    poller = await set_up(hass, entry)
    await until(shown(hass, MEASUREMENT, "stopped"))
    await until(lambda: hass.states.get(SWITCH) is not None)
    earliest = dt_util.utcnow().replace(microsecond=0)
    sim.press("Store Name,0020")
    await call(hass, SWITCH, "turn_on")
    assert earliest <= moment(hass) <= dt_util.utcnow()
    started = moment(hass)
    assert await hass.config_entries.async_reload(entry.entry_id)
    await until(lambda: state(hass, START) not in (STATE_UNKNOWN, STATE_UNAVAILABLE))
    assert moment(hass) == started
    assert entry.runtime_data.coordinator is not poller
    await call(hass, SWITCH, "turn_off")
    assert state(hass, START) == STATE_UNKNOWN
    assert sim.ftp_sessions_opened == 0


async def test_started_at_the_meter(
    hass: HomeAssistant, patient: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """It was seen, and no card is needed."""
    sim.press("Measure,Stop")
    await set_up(hass, entry)
    await until(shown(hass, MEASUREMENT, "stopped"))
    await until(lambda: hass.states.get(SWITCH) is not None)
    earliest = dt_util.utcnow() - seconds(1)
    sim.press("Measure,Start")
    await until(lambda: state(hass, START) != STATE_UNKNOWN)
    assert earliest <= moment(hass) <= dt_util.utcnow()
    assert sim.ftp_sessions_opened == 0


async def test_standby_and_back(
    hass: HomeAssistant, patient: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """The same measurement keeps its start; another one meanwhile has the card's."""
    await set_up(hass, entry)
    await until(lambda: state(hass, START) != STATE_UNKNOWN)
    for restarted in (False, True):
        await until(lambda: sim.state._steps > 10)
        await until(lambda: (entry.runtime_data.start._run.measured or seconds(0)) > seconds(1))
        await call(hass, f"switch.{DEVICE}_polling", "turn_off")
        assert state(hass, START) == STATE_UNAVAILABLE
        if restarted:
            sim.press("Measure,Stop")
            sim.press("Store Name,0033")
            sim.press("Measure,Start")
        await call(hass, f"switch.{DEVICE}_polling", "turn_on")
        await until(lambda: state(hass, START) not in (STATE_UNKNOWN, STATE_UNAVAILABLE))
        assert sim.ftp_sessions_opened == (2 if restarted else 1)
        assert -0.5 <= age(hass) <= 66


async def test_forgotten_with_its_meter(
    hass: HomeAssistant, patient: None, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """Nothing stays behind, and nothing is written afterwards."""
    sim.press("Measure,Stop")
    await set_up(hass, entry)
    await until(shown(hass, MEASUREMENT, "stopped"))
    await until(lambda: hass.states.get(SWITCH) is not None)
    sim.press("Measure,Start")
    await until(lambda: state(hass, START) != STATE_UNKNOWN)
    start = entry.runtime_data.start
    assert await hass.config_entries.async_unload(entry.entry_id)
    stored = await start._store.async_load()
    assert stored is not None
    assert stored["start"] is not None
    assert await hass.config_entries.async_remove(entry.entry_id)
    assert start._follow not in start._coordinator._prompt_listeners
    assert await measurement._start_store(hass, entry.entry_id).async_load() is None
