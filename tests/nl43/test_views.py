"""What is served of a card: whole files, parts of them, and pictures; to whom, and when not."""

import asyncio
from http import HTTPStatus
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.test_utils import TestClient
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator, WebSocketGenerator

from custom_components.nl43 import files as files_module, views
from custom_components.nl43.media import View, encode
from custom_components.nl43.rion import ftp
from nl43_sim import Fault, SimulatedMeter

from .browsing import MediaBrowser, open_browser, sizes, words_of

pytestmark = [
    pytest.mark.usefixtures("patient"),
    # Home Assistant's own http component keeps its keys as texts.
    pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey"),
]

STORE: Final = "/NL-43/Auto_0018"
type Client = TestClient[web.Request, web.Application]

WAV: Final = b"RIFF" + bytes(range(256)) * 8
RECORDING: Final = f"{STORE}/SOUND/a b.wav"
LEVELS: Final = f"{STORE}/Auto_Lp_01/NL_0001_SLM_Lp _0018_0001.rnd"


@pytest.fixture
async def media(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    sim: SimulatedMeter,
    hass_ws_client: WebSocketGenerator,
    tmp_path: Path,
) -> MediaBrowser:
    """Return the media browser, with a recording on the card."""
    sim.state.card.add_file(RECORDING, WAV, sim.state.clock.now())
    return await open_browser(hass, loaded, hass_ws_client, tmp_path)


@pytest.fixture
async def client(hass_client: ClientSessionGenerator) -> Client:
    """Return a client of a logged-in user."""
    return await hass_client()


def address(media: MediaBrowser, path: str, view: View = View.FILES, entry_id: str = "") -> str:
    """Return where something is served to who is logged in."""
    return f"/api/nl43/{view}/{entry_id or media.entry.entry_id}{encode(path)}"


async def test_signed_address(
    media: MediaBrowser, hass_client_no_auth: ClientSessionGenerator
) -> None:
    """The address that a media id resolves to is enough; without its signature it is not."""
    stranger = await hass_client_no_auth()
    for path, view in (
        (RECORDING, View.FILES),
        (LEVELS, View.PICTURES),
        (STORE, View.SAVING),
    ):
        url = await media.url(path, View.SAVING if view is View.SAVING else View.FILES)
        assert (await stranger.get(url)).status == HTTPStatus.OK
        bare, _, signature = url.partition("?")
        assert (await stranger.get(bare)).status == HTTPStatus.UNAUTHORIZED
        other = address(media, f"{STORE}/other.wav", view)
        assert (await stranger.get(f"{other}?{signature}")).status == HTTPStatus.UNAUTHORIZED


async def test_recording(media: MediaBrowser, client: Client, tmp_path: Path) -> None:
    """A recording comes whole, of its type, to be played and not run; the copy is kept."""
    response = await client.get(await media.url(RECORDING))
    assert await response.read() == WAV
    headers = response.headers
    assert headers["Content-Type"] == "audio/wav"
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Disposition"] == "inline; filename*=UTF-8''a%20b.wav"
    assert headers["Cache-Control"] == "private, no-cache"
    assert (tmp_path / f"nl43/01234567{RECORDING}").read_bytes() == WAV


async def test_head(media: MediaBrowser, client: Client) -> None:
    """A player that only asks what there is gets the same answer without the bytes."""
    response = await client.head(address(media, RECORDING))
    assert response.status == HTTPStatus.OK
    assert response.headers["Content-Length"] == str(len(WAV))
    assert await response.read() == b""


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("bytes=0-", WAV),
        ("bytes=100-199", WAV[100:200]),
        ("bytes=2000-", WAV[2000:]),
        ("bytes=-10", WAV[-10:]),
    ],
)
async def test_seeking(media: MediaBrowser, client: Client, part: str, expected: bytes) -> None:
    """A player gets the part it asks for, whether or not it began at the front."""
    response = await client.get(address(media, RECORDING), headers={"Range": part})
    assert response.status == HTTPStatus.PARTIAL_CONTENT
    assert await response.read() == expected


@pytest.mark.parametrize("part", ["bytes=9999-", "bytes=5-2", "lines=1-2", "bytes=x"])
async def test_seeking_in_vain(media: MediaBrowser, client: Client, part: str) -> None:
    """A part that there is not is refused."""
    response = await client.get(address(media, RECORDING), headers={"Range": part})
    assert response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE


async def test_fetched_once(media: MediaBrowser, sim: SimulatedMeter, client: Client) -> None:
    """What is here already is not fetched again, and two who ask at a time share one transfer."""
    url = await media.url(RECORDING)
    sessions = sim.ftp_sessions_opened
    for response in await asyncio.gather(*(client.get(url) for _ in range(5))):
        assert await response.read() == WAV
    assert sim.ftp_sessions_opened == sessions + 1
    assert await (await client.get(url)).read() == WAV
    assert sim.ftp_sessions_opened == sessions + 1


async def test_seeking_asks_no_meter(
    media: MediaBrowser, sim: SimulatedMeter, client: Client
) -> None:
    """Who jumps in a recording stays in the copy he began with, whatever becomes of the meter."""
    url = await media.url(RECORDING)
    assert await (await client.get(url)).read() == WAV
    media.entry.runtime_data.files.async_forget()
    sim.inject(Fault.FTP_LOGIN)
    response = await client.get(url, headers={"Range": "bytes=8-15"})
    assert await response.read() == WAV[8:16]
    assert (await client.get(url)).status == HTTPStatus.BAD_GATEWAY


async def test_a_file_that_has_changed(
    media: MediaBrowser, sim: SimulatedMeter, client: Client
) -> None:
    """Who opens a file anew gets it as it is now."""
    url = await media.url(RECORDING)
    assert await (await client.get(url)).read() == WAV
    sim.state.card.add_file(RECORDING, WAV * 2, sim.state.clock.now())
    media.entry.runtime_data.files.async_forget()
    assert await (await client.get(url)).read() == WAV * 2


async def test_known_copies_are_few(
    media: MediaBrowser, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that is not known as served any more is looked for again."""
    monkeypatch.setattr(views, "MAX_KNOWN", 0)
    url = await media.url(RECORDING)
    assert await (await client.get(url)).read() == WAV
    response = await client.get(url, headers={"Range": "bytes=8-15"})
    assert await response.read() == WAV[8:16]


@pytest.mark.parametrize(
    ("name", "mime_type", "disposition"),
    [
        ("a.bmp", "image/bmp", "inline"),
        ("a.rnd", "text/plain", "inline"),
        ("a.csv", "text/plain", "inline"),
        ("a.html", "application/octet-stream", "attachment"),
        ("a.svg", "application/octet-stream", "attachment"),
        ("a.wav.html", "application/octet-stream", "attachment"),
        ("a.js", "application/octet-stream", "attachment"),
        ('a";b=\'"', "application/octet-stream", "attachment"),
    ],
)
async def test_types(
    media: MediaBrowser,
    sim: SimulatedMeter,
    client: Client,
    name: str,
    mime_type: str,
    disposition: str,
) -> None:
    """What could act in a browser is only saved, under its own name."""
    page = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    sim.state.card.add_file(f"{STORE}/{name}", page, sim.state.clock.now())
    response = await client.get(address(media, f"{STORE}/{name}"))
    assert await response.read() == page
    assert response.headers["Content-Type"].partition(";")[0] == mime_type
    found = response.headers["Content-Disposition"]
    assert found.startswith(f"{disposition}; filename*=UTF-8''a")
    assert not set(found.partition("''")[2]) & set("\"';= ")
    assert response.headers["X-Content-Type-Options"] == "nosniff"


# Pictures


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (LEVELS, "1 800 rows, one every 1 s"),
        (f"{STORE}/Auto_Leq_01/NL_0001_SLM_Leq_0018_0001.rnd", "3 rows, one every 10 min"),
        ("/NL-43/Manual_0018/NL_0001_SLM_MAN_0018_0000.rnd", "54.3"),
    ],
)
async def test_picture(media: MediaBrowser, client: Client, path: str, words: str) -> None:
    """Stored levels are a picture that cannot act."""
    response = await client.get(await media.url(path))
    assert response.status == HTTPStatus.OK
    assert response.headers["Content-Type"].partition(";")[0] == "image/svg+xml"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert words in words_of(await response.text())


async def test_picture_in_the_language(
    hass: HomeAssistant, media: MediaBrowser, client: Client
) -> None:
    """In a language that there are no texts in, a picture is English."""
    hass.config.language = "ja"
    assert "1 800 rows" in words_of(await (await client.get(await media.url(LEVELS))).text())


@pytest.mark.parametrize("path", [RECORDING, f"{STORE}/SOUND"])
async def test_no_picture(media: MediaBrowser, client: Client, path: str) -> None:
    """Only of a text there is a picture."""
    response = await client.get(address(media, path, View.PICTURES))
    assert response.status == HTTPStatus.NOT_FOUND
    assert "cannot be shown here" in words_of(await response.text())


# Refusals


BAD_ADDRESSES: Final = (
    "/..~2F..~2Fetc~2Fpasswd",
    "/NL-43/~2E~2E",
    "/NL-43/..%2Fx",
    "/%2e%2e/%2e%2e/secrets.yaml",
    "/NL-43/%00",
    "/NL-43/~00.rnd",
    "/NL-43//x.rnd",
    "/NL-43/Auto_0018/none.rnd",
    "/NL-43/Auto_0018",
    "/",
    "",
)


@pytest.mark.parametrize("view", View)
async def test_bad_addresses(
    media: MediaBrowser, client: Client, view: View, tmp_path: Path
) -> None:
    """What is not on the card is not found, and nothing is written."""
    for path in BAD_ADDRESSES:
        response = await client.get(f"/api/nl43/{view}/{media.entry.entry_id}{path}")
        assert response.status in {HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST}, path
    assert sizes(tmp_path) == {}


@pytest.mark.parametrize("view", View)
async def test_other_entries(
    hass: HomeAssistant, media: MediaBrowser, client: Client, view: View
) -> None:
    """Another integration's entry is not found; a meter that is not loaded is not ready."""
    elsewhere = MockConfigEntry(domain="elsewhere")
    elsewhere.add_to_hass(hass)
    for entry_id in (elsewhere.entry_id, "unknown"):
        response = await client.get(address(media, RECORDING, view, entry_id))
        assert response.status == HTTPStatus.NOT_FOUND
        assert "There is no such meter." in await response.text()
    assert await hass.config_entries.async_unload(media.entry.entry_id)
    response = await client.get(address(media, RECORDING, view))
    assert response.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert "NL-43 01234567 is not loaded." in await response.text()


@pytest.mark.parametrize("view", View)
async def test_permission(
    hass: HomeAssistant,
    media: MediaBrowser,
    client: Client,
    hass_admin_user: MockUser,
    view: View,
) -> None:
    """Who may not read all the meter's entities gets nothing, and is not taken for a stranger."""
    entities = er.async_entries_for_config_entry(er.async_get(hass), media.entry.entry_id)
    some = {entity.entity_id: True for entity in entities[1:]}
    hass_admin_user.groups = []
    hass_admin_user.mock_policy({"entities": {"entity_ids": some}})
    response = await client.get(address(media, LEVELS, view))
    assert response.status == HTTPStatus.FORBIDDEN
    assert "You may not see the entities of NL-43 01234567" in words_or_text(await response.text())


def words_or_text(text: str) -> str:
    """Return what can be read of an answer."""
    return words_of(text) if text.startswith("<svg") else text


STATUSES: Final = {
    Fault.FTP_OFF: HTTPStatus.SERVICE_UNAVAILABLE,
    Fault.FTP_LOGIN: HTTPStatus.BAD_GATEWAY,
    Fault.FTP_DATA_BLOCKED: HTTPStatus.BAD_GATEWAY,
    Fault.GONE: HTTPStatus.SERVICE_UNAVAILABLE,
}


@pytest.mark.parametrize("fault", STATUSES)
async def test_faults(
    media: MediaBrowser,
    sim: SimulatedMeter,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    fault: Fault,
) -> None:
    """Trouble after a file was chosen is a sentence, never half a file; then comes the file."""
    monkeypatch.setattr(ftp, "TIMEOUT", 0.5)
    recording, levels = await media.url(RECORDING), await media.url(LEVELS)
    sim.inject(fault)
    for url in (recording, levels):
        response = await client.get(url)
        assert response.status == STATUSES[fault]
        assert "NL-43 01234567" in words_or_text(await response.text())
    assert sizes(tmp_path) == {}
    sim.clear()
    if fault is Fault.FTP_OFF:
        sim.press("FTP,On")
    assert await (await client.get(recording)).read() == WAV
    assert "rows" in words_of(await (await client.get(levels)).text())


async def test_no_room(
    media: MediaBrowser, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is not the meter's fault."""
    monkeypatch.setattr(files_module, "DISK_RESERVE", 2**60)
    response = await client.get(address(media, RECORDING))
    assert response.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert "not enough room" in await response.text()
