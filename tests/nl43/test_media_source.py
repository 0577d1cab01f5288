"""The card in the media browser, over a real websocket."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from unittest.mock import AsyncMock

from homeassistant.components import persistent_notification
from homeassistant.components.media_source import async_resolve_media
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator, WebSocketGenerator

from custom_components.nl43 import views
from custom_components.nl43.const import CONF_FTP_PASSWORD, CONF_FTP_PORT, CONF_FTP_USERNAME
from custom_components.nl43.facts import MeterData
from custom_components.nl43.files import Download, Nl43Files
from custom_components.nl43.media import MediaId, View, decode, encode
from custom_components.nl43.rion import Priority, ftp
from custom_components.nl43.rion.listing import Entry, Listing
from custom_components.nl43.rion.vocabulary import CLOCK
from nl43_sim import Fault, SimulatedMeter
from nl43_sim.card import File, Fixed, Folder

from .browsing import ROOT, MediaBrowser, open_browser, sizes, words_of
from .conftest import until

pytestmark = [
    pytest.mark.usefixtures("patient"),
    # Home Assistant's own http component keeps its keys as texts.
    pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey"),
]

STORE: Final = "/NL-43/Auto_0018"
WAV: Final = b"RIFF" + bytes(range(256)) * 8
ODD: Final = (
    "100%.wav",
    "a%20b.wav",
    "a b.wav",
    "#1?x=2.wav",
    "a,b~c.wav",
    "é%2e%2e.wav",
    "~7E.wav",
)


@pytest.fixture
async def media(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    hass_ws_client: WebSocketGenerator,
    tmp_path: Path,
) -> MediaBrowser:
    """Return the media browser."""
    return await open_browser(hass, loaded, hass_ws_client, tmp_path)


def folder(sim: SimulatedMeter, path: str) -> Folder:
    """Return a folder of the simulated card."""
    found = sim.state.card.find(path)
    assert isinstance(found, Folder)
    return found


# Ids


@pytest.mark.parametrize("name", [*ODD, "plain", "\0", "..", "Lp _0019_0001.rnd"])
def test_ids_bear_any_name(name: str) -> None:
    """A name comes back as it was; what others take for a sign of theirs is not in the id."""
    media_id = MediaId("entry", f"/NL-43/{name}", View.SAVING)
    assert MediaId.parse(str(media_id)) == media_id
    assert decode(encode(media_id.path)) == media_id.path
    assert not set(str(media_id)) & set("%?#, \0")


@pytest.mark.parametrize(
    "text", ["e/files", "e/nothing/x", "e/files/%2e", "e/files/~2E", "e/files/~", "e/files/~FF"]
)
def test_ids_have_one_form(text: str) -> None:
    """What is not written as this integration writes it is no id."""
    with pytest.raises(ValueError, match=r"path|View|byte"):
        MediaId.parse(text)


# Levels


async def test_levels(media: MediaBrowser, sim: SimulatedMeter) -> None:
    """From the root to a meter, a store, a file; each level is as the one above says."""
    root = await media.browse(ROOT)
    assert root["title"] == "Rion sound level meters"
    (meter,) = root["children"]
    assert meter["title"] == "NL-43 01234567"
    stores = await media.browse(meter["media_content_id"])
    assert stores["title"] == meter["title"]
    store = next(child for child in stores["children"] if child["title"].startswith("Auto_0018"))
    files = await media.browse(store["media_content_id"])
    assert files["title"] == "Auto_0018"
    assert files["not_shown"] == 0
    for level in (root, stores):
        assert all(child["can_expand"] and not child["can_play"] for child in level["children"])
    shown = [(child["title"], child["media_class"]) for child in files["children"]]
    day = sim.state.card.find(f"{STORE}/SOUND")
    assert isinstance(day, Folder)
    (recording,) = day.children
    assert shown == [
        ("Save in Home Assistant", "directory"),
        ("Auto_Leq_01/NL_0001_SLM_Leq_0018_0001.rnd · 303 B", "image"),
        ("Auto_Lp_01/NL_0001_SLM_Lp _0018_0001.rnd · 55.8 kB", "image"),
        (f"SOUND/{recording} · 96.0 kB", "music"),
    ]
    assert all(child["can_play"] and not child["can_expand"] for child in files["children"])


async def test_newest_first(media: MediaBrowser, sim: SimulatedMeter) -> None:
    """The store that was begun last is on top; what has no time is at the end."""
    sim.state.card.add_folder("/NL-43/Auto_0001", sim.state.clock.now() + timedelta(hours=1))
    titles = [title.partition(" · ")[0] for title in await media.titles()]
    assert titles[0] == "Auto_0001"
    assert titles.index("Auto_0019") < titles.index("Auto_0018") < titles.index("Auto_0017")
    assert set(titles) >= {"Manual_0018", "Screenshot"}


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/St_Johns"])
async def test_times(
    hass: HomeAssistant, media: MediaBrowser, sim: SimulatedMeter, zone: str
) -> None:
    """Neither a wrong clock nor another time zone shifts a time."""
    await hass.config.async_set_time_zone(zone)
    began = dt_util.utcnow().replace(second=0, microsecond=0) - timedelta(hours=3)
    ago = dt_util.utcnow() - began
    sim.state.clock_offset += 5400
    sim.state.card.add_folder("/NL-43/Auto_0100", sim.state.clock.now() - ago)
    await media.entry.runtime_data.coordinator.async_ask(CLOCK, Priority.PERSON)
    assert f"Auto_0100 · {dt_util.as_local(began):%Y-%m-%d %H:%M}" in await media.titles()


async def test_clock_is_asked_for(
    media: MediaBrowser, sim: SimulatedMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks before the clock was read has it read; unless the meter is out of reach."""

    def asked() -> int:
        return sum(command.line == "Clock?" for command in sim.commands)

    before = asked()
    await media.titles()
    assert asked() == before
    monkeypatch.setattr(MeterData, "clock_offset", None)
    assert "Auto_0018" in await media.titles()
    assert asked() == before + 1
    await media.entry.runtime_data.coordinator.async_set_polling(on=False)
    assert "Auto_0018" in await media.titles()
    assert asked() == before + 1


async def test_day_alone(media: MediaBrowser, sim: SimulatedMeter) -> None:
    """Of another year the meter tells no time of the day, and none is made up."""
    year = sim.state.clock.now().year - 1
    assert f"Auto_0017 · {year}-12-25" in await media.titles()


async def test_no_date(media: MediaBrowser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing without a possible date gives none."""
    entries = (Entry("Auto_0001", is_folder=True, size=0, modified=None, to_the_minute=False),)
    monkeypatch.setattr(Nl43Files, "async_list", AsyncMock(return_value=Listing(entries, 2)))
    stores = await media.browse(media.id())
    assert [child["title"] for child in stores["children"]] == ["Auto_0001"]
    assert stores["not_shown"] == 2


async def test_empty(media: MediaBrowser, sim: SimulatedMeter) -> None:
    """A store without a file, and a card on which nothing was stored yet, are empty."""
    sim.state.card.add_folder("/NL-43/Auto_0100", sim.state.clock.now())
    assert await media.children("/NL-43/Auto_0100") == []
    sim.state.card.remove("/NL-43")
    media.entry.runtime_data.files.async_forget()
    assert await media.children() == []


async def test_odd_names(
    media: MediaBrowser, sim: SimulatedMeter, hass_client: ClientSessionGenerator
) -> None:
    """Whatever a file is called, it is shown, opened, and is the right one."""
    now = sim.state.clock.now()
    for number, name in enumerate(ODD):
        sim.state.card.add_file(f"/NL-43/Odd,1%/{name}", WAV + bytes([number]), now)
    client = await hass_client()
    children = await media.children("/NL-43/Odd,1%")
    assert len(children) == len(ODD) + 1
    for child in children[1:]:
        answer = await media.ask("resolve", child["media_content_id"])
        response = await client.get(answer["result"]["url"])
        assert response.status == 200
        # The meter's names are taken for Latin-1, whatever they are; the simulator sends UTF-8.
        name = child["title"].partition(" · ")[0].encode("latin-1").decode()
        assert (await response.read())[-1] == ODD.index(name)


async def test_hostile_names(media: MediaBrowser, sim: SimulatedMeter) -> None:
    """What could lead elsewhere or hide is left out, and that it was is told."""
    names = ("..", ".hidden.wav", "a\\b.wav", "x\u202egnp.wav", "bell\x07.wav", "n" * 250 + ".wav")
    store = folder(sim, STORE)
    for name in names:
        store.children[name] = File(name, Fixed(WAV), sim.state.clock.now)
    files = await media.browse(media.id(STORE))
    assert len(files["children"]) == 4
    assert files["not_shown"] == len(names) - 1, "all but .., which many servers list"


# What is asked for


BAD_PATHS: Final = (
    "/..",
    "/NL-43/../../etc/passwd",
    "/NL-43/./Auto_0018",
    "//etc/passwd",
    "/NL-43/Auto_0018/",
    "/NL-43/ \0",
    "/NL-43/.hidden",
    "/NL-43/a\\b",
)


@pytest.mark.parametrize(
    ("what", "view"),
    [("browse", View.FILES), ("resolve", View.FILES), ("resolve", View.SAVING)],
)
async def test_bad_paths(media: MediaBrowser, sim: SimulatedMeter, what: str, view: View) -> None:
    """What cannot be on the card is not even asked for."""
    sessions = sim.ftp_sessions_opened
    for path in BAD_PATHS:
        assert "is not a path of the card" in await media.refusal(what, media.id(path, view))
    assert sim.ftp_sessions_opened == sessions


BAD_IDS: Final = ("/nothing/NL-43", "/files", "/files/%2e%2e/x", "/files/a%00", "/files/~2E~2E")


@pytest.mark.parametrize("what", ["browse", "resolve"])
async def test_bad_ids(media: MediaBrowser, sim: SimulatedMeter, what: str) -> None:
    """What is no id of this source is refused."""
    sessions = sim.ftp_sessions_opened
    for rest in BAD_IDS:
        refusal = await media.refusal(what, f"{media.id()}{rest}")
        assert refusal.startswith("Nothing of a sound level meter has this media id.")
    assert sim.ftp_sessions_opened == sessions


async def test_what_is_not_there(media: MediaBrowser) -> None:
    """What is not listed is not there."""
    for what, path in (
        ("browse", "/NL-43/Auto_9999"),
        ("browse", "/NL-43/Auto_0018/SOUND/none.wav"),
        ("browse", "/NL-43/Manual_0018/NL_0001_SLM_MAN_0018_0000.rnd"),
        ("resolve", "/NL-43/Auto_0018/none.wav"),
        ("resolve", "/NL-43/Auto_0018/ .wav"),
        ("resolve", "/"),
    ):
        assert "is not on the card of NL-43 01234567" in await media.refusal(what, media.id(path))


@pytest.mark.parametrize("what", ["browse", "resolve"])
async def test_other_entries(
    hass: HomeAssistant, media: MediaBrowser, sim: SimulatedMeter, what: str
) -> None:
    """Another integration's entry is none of ours; an unloaded meter is said to be."""
    elsewhere = MockConfigEntry(domain="elsewhere")
    elsewhere.add_to_hass(hass)
    for entry_id in (elsewhere.entry_id, "unknown", " "):
        refusal = await media.refusal(what, media.id(STORE, entry_id=entry_id))
        assert refusal.startswith("There is no such meter.")
    assert await hass.config_entries.async_unload(media.entry.entry_id)
    told = "NL-43 01234567 is not loaded."
    assert (await media.refusal(what, media.id(STORE))).startswith(told)
    assert (await media.refusal("browse", ROOT)).startswith(told)
    await media.entry.async_unload(hass)


async def test_meter_without_login(
    hass: HomeAssistant, media: MediaBrowser, sim: SimulatedMeter
) -> None:
    """A meter without an FTP login is not offered, and says why if it is the only one."""
    data = {
        key: value
        for key, value in media.entry.data.items()
        if key not in (CONF_FTP_PORT, CONF_FTP_USERNAME, CONF_FTP_PASSWORD)
    }
    hass.config_entries.async_update_entry(media.entry, data=data)
    await hass.async_block_till_done()
    told = "No FTP login is set for NL-43 01234567."
    sessions = sim.ftp_sessions_opened
    for what, media_id in (
        ("browse", ROOT),
        ("browse", media.id()),
        ("browse", media.id(STORE)),
        ("resolve", media.id(f"{STORE}/x.wav")),
    ):
        assert (await media.refusal(what, media_id)).startswith(told)
    assert sim.ftp_sessions_opened == sessions


async def test_no_meter(hass: HomeAssistant, media: MediaBrowser) -> None:
    """Without a meter there is nothing to see, and nothing wrong."""
    await hass.config_entries.async_remove(media.entry.entry_id)
    assert (await media.browse(ROOT))["children"] == []


async def test_permission(
    hass: HomeAssistant, media: MediaBrowser, hass_admin_user: MockUser
) -> None:
    """Who may not read all the meter's entities does not see its card."""
    url = await media.url(await a_recording(media))
    entities = er.async_entries_for_config_entry(er.async_get(hass), media.entry.entry_id)
    hass_admin_user.groups = []
    hass_admin_user.mock_policy({})
    assert (await media.browse(ROOT))["children"] == []
    for what in ("browse", "resolve"):
        assert (await media.refusal(what, media.id(STORE))).startswith("You may not see")
    allowed = {entity.entity_id: True for entity in entities}
    hass_admin_user.mock_policy({"entities": {"entity_ids": allowed}})
    assert len((await media.browse(ROOT))["children"]) == 1
    assert (await media.url(await a_recording(media))).partition("?")[0] == url.partition("?")[0]


async def a_recording(media: MediaBrowser, store: str = STORE) -> str:
    """Return the path of a recording."""
    titles = (title.partition(" · ")[0] for title in await media.titles(store))
    return next(f"{store}/{title}" for title in titles if title.endswith(".wav"))


# Types


@pytest.mark.parametrize(
    ("name", "view", "mime_type"),
    [
        ("a.wav", View.FILES, "audio/wav"),
        ("A.WAV", View.FILES, "audio/wav"),
        ("a.bmp", View.FILES, "image/bmp"),
        ("a.png", View.FILES, "image/png"),
        ("a.jpg", View.FILES, "image/jpeg"),
        ("a.rnd", View.PICTURES, "image/svg+xml"),
        ("a.rnh", View.PICTURES, "image/svg+xml"),
        ("a.txt", View.PICTURES, "image/svg+xml"),
        ("a.CSV", View.PICTURES, "image/svg+xml"),
    ],
)
async def test_types(
    hass: HomeAssistant,
    media: MediaBrowser,
    sim: SimulatedMeter,
    name: str,
    view: View,
    mime_type: str,
) -> None:
    """Sound and pictures open as they are, texts as a picture."""
    sim.state.card.add_file(f"{STORE}/{name}", WAV, sim.state.clock.now())
    found = await media.resolve(f"{STORE}/{name}")
    assert found["mime_type"] == mime_type
    address = f"/api/nl43/{view}/{media.entry.entry_id}{STORE}/{name}"
    assert found["url"].startswith(f"{address}?authSig=")
    # Home Assistant itself asks without a user, for a media player.
    played = await async_resolve_media(hass, media.id(f"{STORE}/{name}"), None)
    assert (played.url, played.mime_type) == (address, mime_type)


@pytest.mark.parametrize("name", ["a.svg", "a.html", "a.bin", "wav", "SOUND"])
async def test_what_cannot_be_shown(media: MediaBrowser, sim: SimulatedMeter, name: str) -> None:
    """What is no sound, picture or text is listed, and says that it can only be saved."""
    if name != "SOUND":
        sim.state.card.add_file(f"{STORE}/{name}", WAV, sim.state.clock.now())
        (file,) = [c for c in await media.children(STORE) if c["title"].startswith(f"{name} · ")]
        assert not file["can_play"]
    refusal = await media.refusal("resolve", media.id(f"{STORE}/{name}"))
    assert "cannot be shown here" in refusal


# Trouble


TOLD: Final = {
    Fault.FTP_OFF: "The FTP server of NL-43 01234567 does not answer",
    Fault.FTP_LOGIN: "NL-43 01234567 refused the FTP user name or password.",
    Fault.FTP_DATA_BLOCKED: "The FTP data connection of NL-43 01234567 never arrived",
    Fault.GONE: "The FTP server of NL-43 01234567 does not answer",
}


@pytest.mark.parametrize("fault", TOLD)
async def test_faults(
    media: MediaBrowser, sim: SimulatedMeter, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """What is wrong is told in words, at each level; afterwards all is as before."""
    monkeypatch.setattr(ftp, "TIMEOUT", 0.5)
    recording = await a_recording(media)
    files = media.entry.runtime_data.files
    files.async_forget()
    sim.inject(fault)
    for what, path in (("browse", ""), ("browse", STORE), ("resolve", recording)):
        assert (await media.refusal(what, media.id(path))).startswith(TOLD[fault])
    sim.clear()
    if fault is Fault.FTP_OFF:
        sim.press("FTP,On")
    assert "Auto_0018" in [title.partition(" · ")[0] for title in await media.titles()]
    assert await media.url(recording)


# Saving


async def save(media: MediaBrowser, path: str = STORE) -> str:
    """Choose the first item of a store, and return the address it leads to."""
    first = (await media.children(path))[0]
    assert first["media_content_id"] == media.id(path, View.SAVING)
    return await media.url(path, View.SAVING)


async def test_save(
    hass: HomeAssistant,
    media: MediaBrowser,
    sim: SimulatedMeter,
    hass_client: ClientSessionGenerator,
    tmp_path: Path,
) -> None:
    """The files of a store are saved, and it is told where and how many."""
    client = await hass_client()
    expected = {
        f"nl43/01234567{path}": sim.state.card.file(path).content.size
        for path in [f"{STORE}/{t.partition(' · ')[0]}" for t in (await media.titles(STORE))[1:]]
    }
    for told in (
        "Saved: 3 files, 0 were here before",
        "Saved: 0 files, 3 were here before",
    ):
        picture = await (await client.get(await save(media))).text()
        assert told in picture
        assert f">Folder below My media: nl43/01234567{STORE}<" in picture
        assert f">NL-43 01234567 {STORE}<" in picture
    assert sizes(tmp_path) == expected


async def test_save_what_cannot_be_named(
    media: MediaBrowser, sim: SimulatedMeter, hass_client: ClientSessionGenerator
) -> None:
    """Files that are left out are counted."""
    folder(sim, STORE).children[".x"] = File(".x", Fixed(WAV), sim.state.clock.now)
    picture = await (await (await hass_client()).get(await save(media))).text()
    assert "1 files were left out" in picture


async def test_save_twice_at_a_time(
    media: MediaBrowser,
    sim: SimulatedMeter,
    hass_client: ClientSessionGenerator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While a folder is being saved, it is not begun anew; what is shown says so."""
    monkeypatch.setattr(views, "PATIENCE", 0.05)
    files = media.entry.runtime_data.files
    download, may_go_on = files.async_download, asyncio.Event()
    begun: list[str] = []

    async def slow_download(path: str) -> Download:
        begun.append(path)
        await may_go_on.wait()
        found: Download = await download(path)
        return found

    monkeypatch.setattr(files, "async_download", slow_download)
    client = await hass_client()
    for _ in range(2):
        picture = await (await client.get(await save(media))).text()
        assert "Being saved; the sensor File transfer shows the progress" in picture
    await save(media, "/NL-43/Screenshot")
    await until(lambda: len(begun) > 1)
    assert begun == [STORE, "/NL-43/Screenshot"]
    may_go_on.set()
    monkeypatch.setattr(views, "PATIENCE", 10.0)
    picture = await (await client.get(await save(media))).text()
    assert "Saved: " in picture


async def test_save_in_vain(
    hass: HomeAssistant,
    media: MediaBrowser,
    sim: SimulatedMeter,
    hass_client: ClientSessionGenerator,
) -> None:
    """Why a folder was not saved is shown, and stays as a notification until it is."""
    client = await hass_client()
    assert await media.children(STORE)
    sim.inject(Fault.FTP_LOGIN)
    response = await client.get(await media.url(STORE, View.SAVING))
    assert response.status == 502
    assert "refused the FTP user name or password" in words_of(await response.text())
    (notification,) = notifications(hass)
    assert notification["title"] == "NL-43 01234567"
    assert notification["message"].startswith(f"{STORE} of NL-43 01234567 was not saved: NL-43")
    sim.clear()
    response = await client.get(await media.url(STORE, View.SAVING))
    assert response.status == 200
    assert notifications(hass) == []


async def test_saving_ends_with_the_meter(
    hass: HomeAssistant,
    media: MediaBrowser,
    hass_client: ClientSessionGenerator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An unloaded meter saves nothing more; after that, it is begun anew."""
    client = await hass_client()
    files = media.entry.runtime_data.files
    monkeypatch.setattr(files, "async_download", lambda _path: asyncio.Event().wait())
    url = await media.url(STORE, View.SAVING)
    assert await hass.config_entries.async_reload(media.entry.entry_id)
    response = await client.get(url)
    assert response.status == 404
    assert "is not being saved any more" in words_of(await response.text())
    response = await client.get(await media.url("/NL-43/Screenshot", View.SAVING))
    assert response.status == 200
    url = url.replace(STORE, "/NL-43/Auto_0001").partition("?")[0]
    assert (await client.get(url)).status == 404


def notifications(hass: HomeAssistant) -> list[Any]:
    """Return what is under notifications."""
    return list(persistent_notification._async_get_or_create_notifications(hass).values())
