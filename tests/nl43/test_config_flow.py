"""Setting a meter up, discovering it, setting it up differently, its options."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
import socket
from typing import Any, Final

from homeassistant.config_entries import (
    SOURCE_DHCP,
    SOURCE_IGNORE,
    SOURCE_USER,
    ConfigEntryDisabler,
    ConfigEntryState,
    ConfigFlowResult,
)
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType, InvalidData
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.service_info.dhcp import DhcpServiceInfo
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.nl43.address import clean_host
from custom_components.nl43.const import DOMAIN
from custom_components.nl43.rion import ftp
from nl43_sim import Asleep, Fault, SimulatedMeter

from .conftest import quick_meter, until

pytestmark = [
    pytest.mark.usefixtures("patient"),
    # Home Assistant's own http component keeps its keys as texts.
    pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey"),
]

SERIAL: Final = "01234567"
OTHER_SERIAL: Final = "76543210"
MAC: Final = "001050aabbcc"
FORMATTED_MAC: Final = "00:10:50:aa:bb:cc"
LOGIN: Final = {"ftp_username": "USER", "ftp_password": "0000"}


@pytest.fixture
async def other(quick: None) -> AsyncGenerator[SimulatedMeter]:
    """Another meter."""
    async with running_meter(serial=OTHER_SERIAL) as meter:
        yield meter


@asynccontextmanager
async def running_meter(**config: Any) -> AsyncGenerator[SimulatedMeter]:
    """Run a meter of the tests' pace that is never treated worse."""
    async with SimulatedMeter(replace(quick_meter(), **config)) as meter:
        yield meter
        assert meter.violations == []


@asynccontextmanager
async def server(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any],
) -> AsyncGenerator[int]:
    """Run a TCP server that talks as told, and return its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except OSError:
            pass
        finally:
            writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with running:
        yield running.sockets[0].getsockname()[1]


@asynccontextmanager
async def forwarded(port: int) -> AsyncGenerator[int]:
    """Run a second way to a port, as a router that forwards one of its own does."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data)
        writer.close()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_meter, to_meter = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, to_meter), pump(from_meter, writer))

    async with server(talk) as front:
        yield front


async def start(hass: HomeAssistant) -> ConfigFlowResult:
    """Begin as a person does with "Add integration"."""
    result = await hass.config_entries.flow.async_init(DOMAIN, context={"source": SOURCE_USER})
    assert result["type"] is FlowResultType.FORM
    assert result["step_id"] == "user"
    assert not result["errors"]
    return result


async def submit(
    hass: HomeAssistant, result: ConfigFlowResult, **user_input: Any
) -> ConfigFlowResult:
    """Fill a form in and wait for what comes of it."""
    result = await hass.config_entries.flow.async_configure(result["flow_id"], user_input)
    await hass.async_block_till_done()
    return result


def suggested(result: ConfigFlowResult) -> dict[str, Any]:
    """Return what a form holds when it is shown."""
    schema = result["data_schema"]
    assert schema is not None
    return {
        str(key): key.description["suggested_value"]
        for key in schema.schema
        if key.description and "suggested_value" in key.description
    }


def the_entry(hass: HomeAssistant) -> Any:
    """Return the one entry there is."""
    (entry,) = hass.config_entries.async_entries(DOMAIN)
    return entry


async def test_without_ftp(hass: HomeAssistant, sim: SimulatedMeter) -> None:
    """A meter is set up by its address alone; an FTP step without a user means no FTP."""
    result = await submit(hass, await start(hass), host=f"  {sim.host} ", port=float(sim.port))
    assert result["type"] is FlowResultType.FORM
    assert result["step_id"] == "ftp"
    assert suggested(result) == {"ftp_port": 21, **LOGIN}
    assert sim.connections_open == 0, "the form waits for a person; the meter's slot is free"

    result = await submit(hass, result, ftp_port=21.0, ftp_username=" ")
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["title"] == f"NL-43 {SERIAL}"
    entry = the_entry(hass)
    assert dict(entry.data) == {"host": sim.host, "port": sim.port}
    assert type(entry.data["port"]) is int
    assert entry.unique_id == SERIAL
    assert entry.state is ConfigEntryState.LOADED
    assert (sim.connections_opened, sim.connections_open) == (2, 1)
    assert sim.ftp_sessions_opened == 0


async def test_with_ftp(hass: HomeAssistant, sim: SimulatedMeter) -> None:
    """A login that works over the meter's active mode is kept."""
    result = await submit(hass, await start(hass), host=sim.host, port=sim.port)
    result = await submit(hass, result, ftp_port=float(sim.ftp_port), **LOGIN)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    entry = the_entry(hass)
    assert dict(entry.data) == {
        "host": sim.host,
        "port": sim.port,
        "ftp_port": sim.ftp_port,
        **LOGIN,
    }
    assert type(entry.data["ftp_port"]) is int
    assert sim.ftp_sessions_opened == 1


async def test_forms_reach_the_browser(
    hass: HomeAssistant,
    sim: SimulatedMeter,
    hass_client: ClientSessionGenerator,
) -> None:
    """The whole way over Home Assistant's HTTP API, as its pages go it."""
    for component in ("websocket_api", "config"):
        assert await async_setup_component(hass, component, {})
    client = await hass_client()

    async def post(path: str, **data: Any) -> dict[str, Any]:
        response = await client.post(f"/api/config/config_entries/{path}", json=data)
        assert response.status == 200
        answer: dict[str, Any] = await response.json()
        return answer

    form = await post("flow", handler=DOMAIN)
    assert [field["name"] for field in form["data_schema"]] == ["host", "port"]
    form = await post(f"flow/{form['flow_id']}", host=sim.host, port=sim.port)
    assert [field["name"] for field in form["data_schema"]] == [
        "ftp_port",
        "ftp_username",
        "ftp_password",
    ]
    done = await post(f"flow/{form['flow_id']}")
    assert done["type"] == "create_entry"
    form = await post("options/flow", handler=the_entry(hass).entry_id)
    assert [field["name"] for field in form["data_schema"]] == ["scan_interval", "live_interval"]
    await hass.async_block_till_done()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.GONE, "no_answer"),
        (Fault.SILENCE, "silent"),
        (Fault.SLOT_TAKEN, "silent"),
        (Fault.DROP, "silent"),
        (Fault.WEDGE, "refused"),
        (Fault.REFUSE_DOD, "asleep"),
        (Fault.BAD_VALUES, "not_a_meter"),
    ],
)
async def test_meter_in_trouble(
    hass: HomeAssistant, sim: SimulatedMeter, fault: Fault, error: str
) -> None:
    """Each trouble has its own words, the address stays in the form, and another try works."""
    form = await start(hass)
    sim.inject(fault)
    result = await submit(hass, form, host=sim.host, port=sim.port)
    assert result["type"] is FlowResultType.FORM
    assert result["step_id"] == "user"
    assert result["errors"] == {"base": error}
    assert suggested(result) == {"host": sim.host, "port": sim.port}
    sim.clear()
    result = await submit(hass, result, host=sim.host, port=sim.port)
    assert result["step_id"] == "ftp"
    await until(lambda: sim.connections_open == 0)


async def test_sleeping_meter(hass: HomeAssistant, quick: None) -> None:
    """A meter that sleeps but still answers is not set up before it is woken."""
    settings = {"sleep mode": "On"}
    async with running_meter(asleep=Asleep.ANSWERS, measuring=False, settings=settings) as meter:
        result = await submit(hass, await start(hass), host=meter.host, port=meter.port)
        assert result["errors"] == {"base": "asleep"}
        meter.press("Sleep Mode,Off")
        result = await submit(hass, result, host=meter.host, port=meter.port)
        assert result["step_id"] == "ftp"


async def test_unknown_name(
    hass: HomeAssistant, sim: SimulatedMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host name that nobody knows is an error of the form, beside other meters too."""
    MockConfigEntry(domain=DOMAIN, data={"host": "elsewhere", "port": sim.port}).add_to_hass(hass)

    def nobody(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    form = await start(hass)
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", nobody)
        result = await submit(hass, form, host="meter.example", port=sim.port)
    assert result["errors"] == {"base": "no_answer"}


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\nInvalid SSH identification string.\r\n",
        b"\xff\xfd\x01\x00" * 5000,
        b"what?\r\n" * 20,
        b"R+0000\r\n1e6\r\n",
        b"R+9999\r\n",
        b"R+0001\r\n",
        b"R+0003\r\n",
    ],
    ids=["web", "ssh", "endless", "chatty", "number", "code", "unknown", "no-serial-number"],
)
async def test_not_a_meter(hass: HomeAssistant, sim: SimulatedMeter, answer: bytes) -> None:
    """Whatever else answers is told from a meter, and the right address works then."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        await writer.drain()

    async with server(talk) as port:
        result = await submit(hass, await start(hass), host="127.0.0.1", port=port)
    assert result["errors"] == {"base": "not_a_meter"}
    result = await submit(hass, result, host=sim.host, port=sim.port)
    assert result["step_id"] == "ftp"


async def test_another_model(hass: HomeAssistant, quick: None) -> None:
    """A meter of the maker that is neither an NL-43 nor an NL-53 is refused."""
    async with running_meter(model="NL-52") as meter:
        result = await submit(hass, await start(hass), host=meter.host, port=meter.port)
    assert result["errors"] == {"base": "not_a_meter"}


async def test_meter_that_does_not_tell_its_model(hass: HomeAssistant, quick: None) -> None:
    """A command that a meter lacks costs that one feature: here, its name."""
    async with running_meter(missing=["Type"]) as meter:
        result = await submit(hass, await start(hass), host=meter.host, port=meter.port)
        result = await submit(hass, result)
        assert result["title"] == f"Rion {SERIAL}"
        assert the_entry(hass).state is ConfigEntryState.LOADED


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("192.168.1.50", "192.168.1.50"),
        ("\t192.168.1.50 \n", "192.168.1.50"),
        ("fe80::210:50ff:fe00:1%eth0", "fe80::210:50ff:fe00:1%eth0"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("meter-7.example.com.", "meter-7.example.com"),
        ("site_7", "site_7"),
        ("messgerät.local", "messgerät.local"),
        ("", None),
        ("   ", None),
        (".", None),
        ("a..b", None),
        ("-meter", None),
        ("my meter", None),
        ("meter\r\nx", None),
        ("meter\0", None),
        ("meter\xa0x", None),
        ("192.168.1", None),
        ("192.168.1.500", None),
        ("192.168.1.50:2255", None),
        ("192.168.1.50/24", None),
        ("http://192.168.1.50", None),
        ("http://192.168.1.50:80/index.html", None),
        ("user@meter", None),
        ("x" * 64, None),
        ("x." * 150, None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_hosts(text: str, host: str | None) -> None:
    """Host names and IP addresses are taken, everything around them is not."""
    assert clean_host(text) == host


@pytest.mark.parametrize("host", ["", "my meter", "x" * 300, "http://127.0.0.1", "::1%\0"])
async def test_absurd_host(hass: HomeAssistant, sim: SimulatedMeter, host: str) -> None:
    """What cannot be a host is said beside its field, without trying it."""
    result = await submit(hass, await start(hass), host=host, port=sim.port)
    assert result["errors"] == {"host": "invalid_host"}
    assert suggested(result)["host"] == host
    assert sim.connections_opened == 0
    result = await submit(hass, result, host=sim.host, port=sim.port)
    assert result["step_id"] == "ftp"


@pytest.mark.parametrize("port", [0, 65536, -1, "control"])
async def test_absurd_port(hass: HomeAssistant, sim: SimulatedMeter, port: object) -> None:
    """What cannot be a port is refused by the form."""
    form = await start(hass)
    with pytest.raises(InvalidData):
        await submit(hass, form, host=sim.host, port=port)
    assert sim.connections_opened == 0


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.FTP_OFF, "ftp_unreachable"),
        (Fault.FTP_LOGIN, "ftp_login"),
        (Fault.FTP_DATA_BLOCKED, "ftp_data"),
        (Fault.GONE, "ftp_unreachable"),
    ],
)
async def test_ftp_in_trouble(
    hass: HomeAssistant,
    sim: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    error: str,
) -> None:
    """Each trouble with FTP has its own words, and another try works."""
    monkeypatch.setattr(ftp, "TIMEOUT", 1.0)
    form = await submit(hass, await start(hass), host=sim.host, port=sim.port)
    sim.inject(fault)
    result = await submit(hass, form, ftp_port=sim.ftp_port, **LOGIN)
    assert result["type"] is FlowResultType.FORM
    assert result["step_id"] == "ftp"
    assert result["errors"] == {"base": error}
    assert suggested(result) == {"ftp_port": sim.ftp_port, **LOGIN}
    sim.clear()
    result = await submit(hass, result, ftp_port=sim.ftp_port, **LOGIN)
    assert result["type"] is FlowResultType.CREATE_ENTRY


async def test_ftp_without_a_card(hass: HomeAssistant, sim: SimulatedMeter) -> None:
    """An FTP server that lets one in but lists nothing is told from a wrong login."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 FTP Server Ready\r\n")
        replies = {b"USER": b"331", b"PASS": b"230", b"LIST": b"550"}
        while line := await reader.readline():
            writer.write(replies.get(line[:4], b"200") + b" so\r\n")

    form = await submit(hass, await start(hass), host=sim.host, port=sim.port)
    async with server(talk) as port:
        result = await submit(hass, form, ftp_port=port, **LOGIN)
    assert result["errors"] == {"base": "ftp_not_found"}
    result = await submit(hass, result)
    assert result["type"] is FlowResultType.CREATE_ENTRY


@pytest.mark.parametrize(
    "login",
    [
        {"ftp_username": "USER", "ftp_password": "letmein"},
        {"ftp_username": "USER"},
        {"ftp_username": "使用者", "ftp_password": "0000"},
        {"ftp_username": "USER", "ftp_password": "пароль"},
        {"ftp_username": "US\r\nDELE x", "ftp_password": "0000"},
        {"ftp_username": "USER", "ftp_password": "0000\r\nDELE x"},
        {"ftp_username": "U" * 3000, "ftp_password": "0000"},
    ],
)
async def test_ftp_login_that_cannot_be_right(
    hass: HomeAssistant,
    sim: SimulatedMeter,
    login: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A login that is wrong, or cannot even be sent, is an error of the form, told to nobody."""
    form = await submit(hass, await start(hass), host=sim.host, port=sim.port)
    result = await submit(hass, form, ftp_port=sim.ftp_port, **login)
    assert result["errors"] in ({"base": "ftp_login"}, {"base": "ftp_unreachable"})
    assert "letmein" not in caplog.text
    assert "пароль" not in caplog.text
    result = await submit(hass, result, ftp_port=sim.ftp_port, **LOGIN)
    assert result["type"] is FlowResultType.CREATE_ENTRY


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_same_address_again(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter, host: str
) -> None:
    """A meter that an entry talks to is not connected to again, whatever its host is called."""
    result = await submit(hass, await start(hass), host=host, port=sim.port)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "already_configured"
    assert sim.connections_opened == 1


async def test_known_meter_at_a_new_address(hass: HomeAssistant, quick: None) -> None:
    """A meter that moved is followed, not added twice; its FTP login stays."""
    async with running_meter() as old:
        entry = MockConfigEntry(
            domain=DOMAIN, unique_id=SERIAL, data={"host": old.host, "port": old.port, **LOGIN}
        )
        entry.add_to_hass(hass)
        assert await hass.config_entries.async_setup(entry.entry_id)
    async with running_meter() as new:
        result = await submit(hass, await start(hass), host=new.host, port=new.port)
        assert result["type"] is FlowResultType.ABORT
        assert result["reason"] == "already_configured"
        assert the_entry(hass).data == {"host": new.host, "port": new.port, **LOGIN}
        assert entry.state is ConfigEntryState.LOADED
        assert new.connections_open == 1
        assert await hass.config_entries.async_unload(entry.entry_id)


# Discovery


async def discover(hass: HomeAssistant, ip: str = "127.0.0.1", mac: str = MAC) -> ConfigFlowResult:
    """Have a meter seen by DHCP."""
    result = await hass.config_entries.flow.async_init(
        DOMAIN,
        context={"source": SOURCE_DHCP},
        data=DhcpServiceInfo(ip=ip, hostname="", macaddress=mac),
    )
    await hass.async_block_till_done()
    return result


async def test_discovered(hass: HomeAssistant, sim: SimulatedMeter) -> None:
    """A new meter is offered by its address, and hears of it only once a person agrees."""
    result = await discover(hass)
    assert result["type"] is FlowResultType.FORM
    assert result["step_id"] == "user"
    assert suggested(result) == {"host": "127.0.0.1"}
    (flow,) = hass.config_entries.flow.async_progress()
    assert flow["context"]["title_placeholders"] == {"name": "127.0.0.1"}
    assert sim.connections_opened == 0

    again = await discover(hass)
    assert again["reason"] == "already_in_progress"

    result = await submit(hass, result, host="127.0.0.1", port=sim.port)
    result = await submit(hass, result)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    entry = the_entry(hass)
    assert entry.unique_id == SERIAL
    assert entry.data == {"host": "127.0.0.1", "port": sim.port, "mac": FORMATTED_MAC}
    assert mac_addresses(hass, entry) == {FORMATTED_MAC}


def mac_addresses(hass: HomeAssistant, entry: Any) -> set[str]:
    """Return the MAC addresses on an entry's device page."""
    (device,) = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    return {value for kind, value in device.connections if kind == dr.CONNECTION_NETWORK_MAC}


async def test_discovered_but_another_host_given(hass: HomeAssistant, sim: SimulatedMeter) -> None:
    """The discovered MAC address is not given to a meter at another address."""
    result = await discover(hass, ip="192.0.2.7")
    result = await submit(hass, result, host=sim.host, port=sim.port)
    result = await submit(hass, result)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert "mac" not in the_entry(hass).data


async def test_discovered_while_added_by_hand(hass: HomeAssistant, sim: SimulatedMeter) -> None:
    """What a person has added is no longer offered; other meters still are."""
    await discover(hass)
    elsewhere = await discover(hass, ip="192.0.2.7", mac="001050ddeeff")
    result = await submit(hass, await start(hass), host=sim.host, port=sim.port)
    result = await submit(hass, result)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    flows = hass.config_entries.flow.async_progress()
    assert [flow["flow_id"] for flow in flows] == [elsewhere["flow_id"]]


async def test_discovered_meter_is_a_known_one(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A known meter seen behind a second address leaves its MAC address there with the entry."""
    # Its present address does not answer any more.
    hass.config_entries.async_update_entry(loaded, data={"host": "192.0.2.7", "port": sim.port})
    assert await hass.config_entries.async_unload(loaded.entry_id)
    await until(lambda: sim.connections_open == 0)
    result = await submit(hass, await discover(hass), host=sim.host, port=sim.port)
    assert result["reason"] == "already_configured"
    assert loaded.data == {"host": sim.host, "port": sim.port, "mac": FORMATTED_MAC}


async def test_seen_at_its_address(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """The MAC address of a known meter is learnt without a reconnect."""
    before = dict(loaded.data)
    assert mac_addresses(hass, loaded) == set()
    result = await discover(hass)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "already_configured"
    assert loaded.data == before | {"mac": FORMATTED_MAC}
    assert (sim.connections_opened, sim.connections_open) == (1, 1)
    assert await hass.config_entries.async_unload(loaded.entry_id)
    assert await hass.config_entries.async_setup(loaded.entry_id)
    assert mac_addresses(hass, loaded) == {FORMATTED_MAC}


async def test_seen_at_a_new_address(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A meter known by its MAC address is followed."""
    data = {"host": "192.0.2.7", "port": sim.port, "mac": FORMATTED_MAC}
    hass.config_entries.async_update_entry(entry, data=data)
    result = await discover(hass)
    assert result["reason"] == "already_configured"
    assert entry.data == data | {"host": "127.0.0.1"}
    assert entry.state is ConfigEntryState.LOADED
    assert sim.connections_opened == 1


async def test_seen_by_its_name(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A host name that leads to the seen address stays, so that it goes on following."""
    hass.config_entries.async_update_entry(loaded, data={"host": "localhost", "port": sim.port})
    for _ in range(2):
        result = await discover(hass)
        assert result["reason"] == "already_configured"
    assert loaded.data == {"host": "localhost", "port": sim.port, "mac": FORMATTED_MAC}
    assert sim.connections_opened == 1


async def test_seen_again_after_an_outage(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """A meter that was away at start is tried as soon as it asks for its address."""
    sim.inject(Fault.WEDGE)
    await hass.config_entries.async_setup(entry.entry_id)
    assert the_entry(hass).state is ConfigEntryState.SETUP_RETRY
    sim.clear()
    await discover(hass)
    assert entry.state is ConfigEntryState.LOADED


async def test_one_of_two_is_seen(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """The entry with the MAC address is the one, not another whose address it took over."""
    moved = MockConfigEntry(
        domain=DOMAIN,
        unique_id=OTHER_SERIAL,
        data={"host": "192.0.2.7", "port": 2255, "mac": FORMATTED_MAC},
        disabled_by=ConfigEntryDisabler.USER,
    )
    moved.add_to_hass(hass)
    await discover(hass)
    assert moved.data["host"] == "127.0.0.1"
    assert "mac" not in entry.data


async def test_ignored(hass: HomeAssistant, quick: None) -> None:
    """A discovery that a person ignores is not offered again, and stands in nobody's way."""
    await discover(hass)
    flow = await hass.config_entries.flow.async_init(
        DOMAIN,
        context={"source": SOURCE_IGNORE},
        data={"unique_id": FORMATTED_MAC, "title": "a meter"},
    )
    assert flow["type"] is FlowResultType.CREATE_ENTRY
    assert hass.config_entries.flow.async_progress() == []
    assert (await discover(hass))["reason"] == "already_configured"
    other = await discover(hass, ip="192.0.2.7", mac="001050ddeeff")
    assert other["type"] is FlowResultType.FORM


# Reconfiguration


@pytest.mark.parametrize("host", ["127.0.0.1", " localhost"])
async def test_reconfigure_at_the_same_host(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    host: str,
) -> None:
    """The running poller asks; the form is filled in, the login is changed or removed."""
    result = await loaded.start_reconfigure_flow(hass)
    assert result["step_id"] == "reconfigure"
    assert suggested(result) == {"host": sim.host, "port": sim.port}
    result = await submit(hass, result, host=host, port=sim.port)
    assert result["step_id"] == "ftp"
    assert suggested(result) == {"ftp_port": sim.ftp_port, **LOGIN}
    assert (sim.connections_opened, sim.connections_open) == (1, 1)
    assert loaded.state is ConfigEntryState.LOADED


async def test_reconfigure_the_login(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
) -> None:
    """A changed login costs no reconnect."""
    sim.config.ftp_password = "4711"
    before, coordinator = dict(loaded.data), loaded.runtime_data.coordinator
    form = await loaded.start_reconfigure_flow(hass)
    form = await submit(hass, form, host=sim.host, port=sim.port)
    wrong = await submit(hass, form, ftp_port=sim.ftp_port, **LOGIN)
    assert wrong["errors"] == {"base": "ftp_login"}
    assert loaded.data == before
    result = await submit(
        hass, wrong, ftp_port=sim.ftp_port, ftp_username="USER", ftp_password="4711"
    )
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "reconfigure_successful"
    assert loaded.data == before | {"ftp_password": "4711"}
    assert loaded.runtime_data.coordinator is coordinator
    assert sim.connections_opened == 1


async def test_remove_the_login(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
) -> None:
    """An FTP step without a user removes the login; the next time none is suggested."""
    coordinator = loaded.runtime_data.coordinator
    form = await loaded.start_reconfigure_flow(hass)
    form = await submit(hass, form, host=sim.host, port=sim.port)
    result = await submit(hass, form, ftp_port=sim.ftp_port)
    assert result["reason"] == "reconfigure_successful"
    assert loaded.data == {"host": sim.host, "port": sim.port}
    assert loaded.runtime_data.coordinator is coordinator

    form = await loaded.start_reconfigure_flow(hass)
    form = await submit(hass, form, host=sim.host, port=sim.port)
    assert suggested(form) == {}
    assert sim.connections_opened == 1


async def test_reconfigure_the_name(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """Another name of the same host is kept, at the cost of one reconnect."""
    before = dict(loaded.data)
    form = await loaded.start_reconfigure_flow(hass)
    form = await submit(hass, form, host="localhost", port=sim.port)
    assert sim.connections_opened == 1
    result = await submit(hass, form, **suggested(form))
    assert result["reason"] == "reconfigure_successful"
    assert loaded.data == before | {"host": "localhost"}
    assert loaded.state is ConfigEntryState.LOADED
    await until(lambda: sim.connections_open == 1)
    assert sim.connections_opened == 2


async def test_reconfigure_the_address(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """The same meter behind another address is never asked over two connections at a time."""
    hass.config_entries.async_update_entry(loaded, data={**loaded.data, "mac": FORMATTED_MAC})
    async with forwarded(sim.port) as port:
        form = await loaded.start_reconfigure_flow(hass)
        form = await submit(hass, form, host=sim.host, port=port)
        assert form["step_id"] == "ftp"
        assert loaded.state is ConfigEntryState.LOADED, "it is read while the form waits"
        result = await submit(hass, form)
        assert result["reason"] == "reconfigure_successful"
        assert loaded.data == {"host": sim.host, "port": port, "mac": FORMATTED_MAC}
        assert loaded.state is ConfigEntryState.LOADED
        assert await hass.config_entries.async_unload(loaded.entry_id)


async def test_reconfigure_to_another_meter(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    other: SimulatedMeter,
) -> None:
    """Another meter's address is refused with its serial number; the entry works on as before."""
    before = dict(loaded.data)
    form = await loaded.start_reconfigure_flow(hass)
    result = await submit(hass, form, host=other.host, port=other.port)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "wrong_meter"
    assert result["description_placeholders"] == {"serial": OTHER_SERIAL}
    assert loaded.data == before
    assert loaded.state is ConfigEntryState.LOADED
    await until(lambda: (sim.connections_open, other.connections_open) == (1, 0))


async def test_reconfigure_to_the_address_of_another_entry(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter, other: SimulatedMeter
) -> None:
    """A meter that another entry talks to is not connected to, nor is this one disturbed."""
    taken = MockConfigEntry(
        domain=DOMAIN,
        unique_id=OTHER_SERIAL,
        data={"host": "localhost", "port": other.port},
    )
    taken.add_to_hass(hass)
    form = await loaded.start_reconfigure_flow(hass)
    result = await submit(hass, form, host=other.host, port=other.port)
    assert result["reason"] == "wrong_meter"
    assert result["description_placeholders"] == {"serial": OTHER_SERIAL}
    assert (sim.connections_opened, other.connections_opened) == (1, 0)


async def test_reconfigure_while_the_poller_cannot_let_go(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    other: SimulatedMeter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No second connection is opened beside one that could not be closed."""

    async def fail(_entry_id: str) -> bool:
        return False

    form = await loaded.start_reconfigure_flow(hass)
    with monkeypatch.context() as patch:
        patch.setattr(hass.config_entries, "async_unload", fail)
        result = await submit(hass, form, host=other.host, port=other.port)
    assert result["errors"] == {"base": "busy"}
    assert other.connections_opened == 0


async def test_reconfigure_to_nowhere(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter, other: SimulatedMeter
) -> None:
    """A new address that does not answer is an error of the form; the entry works on."""
    other.inject(Fault.WEDGE)
    form = await loaded.start_reconfigure_flow(hass)
    result = await submit(hass, form, host=other.host, port=other.port)
    assert result["step_id"] == "reconfigure"
    assert result["errors"] == {"base": "refused"}
    assert loaded.state is ConfigEntryState.LOADED
    result = await submit(hass, result, host=sim.host, port=sim.port)
    assert result["step_id"] == "ftp"


async def test_reconfigure_a_meter_that_moved(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """An entry that is being retried can be given the right address."""
    hass.config_entries.async_update_entry(entry, data={"host": sim.host, "port": 9})
    await hass.config_entries.async_setup(entry.entry_id)
    assert the_entry(hass).state is ConfigEntryState.SETUP_RETRY
    form = await entry.start_reconfigure_flow(hass)
    result = await submit(hass, form, host=sim.host, port=9)
    assert result["errors"] == {"base": "refused"}
    result = await submit(hass, result, host=sim.host, port=sim.port)
    result = await submit(hass, result)
    assert result["reason"] == "reconfigure_successful"
    assert entry.state is ConfigEntryState.LOADED
    assert entry.data == {"host": sim.host, "port": sim.port}


async def test_reconfigure_where_another_meter_took_over(
    hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """The running poller finds another meter at the old address: it is named."""
    sim.config.serial = OTHER_SERIAL
    await sim.drop_connection()
    await until(lambda: not loaded.runtime_data.coordinator.meter.connection.is_open)
    form = await loaded.start_reconfigure_flow(hass)
    result = await submit(hass, form, host=sim.host, port=sim.port)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "wrong_meter"
    assert result["description_placeholders"] == {"serial": OTHER_SERIAL}


async def test_reconfigure_during_set_up(
    hass: HomeAssistant, entry: MockConfigEntry, sim: SimulatedMeter
) -> None:
    """While Home Assistant itself is connecting, the form asks for patience."""
    sim.inject(Fault.SLOW, seconds=0.03)
    form = await entry.start_reconfigure_flow(hass)
    set_up = hass.async_create_task(hass.config_entries.async_setup(entry.entry_id))
    await until(lambda: sim.connections_open == 1)
    assert entry.state is ConfigEntryState.SETUP_IN_PROGRESS
    result = await hass.config_entries.flow.async_configure(
        form["flow_id"], {"host": sim.host, "port": sim.port}
    )
    assert result["errors"] == {"base": "busy"}
    sim.clear()
    assert await set_up
    result = await submit(hass, result, host=sim.host, port=sim.port)
    assert result["step_id"] == "ftp"
    assert sim.connections_opened == 1


# Options


async def test_options(hass: HomeAssistant, loaded: MockConfigEntry, sim: SimulatedMeter) -> None:
    """The intervals hold at once, as whole numbers, and cost no reconnect."""
    coordinator = loaded.runtime_data.coordinator
    form = await hass.config_entries.options.async_init(loaded.entry_id)
    assert suggested(form) == {"scan_interval": 1, "live_interval": 1}
    result = await hass.config_entries.options.async_configure(
        form["flow_id"], {"scan_interval": 600.0, "live_interval": 2.0}
    )
    await hass.async_block_till_done()
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert loaded.options == {"scan_interval": 600, "live_interval": 2}
    assert {type(value) for value in loaded.options.values()} == {int}
    assert loaded.runtime_data.coordinator is coordinator
    assert coordinator.interval == 600
    assert (sim.connections_opened, sim.connections_open) == (1, 1)


@pytest.mark.parametrize("key", ["scan_interval", "live_interval"])
@pytest.mark.parametrize("value", [0, -5, 3601, 0.4, "often", None])
async def test_options_out_of_range(
    hass: HomeAssistant, entry: MockConfigEntry, key: str, value: object
) -> None:
    """An interval below a second or above an hour is refused."""
    form = await hass.config_entries.options.async_init(entry.entry_id)
    with pytest.raises(InvalidData):
        await hass.config_entries.options.async_configure(
            form["flow_id"], {"scan_interval": 10, "live_interval": 1} | {key: value}
        )
    assert entry.options == {"scan_interval": 1, "live_interval": 1}
