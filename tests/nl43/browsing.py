"""The media browser, as the browser uses it: over the websocket."""

from pathlib import Path
from typing import Any
import xml.etree.ElementTree as ET

from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import MockHAClientWebSocket, WebSocketGenerator

from custom_components.nl43.media import MediaId, View

from .conftest import until

ROOT = "media-source://nl43"


class MediaBrowser:
    """What a person does in it."""

    def __init__(self, socket: MockHAClientWebSocket, entry: MockConfigEntry) -> None:
        """Look at the card of a meter."""
        self._socket = socket
        self.entry = entry

    def id(self, path: str = "", view: View = View.FILES, entry_id: str = "") -> str:
        """Return the media id of what is on the card."""
        return f"{ROOT}/{MediaId(entry_id or self.entry.entry_id, path, view)}"

    async def ask(self, what: str, media_id: str) -> dict[str, Any]:
        """Return an answer."""
        await self._socket.send_json_auto_id(
            {"type": f"media_source/{what}_media", "media_content_id": media_id}
        )
        answer: dict[str, Any] = await self._socket.receive_json()
        return answer

    async def browse(self, media_id: str) -> dict[str, Any]:
        """Return what is in a folder."""
        answer = await self.ask("browse", media_id)
        assert answer["success"], answer
        result: dict[str, Any] = answer["result"]
        return result

    async def children(self, path: str = "") -> list[dict[str, Any]]:
        """Return the children of a folder on the card, or the stores."""
        children: list[dict[str, Any]] = (await self.browse(self.id(path)))["children"]
        return children

    async def titles(self, path: str = "") -> list[str]:
        """Return their titles."""
        return [child["title"] for child in await self.children(path)]

    async def resolve(self, path: str, view: View = View.FILES) -> dict[str, str]:
        """Return the address and the type of what is on the card."""
        answer = await self.ask("resolve", self.id(path, view))
        assert answer["success"], answer
        result: dict[str, str] = answer["result"]
        return result

    async def url(self, path: str, view: View = View.FILES) -> str:
        """Return the address alone."""
        return (await self.resolve(path, view))["url"]

    async def refusal(self, what: str, media_id: str) -> str:
        """Return why something is refused."""
        answer = await self.ask(what, media_id)
        assert answer["error"]["code"] == f"{what}_media_failed", answer
        message: str = answer["error"]["message"]
        return message


async def open_browser(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    hass_ws_client: WebSocketGenerator,
    media_folder: Path,
) -> MediaBrowser:
    """Return the media browser, once the clock is known and nobody else uses FTP."""
    hass.config.media_dirs = {"local": str(media_folder)}
    assert await async_setup_component(hass, "media_source", {})
    meter = entry.runtime_data
    await until(lambda: meter.coordinator.data.clock_offset is not None)
    await until(lambda: meter.start._card_told)
    meter.files.async_forget()
    return MediaBrowser(await hass_ws_client(hass), entry)


def words_of(svg: str) -> str:
    """Return what can be read on a picture."""
    return " ".join(ET.fromstring(svg).itertext())  # noqa: S314 - our own


def sizes(folder: Path) -> dict[str, int]:
    """Return the sizes of the files below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
