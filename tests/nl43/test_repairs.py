"""Repairs: raised by their causes, mended by their flows, and gone by themselves."""

import asyncio
from collections.abc import AsyncGenerator, Callable
import contextlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
import json
import logging
from typing import Any, Final, Self
from unittest.mock import Mock

from aiohttp import web
from aiohttp.test_utils import TestClient
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import (
    ClientSessionGenerator,
    MockHAClientWebSocket,
    WebSocketGenerator,
)

from custom_components.nl43 import repairs
from custom_components.nl43.const import DOMAIN, ConnectionState
from custom_components.nl43.coordinator import Nl43Coordinator
from custom_components.nl43.errors import translated
from custom_components.nl43.facts import NOTHING_KNOWN, Fact
from custom_components.nl43.files import Nl43Files
from custom_components.nl43.rion import (
    FtpDataError,
    FtpError,
    FtpLoginError,
    FtpNotFoundError,
    FtpUnreachableError,
    NoAnswerError,
    ftp,
)
from custom_components.nl43.rion.vocabulary import (
    BATTERY_LEVEL,
    CLOCK,
    SD_FREE,
    SD_TOTAL,
    SLEEP_MODE,
    BatteryLevel,
    Command,
    OnOff,
)
from nl43_sim import Asleep, Fault, SimulatedMeter

from .conftest import quick_meter, until
from .tools import CONNECTION, DEVICE, TEXTS, asked, call, set_intervals, shown

pytestmark = [
    pytest.mark.usefixtures("patient"),
    # Home Assistant's own http component keeps its keys as texts.
    pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey"),
]

POLLING: Final = f"switch.{DEVICE}_polling"
ISSUES: Final = {issue.key: issue for issue in repairs.ISSUES}
RIGHT: Final = "swordfish"
WRONG: Final = "barracuda"


@pytest.fixture
async def sim(quick: None) -> AsyncGenerator[SimulatedMeter]:
    """Run a meter whose clock is right where the tests' Home Assistant is."""
    async with SimulatedMeter(replace(quick_meter(), utc_offset=0.0)) as meter:
        yield meter
        assert meter.violations == []


@dataclass(frozen=True)
class Repairs:
    """Home Assistant's repairs as a browser uses them, for one meter."""

    hass: HomeAssistant
    entry: MockConfigEntry
    http: TestClient[web.Request, web.Application]
    socket: MockHAClientWebSocket
    changes: list[str]
    """What happened to issues of meters: `create`, `update` or `remove` and the key."""

    @property
    def poller(self) -> Nl43Coordinator:
        """The meter's poller."""
        poller: Nl43Coordinator = self.entry.runtime_data.coordinator
        return poller

    @property
    def files(self) -> Nl43Files:
        """The meter's files."""
        files: Nl43Files = self.entry.runtime_data.files
        return files

    def issue_id(self, key: str) -> str:
        """Return the id of an issue of the meter."""
        return f"{key}_{self.entry.entry_id}"

    def is_shown(self, key: str) -> bool:
        """Tell whether an issue is raised."""
        issue = ir.async_get(self.hass).async_get_issue(DOMAIN, self.issue_id(key))
        return issue is not None and issue.active

    async def until_shown(self, key: str) -> None:
        """Wait until an issue is raised."""
        await until(lambda: self.is_shown(key))

    async def until_gone(self, key: str) -> None:
        """Wait until an issue is cleared."""
        await until(lambda: not self.is_shown(key))

    async def listed(self) -> dict[str, dict[str, Any]]:
        """Return the issues of meters that a person sees, by their keys; each has its texts."""
        found = {}
        for issue in (await self.ask("list_issues"))["issues"]:
            if issue["domain"] == DOMAIN:
                assert issue["issue_id"] == self.issue_id(issue["translation_key"])
                texts = TEXTS["issues"][issue["translation_key"]]
                assert texts["title"].format(**issue["translation_placeholders"])
                if not issue["is_fixable"]:
                    assert texts["description"].format(**issue["translation_placeholders"])
                found[issue["translation_key"]] = issue
        return found

    async def ask(self, what: str, **data: Any) -> Any:
        """Send a command over the websocket and return its result."""
        await self.socket.send_json_auto_id({"type": f"repairs/{what}", **data})
        answer = await self.socket.receive_json()
        assert answer["success"]
        return answer["result"]

    async def ignore(self, key: str) -> None:
        """Ignore an issue, as a person does."""
        await self.ask("ignore_issue", domain=DOMAIN, issue_id=self.issue_id(key), ignore=True)

    async def post(self, path: str, data: dict[str, Any]) -> dict[str, Any]:
        """Send a form and return what comes of it, with all its texts there."""
        response = await self.http.post(f"/api/repairs/issues/fix{path}", json=data)
        assert response.status == 200
        result: dict[str, Any] = await response.json()
        return result

    async def start(self, key: str) -> Flow:
        """Begin to mend an issue."""
        data = {"handler": DOMAIN, "issue_id": self.issue_id(key)}
        return Flow(self, key, await self.post("", data))

    async def fetch(self) -> None:
        """Have the card listed, whatever comes of it."""
        self.files.async_forget()
        with contextlib.suppress(HomeAssistantError):
            await self.files.async_list("/")


@dataclass
class Flow:
    """A dialog that mends an issue; each of its answers has its texts."""

    repairs: Repairs
    key: str
    result: dict[str, Any]

    @property
    def flow_id(self) -> str:
        """The flow's own id."""
        return str(self.result["flow_id"])

    @property
    def words(self) -> dict[str, str]:
        """What the texts leave open."""
        return self.result["description_placeholders"] or {}

    async def submit(self, **user_input: Any) -> Self:
        """Press the button."""
        self.result = await self.repairs.post(f"/{self.flow_id}", user_input)
        return self

    def assert_form(self, step: str, error: str | None = None) -> None:
        """Assert that a form is shown, with or without an error; its texts can be filled in."""
        assert self.result["type"] == "form"
        assert self.result["step_id"] == step
        assert self.result["errors"] == (error and {"base": error})
        texts = TEXTS["issues"][self.key]["fix_flow"]
        assert texts["step"][step]["description"].format(**self.words)
        if error:
            text = texts["error"][error].format(**self.words)
            assert self.repairs.entry.title in text
            assert "()" not in text

    def assert_aborted(self, reason: str) -> None:
        """Assert that the flow gave up, and says why."""
        assert self.result["type"] == "abort"
        assert self.result["reason"] == reason
        text = TEXTS["issues"][self.key]["fix_flow"]["abort"][reason]
        assert self.repairs.entry.title in text.format(**self.words)

    def assert_mended(self) -> None:
        """Assert that the flow ended well, and that the issue is gone at once."""
        assert self.result["type"] == "create_entry"
        assert not self.repairs.is_shown(self.key)


@pytest.fixture
async def panel(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sim: SimulatedMeter,
    hass_client: ClientSessionGenerator,
    hass_ws_client: WebSocketGenerator,
) -> Repairs:
    """Return the repairs of a meter that is read often and has told all there is to tell."""
    await hass.config.async_set_time_zone("UTC")
    changes: list[str] = []

    @callback
    def note(event: Event[ir.EventIssueRegistryUpdatedData]) -> None:
        if event.data["domain"] == DOMAIN:
            key = event.data["issue_id"].removesuffix(f"_{entry.entry_id}")
            changes.append(f"{event.data['action']} {key}")

    hass.bus.async_listen(ir.EVENT_REPAIRS_ISSUE_REGISTRY_UPDATED, note)
    for component in ("repairs", "diagnostics"):
        assert await async_setup_component(hass, component, {})
    assert await hass.config_entries.async_setup(entry.entry_id)
    set_intervals(hass, entry, scan=0.05)
    panel = Repairs(hass, entry, await hass_client(), await hass_ws_client(), changes)
    await until(lambda: panel.poller._facts.due(hass.loop.time(), panel.poller.data) is None)
    await hass.async_block_till_done()
    return panel


async def frames(panel: Repairs, count: int = 5) -> None:
    """Wait for some frames."""
    for _ in range(count):
        before = panel.poller.data.at
        await until(partial(lambda at: panel.poller.data.at != at, before))


async def lost(panel: Repairs, state: str = "unreachable") -> None:
    """Wait until the meter is lost."""
    await until(shown(panel.hass, CONNECTION, state), 20)


# Raised and cleared


async def test_nothing_to_mend(panel: Repairs, sim: SimulatedMeter) -> None:
    """A meter in order has no issues, also after a look at its card."""
    await panel.fetch()
    assert panel.files.trouble is None
    assert await panel.listed() == {}
    assert panel.changes == []


@dataclass(frozen=True)
class Cause:
    """What is wrong at the meter, how it is mended there, and the question that tells."""

    key: str
    begin: Callable[[SimulatedMeter], object]
    question: Command[Any] | None = None
    end: Callable[[SimulatedMeter], object] = SimulatedMeter.clear
    fetches: bool = False
    severity: str = "warning"

    def look(self, panel: Repairs) -> object:
        """Have Home Assistant look, which it else does only now and then."""
        if self.fetches:
            return panel.hass.async_create_task(panel.fetch())
        return self.question and panel.poller.async_doubt(self.question)


def _sleep(sim: SimulatedMeter) -> None:
    """Put a meter to sleep that goes on answering."""
    sim.config.asleep = Asleep.ANSWERS
    sim.press("Measure,Stop")
    assert sim.press("Sleep Mode,On") == "R+0000"


CAUSES: Final = (
    Cause("wedged", lambda sim: sim.inject(Fault.WEDGE), severity="error"),
    Cause("sleep_mode", _sleep, SLEEP_MODE, end=lambda sim: sim.press("Sleep Mode,Off")),
    Cause("ftp_login", lambda sim: sim.inject(Fault.FTP_LOGIN), fetches=True),
    Cause("ftp_data", lambda sim: sim.inject(Fault.FTP_DATA_BLOCKED), fetches=True),
    Cause("sd_low", lambda sim: sim.inject(Fault.FULL_CARD), SD_FREE),
    Cause("clock_off", lambda sim: sim.inject(Fault.WRONG_CLOCK), CLOCK),
    Cause("battery_low", lambda sim: sim.inject(Fault.EMPTY_BATTERY), BATTERY_LEVEL),
)
each_cause = pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.key)


@pytest.fixture(autouse=True)
def _impatient_ftp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a data connection given up soon."""
    monkeypatch.setattr(ftp, "TIMEOUT", 1.0)


def test_every_issue_has_a_cause() -> None:
    """None is left out below."""
    assert [cause.key for cause in CAUSES] == list(ISSUES)


@each_cause
async def test_raised_once_and_cleared_by_itself(
    panel: Repairs, sim: SimulatedMeter, cause: Cause
) -> None:
    """An issue comes with its cause, stays as it is meanwhile, and goes with it."""
    key = cause.key
    cause.begin(sim)
    cause.look(panel)
    await panel.until_shown(key)
    for _ in range(3):
        cause.look(panel)
        await asyncio.sleep(0.05)
        await panel.hass.async_block_till_done()
    listed = await panel.listed()
    assert set(listed) == {key}
    issue = listed[key]
    assert issue["severity"] == cause.severity
    assert issue["is_fixable"] is (ISSUES[key].flow is not None)
    assert issue["translation_placeholders"]["meter"] == panel.entry.title
    data = await panel.ask("get_issue_data", domain=DOMAIN, issue_id=panel.issue_id(key))
    assert data == {"issue_data": {"entry_id": panel.entry.entry_id}}
    assert panel.changes == [f"create {key}"]
    cause.end(sim)
    cause.look(panel)
    await panel.until_gone(key)
    await frames(panel)
    await panel.hass.async_block_till_done()
    assert await panel.listed() == {}
    assert panel.changes == [f"create {key}", f"remove {key}"]


@each_cause
async def test_gone_with_the_meter(panel: Repairs, sim: SimulatedMeter, cause: Cause) -> None:
    """What nobody looks after any more is not shown; it is raised again where it still holds."""
    entry_id = panel.entry.entry_id
    cause.begin(sim)
    cause.look(panel)
    await panel.until_shown(cause.key)
    await panel.hass.async_block_till_done()
    assert await panel.hass.config_entries.async_unload(entry_id)
    assert await panel.listed() == {}
    assert panel.changes == [f"create {cause.key}", f"remove {cause.key}"]
    sim.clear(Fault.WEDGE)
    sim.press("Sleep Mode,Off")
    assert await panel.hass.config_entries.async_setup(entry_id)
    if cause.question and cause.key != "sleep_mode":
        await panel.until_shown(cause.key)
    await panel.hass.config_entries.async_remove(entry_id)
    assert await panel.listed() == {}
    assert not [issue for issue in ir.async_get(panel.hass).issues if issue[0] == DOMAIN]


@each_cause
async def test_gone_in_stand_by(panel: Repairs, sim: SimulatedMeter, cause: Cause) -> None:
    """A meter that is left to other tools has no issues, and none comes up meanwhile."""
    cause.begin(sim)
    cause.look(panel)
    await panel.until_shown(cause.key)
    await panel.hass.async_block_till_done()
    await call(panel.hass, POLLING, "turn_off")
    assert await panel.listed() == {}
    await panel.fetch()
    assert await panel.listed() == {}


async def test_cleared_after_a_restart_in_stand_by(panel: Repairs, sim: SimulatedMeter) -> None:
    """A meter that is set up in stand-by raises nothing."""
    await call(panel.hass, POLLING, "turn_off")
    sim.inject(Fault.FTP_LOGIN)
    assert await panel.hass.config_entries.async_reload(panel.entry.entry_id)
    await panel.fetch()
    assert isinstance(panel.files.trouble, FtpLoginError)
    assert await panel.listed() == {}


@pytest.mark.parametrize("key", ["sd_low", "clock_off", "battery_low"])
async def test_lost_meter_keeps_its_issues(panel: Repairs, sim: SimulatedMeter, key: str) -> None:
    """What was wrong before an outage is so until the meter says otherwise."""
    cause = next(cause for cause in CAUSES if cause.key == key)
    cause.begin(sim)
    cause.look(panel)
    await panel.until_shown(key)
    sim.inject(Fault.GONE)
    await lost(panel)
    assert set(await panel.listed()) == {key}
    sim.clear()
    await panel.until_gone(key)
    assert panel.changes == [f"create {key}", f"remove {key}"]


async def test_wedge_is_not_mended_by_an_outage(panel: Repairs, sim: SimulatedMeter) -> None:
    """Switched off, the meter tells nothing; the first frame after it does."""
    sim.inject(Fault.WEDGE)
    await panel.until_shown("wedged")
    sim.inject(Fault.GONE)
    await lost(panel)
    assert set(await panel.listed()) == {"wedged"}
    sim.clear()
    await panel.until_gone("wedged")
    assert panel.changes == ["create wedged", "remove wedged"]


async def test_asleep_without_a_network(panel: Repairs, sim: SimulatedMeter) -> None:
    """What Home Assistant put to sleep is known to sleep; it is woken on the spot."""
    sim.press("Measure,Stop")
    await call(panel.hass, f"switch.{DEVICE}_sleep_mode", "turn_on")
    await panel.until_shown("sleep_mode")
    await lost(panel, "asleep")
    assert set(await panel.listed()) == {"sleep_mode"}
    flow = await panel.start("sleep_mode")
    flow.assert_form("confirm")
    await flow.submit()
    flow.assert_form("confirm", "unreachable")
    assert panel.is_shown("sleep_mode")
    sim.press("Sleep Mode,Off")
    await panel.until_gone("sleep_mode")
    assert panel.changes == ["create sleep_mode", "remove sleep_mode"]
    assert asked(sim).count("Sleep Mode,Off") == 0


async def test_card_between_the_limits(
    panel: Repairs, sim: SimulatedMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Around the limit nothing flaps."""

    async def free(per_cent: float) -> bool:
        size = int(sim.config.sd_total_mb * per_cent / 100)
        monkeypatch.setattr(sim.state, "sd_free", lambda: size)
        panel.poller.async_doubt(SD_FREE)
        await until(lambda: panel.poller.data.get(SD_FREE) == size)
        return panel.is_shown("sd_low")

    sizes = (5.5, 4.9, 5.5, 4.8, 5.9, 6.1, 5.2, 4.9)
    found = [await free(per_cent) for per_cent in sizes]
    assert found == [False, True, True, True, True, False, False, True]
    assert panel.changes == ["create sd_low", "remove sd_low", "create sd_low"]


# What is wrong


def _data(**facts: object) -> Mock:
    """Return a poller that knows some facts, by the names of commands in small letters."""
    at = datetime(2026, 6, 1, 12, tzinfo=UTC)
    names = {command.name.lower().replace(" ", "_"): command.name for command in KNOWN}
    known = {names[name]: Fact(value, at) for name, value in facts.items()}
    return Mock(data=replace(NOTHING_KNOWN, facts=known))


KNOWN: Final[tuple[Command[Any], ...]] = (BATTERY_LEVEL, CLOCK, SD_FREE, SD_TOTAL, SLEEP_MODE)


def _clock(seconds: float) -> Mock:
    """Return a poller whose meter's clock is ahead; it shows half a second less on average."""
    return _data(
        clock=datetime(2026, 6, 1, 12) + timedelta(seconds=seconds - 0.5)  # noqa: DTZ001 - as shown
    )


@pytest.mark.parametrize(
    ("key", "poller", "exists"),
    [
        ("battery_low", _data(), None),
        *(("battery_low", _data(battery_level=level), level < 20) for level in (0.0, 19.9, 25.0)),
        *(("battery_low", _data(battery_level=level), None) for level in (20.0, 24.9)),
        *(
            ("battery_low", _data(battery_level=word), word in {"Low", "Dead", "Empty"})
            for word in BatteryLevel
        ),
        ("sleep_mode", _data(), None),
        ("sleep_mode", _data(sleep_mode=OnOff.ON), True),
        ("sleep_mode", _data(sleep_mode=OnOff.OFF), False),
        ("sd_low", _data(sd_card_free_size=0.0), None),
        ("sd_low", _data(sd_card_free_size=0.0, sd_card_total_size=0.0), None),
        ("sd_low", _data(sd_card_free_size=49.9, sd_card_total_size=1000.0), True),
        ("sd_low", _data(sd_card_free_size=50.0, sd_card_total_size=1000.0), None),
        ("sd_low", _data(sd_card_free_size=60.0, sd_card_total_size=1000.0), False),
        ("clock_off", _data(), None),
        *(("clock_off", _clock(seconds), True) for seconds in (-3600, -31, 31, 5400)),
        *(("clock_off", _clock(seconds), None) for seconds in (-30, -26, 26, 30)),
        *(("clock_off", _clock(seconds), False) for seconds in (-25, 0, 25)),
        ("wedged", Mock(connection=ConnectionState.WEDGED), True),
        ("wedged", Mock(connection=ConnectionState.CONNECTED), False),
        ("wedged", Mock(connection=ConnectionState.ASLEEP), False),
        ("wedged", Mock(connection=ConnectionState.UNREACHABLE), None),
        ("wedged", Mock(connection=ConnectionState.REFUSED), None),
        ("wedged", Mock(connection=ConnectionState.CONNECTING), None),
    ],
)
async def test_what_is_wrong_at_the_meter(
    hass: HomeAssistant, key: str, poller: Mock, exists: bool | None
) -> None:
    """Each limit is where it is said to be; what is not known says nothing."""
    await hass.config.async_set_time_zone("UTC")
    assert ISSUES[key].exists_fn(poller, Mock()) is exists


@pytest.mark.parametrize(
    ("trouble", "login", "data"),
    [
        (None, False, False),
        (FtpLoginError(), True, None),
        (FtpDataError(), False, True),
        (FtpNotFoundError(), False, None),
        (FtpUnreachableError(), None, None),
        (FtpError(), None, None),
    ],
)
@pytest.mark.parametrize("has_login", [True, False])
def test_what_is_wrong_with_ftp(
    trouble: FtpError | None, login: bool | None, data: bool | None, has_login: bool
) -> None:
    """An error tells of what came before it too; without a login nothing can be wrong."""
    files = Mock(trouble=trouble, has_login=has_login)
    expected = (login, data) if has_login else (False, False)
    assert (
        ISSUES["ftp_login"].exists_fn(Mock(), files),
        ISSUES["ftp_data"].exists_fn(Mock(), files),
    ) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5400, "+1:30:00"), (-45, "-0:00:45"), (90000, "+1 day, 1:00:00")],
)
async def test_offset_in_words(hass: HomeAssistant, seconds: float, text: str) -> None:
    """A person reads hours, minutes and seconds, and the direction."""
    await hass.config.async_set_time_zone("UTC")
    assert ISSUES["clock_off"].placeholders_fn(_clock(seconds)) == {"offset": text}


# Mended by one click


async def test_switch_sleep_mode_off(panel: Repairs, sim: SimulatedMeter) -> None:
    """One click wakes a meter that still answers, once."""
    _sleep(sim)
    await panel.until_shown("sleep_mode")
    flow = await panel.start("sleep_mode")
    flow.assert_form("confirm")
    assert "Sleep Mode,Off" not in asked(sim)
    await flow.submit()
    flow.assert_mended()
    assert sim.state.settings["sleep mode"] == "Off"
    assert asked(sim).count("Sleep Mode,Off") == 1
    await frames(panel)
    assert panel.changes == ["create sleep_mode", "remove sleep_mode"]


async def test_set_the_clock(panel: Repairs, sim: SimulatedMeter) -> None:
    """One click sets the clock, once; before it a person reads how wrong it is."""
    sim.inject(Fault.WRONG_CLOCK)
    panel.poller.async_doubt(CLOCK)
    await panel.until_shown("clock_off")
    flow = await panel.start("clock_off")
    flow.assert_form("confirm")
    assert flow.words["offset"][:6] in {"+1:30:", "+1:29:"}
    await flow.submit()
    flow.assert_mended()
    assert abs(sim.state.clock_offset) < 3
    assert sum(line.startswith("Clock,") for line in asked(sim)) == 1
    await frames(panel)
    assert panel.changes == ["create clock_off", "remove clock_off"]


async def wrong_clock(panel: Repairs, sim: SimulatedMeter) -> Flow:
    """Have the clock wrong; return the dialog about it."""
    sim.state.clock_offset = 5400
    panel.poller.async_doubt(CLOCK)
    await panel.until_shown("clock_off")
    flow = await panel.start("clock_off")
    flow.assert_form("confirm")
    return flow


@pytest.mark.parametrize(("fault", "state"), [(Fault.GONE, "unreachable"), (Fault.WEDGE, "wedged")])
async def test_meter_is_lost_meanwhile(
    panel: Repairs, sim: SimulatedMeter, fault: Fault, state: str
) -> None:
    """The form says that the meter is not there, stays open, and works once it is back."""
    flow = await wrong_clock(panel, sim)
    sim.inject(fault)
    await lost(panel, state)
    await flow.submit()
    flow.assert_form("confirm", "unreachable")
    assert panel.is_shown("clock_off")
    sim.clear()
    await until(shown(panel.hass, CONNECTION, "connected"), 20)
    await flow.submit()
    flow.assert_mended()
    assert sum(line.startswith("Clock,") for line in asked(sim)) == 1


async def test_meter_refuses(panel: Repairs, sim: SimulatedMeter) -> None:
    """What the meter says of it is shown."""
    flow = await wrong_clock(panel, sim)
    sim.config.missing = ("Clock",)
    await flow.submit()
    flow.assert_form("confirm", "refused")
    assert "R+0003" in flow.words["error"]
    assert panel.is_shown("clock_off")


async def test_every_error_of_a_command(
    panel: Repairs, sim: SimulatedMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever keeps the meter from it is told in the form, in a text that is there."""
    _sleep(sim)
    await panel.until_shown("sleep_mode")
    flow = await panel.start("sleep_mode")
    for key, error in (*repairs.COMMAND_ERRORS.items(), ("anything_else", "refused")):
        err = translated(HomeAssistantError, key, panel.entry, error="the reason")
        monkeypatch.setattr(repairs, "async_set", Mock(side_effect=err))
        await flow.submit()
        flow.assert_form("confirm", error)
        assert flow.words["error"] == "the reason"
    assert panel.is_shown("sleep_mode")


async def test_meter_sets_another_time(
    panel: Repairs, sim: SimulatedMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A meter that says done and is not is still wrong."""
    flow = await wrong_clock(panel, sim)
    monkeypatch.setattr(sim.state.clock, "set", Mock())
    await flow.submit()
    flow.assert_form("confirm", "unconfirmed")
    assert panel.is_shown("clock_off")


async def test_nobody_knows_what_came_of_it(
    panel: Repairs, sim: SimulatedMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that is done but was not confirmed leaves the issue until the meter is asked."""
    flow = await wrong_clock(panel, sim)
    with monkeypatch.context() as patch:
        patch.setattr(panel.poller, "async_ask", Mock(side_effect=NoAnswerError("lost")))
        await flow.submit()
        flow.assert_form("confirm", "unconfirmed")
        assert panel.is_shown("clock_off")
    await panel.until_gone("clock_off")
    assert panel.changes == ["create clock_off", "remove clock_off"]


async def test_stand_by_meanwhile(panel: Repairs, sim: SimulatedMeter) -> None:
    """A meter that is left to other tools is not commanded."""
    flow = await wrong_clock(panel, sim)
    await call(panel.hass, POLLING, "turn_off")
    await flow.submit()
    flow.assert_form("confirm", "standby")
    assert not any(line.startswith("Clock,") for line in asked(sim))


@pytest.mark.parametrize("end", ["async_unload", "async_remove"])
async def test_meter_is_not_loaded_any_more(panel: Repairs, sim: SimulatedMeter, end: str) -> None:
    """A dialog outlives its meter, and says so."""
    flow = await wrong_clock(panel, sim)
    await getattr(panel.hass.config_entries, end)(panel.entry.entry_id)
    await flow.submit()
    flow.assert_aborted("not_loaded")


async def test_mended_meanwhile(panel: Repairs, sim: SimulatedMeter) -> None:
    """What is right by now is left alone."""
    flow = await wrong_clock(panel, sim)
    sim.state.clock_offset = 0
    panel.poller.async_doubt(CLOCK)
    await panel.until_gone("clock_off")
    await flow.submit()
    flow.assert_mended()
    assert not any(line.startswith("Clock,") for line in asked(sim))


async def test_unloaded_during_the_command(panel: Repairs, sim: SimulatedMeter) -> None:
    """A command that is under way as its meter is unloaded ends in words."""
    flow = await wrong_clock(panel, sim)
    sim.inject(Fault.SLOW, seconds=0.5)
    submitting = asyncio.create_task(flow.submit())
    await until(panel.poller.command_lock.locked)
    assert await panel.hass.config_entries.async_unload(panel.entry.entry_id)
    await submitting
    flow.assert_aborted("not_loaded")
    assert await panel.listed() == {}


async def test_not_fixable(panel: Repairs, sim: SimulatedMeter) -> None:
    """What takes a person on the spot has no dialog."""
    sim.inject(Fault.FULL_CARD)
    panel.poller.async_doubt(SD_FREE)
    await panel.until_shown("sd_low")
    data = {"handler": DOMAIN, "issue_id": panel.issue_id("sd_low")}
    response = await panel.http.post("/api/repairs/issues/fix", json=data)
    assert response.status == 400


async def test_issue_of_a_meter_that_is_gone(panel: Repairs) -> None:
    """What is left of no meter can be done away with."""
    ir.async_create_issue(
        panel.hass,
        DOMAIN,
        panel.issue_id("clock_off"),
        data={"entry_id": "nobody"},
        is_fixable=True,
        severity=ir.IssueSeverity.WARNING,
        translation_key="clock_off",
        translation_placeholders={"meter": "Nobody", "offset": "+0:01:00"},
    )
    flow = await panel.start("clock_off")
    flow.assert_form("confirm")
    await flow.submit()
    flow.assert_mended()


# Mended by a login


async def refused_login(panel: Repairs, sim: SimulatedMeter) -> Flow:
    """Have the login refused; return the dialog about it."""
    sim.config.ftp_password = RIGHT
    await panel.fetch()
    await panel.until_shown("ftp_login")
    flow = await panel.start("ftp_login")
    flow.assert_form("login")
    return flow


def suggested(flow: Flow) -> dict[str, Any]:
    """Return what a form holds when it is shown."""
    return {
        field["name"]: field["description"]["suggested_value"]
        for field in flow.result["data_schema"]
        if "suggested_value" in field.get("description", {})
    }


async def test_wrong_login_then_the_right_one(
    panel: Repairs, sim: SimulatedMeter, caplog: pytest.LogCaptureFixture
) -> None:
    """A login is kept only once the meter takes it, without a reload, and is told to nobody."""
    caplog.set_level(logging.DEBUG)
    before = dict(panel.entry.data)
    flow = await refused_login(panel, sim)
    assert [field["name"] for field in flow.result["data_schema"]] == [
        "ftp_username",
        "ftp_password",
    ]
    assert suggested(flow) == {"ftp_username": "USER"}
    dialogs = [flow.result]
    for error, user_input in (
        ("ftp_login", {"ftp_username": "USER", "ftp_password": WRONG}),
        ("ftp_login", {"ftp_username": "NOBODY", "ftp_password": RIGHT}),
        ("ftp_login", {"ftp_username": " "}),
    ):
        await flow.submit(**user_input)
        flow.assert_form("login", error)
        assert suggested(flow) == {"ftp_username": user_input["ftp_username"]}
        dialogs.append(flow.result)
        assert panel.is_shown("ftp_login")
        assert dict(panel.entry.data) == before
    issues = [issue.to_json() for issue in ir.async_get(panel.hass).issues.values()]
    await flow.submit(ftp_username=" USER ", ftp_password=RIGHT)
    flow.assert_mended()
    dialogs.append(flow.result)
    assert dict(panel.entry.data) == before | {"ftp_password": RIGHT}
    assert panel.files.trouble is None
    await panel.fetch()
    await frames(panel)
    assert await panel.listed() == {}
    assert panel.changes == ["create ftp_login", "remove ftp_login"]
    assert sim.connections_opened == 1

    report = await panel.http.get(f"/api/diagnostics/config_entry/{panel.entry.entry_id}")
    assert report.status == 200
    told = await report.text() + caplog.text + json.dumps([dialogs, issues])
    assert RIGHT not in told
    assert WRONG not in told


async def test_login_mended_at_the_meter(panel: Repairs, sim: SimulatedMeter) -> None:
    """The same login may be right by now."""
    flow = await refused_login(panel, sim)
    sim.config.ftp_password = "0000"
    await flow.submit(ftp_username="USER", ftp_password="0000")
    flow.assert_mended()
    await frames(panel)
    assert panel.changes == ["create ftp_login", "remove ftp_login"]


@pytest.mark.parametrize("fault", [Fault.FTP_OFF, Fault.GONE])
async def test_no_ftp_server_meanwhile(panel: Repairs, sim: SimulatedMeter, fault: Fault) -> None:
    """A login that cannot be tried is not kept."""
    flow = await refused_login(panel, sim)
    sim.inject(fault)
    await flow.submit(ftp_username="USER", ftp_password=RIGHT)
    flow.assert_form("login", "ftp_unreachable")
    assert panel.is_shown("ftp_login")
    assert panel.entry.data["ftp_password"] == "0000"
    sim.clear()
    await flow.submit(ftp_username="USER", ftp_password=RIGHT)
    flow.assert_mended()


async def test_card_is_refused(
    panel: Repairs, sim: SimulatedMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no trouble of the login is told in the form too."""
    flow = await refused_login(panel, sim)
    monkeypatch.setattr(repairs, "async_check_login", Mock(side_effect=FtpError("refused (451)")))
    await flow.submit(ftp_username="USER", ftp_password=RIGHT)
    flow.assert_form("login", "ftp_failed")
    assert panel.entry.data["ftp_password"] == "0000"


async def test_right_login_without_data(panel: Repairs, sim: SimulatedMeter) -> None:
    """A login that is right is kept, though no files come yet: that is an issue of its own."""
    flow = await refused_login(panel, sim)
    sim.inject(Fault.FTP_DATA_BLOCKED)
    await flow.submit(ftp_username="USER", ftp_password=RIGHT)
    flow.assert_mended()
    assert panel.entry.data["ftp_password"] == RIGHT
    assert set(await panel.listed()) == {"ftp_data"}
    sim.clear()
    await panel.fetch()
    assert await panel.listed() == {}


async def test_login_of_a_meter_that_is_not_loaded(panel: Repairs, sim: SimulatedMeter) -> None:
    """A dialog outlives its meter, and keeps nothing."""
    flow = await refused_login(panel, sim)
    assert await panel.hass.config_entries.async_unload(panel.entry.entry_id)
    await flow.submit(ftp_username="USER", ftp_password=RIGHT)
    flow.assert_aborted("not_loaded")
    assert panel.entry.data["ftp_password"] == "0000"


@pytest.mark.parametrize("end", ["async_unload", "async_remove"])
async def test_not_loaded_after_the_trial(
    panel: Repairs, sim: SimulatedMeter, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """A login that is tried as its meter goes is not kept."""
    flow = await refused_login(panel, sim)

    async def check(hass: HomeAssistant, _data: dict[str, Any]) -> None:
        await getattr(hass.config_entries, end)(panel.entry.entry_id)

    monkeypatch.setattr(repairs, "async_check_login", check)
    await flow.submit(ftp_username="USER", ftp_password=RIGHT)
    flow.assert_aborted("not_loaded")
    assert panel.entry.data["ftp_password"] == "0000"


async def test_login_is_taken_away_meanwhile(panel: Repairs, sim: SimulatedMeter) -> None:
    """A meter that goes without FTP by now needs no login."""
    flow = await refused_login(panel, sim)
    data = {key: value for key, value in panel.entry.data.items() if not key.startswith("ftp")}
    panel.hass.config_entries.async_update_entry(panel.entry, data=data)
    # As a browser does that is loaded anew.
    response = await panel.http.get(f"/api/repairs/issues/fix/{flow.flow_id}")
    assert response.status == 200
    await flow.submit(ftp_username="USER", ftp_password=RIGHT)
    flow.assert_mended()
    assert dict(panel.entry.data) == data


@pytest.mark.parametrize("login", [{"ftp_password": RIGHT}, None], ids=["another", "none"])
async def test_login_is_reconfigured(
    panel: Repairs, sim: SimulatedMeter, login: dict[str, str] | None
) -> None:
    """What another login was refused for says nothing of the new one; nor is there one."""
    await refused_login(panel, sim)
    old = dict(panel.entry.data)
    kept = {key: value for key, value in old.items() if not key.startswith("ftp")}
    data = kept if login is None else old | login
    panel.hass.config_entries.async_update_entry(panel.entry, data=data)
    assert await panel.listed() == {}


# Its texts, and what a person ignores


async def test_meter_is_renamed(panel: Repairs, sim: SimulatedMeter) -> None:
    """An issue goes by the meter's present name; other changes of the entry do not touch it."""
    await refused_login(panel, sim)
    panel.hass.config_entries.async_update_entry(panel.entry, title="Stage left")
    (issue,) = (await panel.listed()).values()
    assert issue["translation_placeholders"] == {"meter": "Stage left"}
    set_intervals(panel.hass, panel.entry, scan=0.04)
    assert panel.changes == ["create ftp_login", "update ftp_login"]


async def test_other_meters_do_not_matter(panel: Repairs, sim: SimulatedMeter) -> None:
    """A change of another meter's entry says nothing of this one."""
    await refused_login(panel, sim)
    other = MockConfigEntry(domain=DOMAIN, unique_id="76543210", data=dict(panel.entry.data))
    other.add_to_hass(panel.hass)
    panel.hass.config_entries.async_update_entry(other, data={**other.data, "ftp_password": "1"})
    assert set(await panel.listed()) == {"ftp_login"}
    assert panel.changes == ["create ftp_login"]


async def test_ignored_stays_ignored(panel: Repairs, sim: SimulatedMeter) -> None:
    """A meter in another time zone is not complained of after each reload or stand-by."""
    await wrong_clock(panel, sim)
    await panel.ignore("clock_off")
    assert (await panel.listed())["clock_off"]["ignored"]

    assert await panel.hass.config_entries.async_reload(panel.entry.entry_id)
    await panel.until_shown("clock_off")
    assert (await panel.listed())["clock_off"]["ignored"]

    await call(panel.hass, POLLING, "turn_off")
    assert await panel.listed() == {}
    await call(panel.hass, POLLING, "turn_on")
    await panel.until_shown("clock_off")
    assert (await panel.listed())["clock_off"]["ignored"]

    sim.state.clock_offset = 0
    panel.poller.async_doubt(CLOCK)
    await panel.until_gone("clock_off")
    await wrong_clock(panel, sim)
    assert not (await panel.listed())["clock_off"]["ignored"]


async def test_ignored_before_a_restart(panel: Repairs, sim: SimulatedMeter) -> None:
    """What Home Assistant kept of an ignored issue holds until the issue is mended."""
    await wrong_clock(panel, sim)
    await panel.ignore("clock_off")
    registry = ir.async_get(panel.hass)
    name = (DOMAIN, panel.issue_id("clock_off"))
    # As it is loaded at start: not persistent, so nothing but that it is ignored.
    registry.issues[name] = replace(registry.issues[name], active=False)
    await call(panel.hass, POLLING, "turn_off")
    assert name in registry.issues
    await call(panel.hass, POLLING, "turn_on")
    await panel.until_shown("clock_off")
    assert (await panel.listed())["clock_off"]["ignored"]

    registry.issues[name] = replace(registry.issues[name], active=False)
    sim.state.clock_offset = 0
    panel.poller.async_doubt(CLOCK)
    await until(lambda: name not in registry.issues)


async def test_removed_meter_is_forgotten(panel: Repairs, sim: SimulatedMeter) -> None:
    """Nothing is kept of a meter that was removed, ignored or not."""
    await wrong_clock(panel, sim)
    await panel.ignore("clock_off")
    await panel.hass.config_entries.async_remove(panel.entry.entry_id)
    assert panel.hass.data[repairs._IGNORED] == set()
    assert not [issue for issue in ir.async_get(panel.hass).issues if issue[0] == DOMAIN]
