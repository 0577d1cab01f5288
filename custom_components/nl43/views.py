"""Where the files of a meter's card are served, and pictures of them."""

from abc import abstractmethod
import asyncio
from http import HTTPStatus
from pathlib import Path
from typing import Final, override
from urllib.parse import quote
from weakref import WeakValueDictionary

from aiohttp import hdrs, web
from homeassistant.components.http import KEY_HASS_USER, HomeAssistantView
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError

from .access import readable_entry
from .const import DOMAIN
from .errors import translated
from .media import SVG, View, async_words, decode, is_text, type_of
from .picture import draw_file, draw_note
from .runtime import Nl43ConfigEntry
from .saving import async_saved

# How many files are known as served lately.
MAX_KNOWN: Final = 64
# Seconds that who asks to save a folder may wait to see what came of it.
PATIENCE: Final = 3.0
_STATUSES: Final = {
    "no_such_meter": HTTPStatus.NOT_FOUND,
    "no_such_file": HTTPStatus.NOT_FOUND,
    "bad_path": HTTPStatus.NOT_FOUND,
    "ftp_not_found": HTTPStatus.NOT_FOUND,
    "not_playable": HTTPStatus.NOT_FOUND,
    "not_being_saved": HTTPStatus.NOT_FOUND,
    "not_allowed": HTTPStatus.FORBIDDEN,
    "not_loaded": HTTPStatus.SERVICE_UNAVAILABLE,
    "no_ftp_login": HTTPStatus.SERVICE_UNAVAILABLE,
    "ftp_unreachable": HTTPStatus.SERVICE_UNAVAILABLE,
    "disk_full": HTTPStatus.SERVICE_UNAVAILABLE,
    "cannot_write": HTTPStatus.SERVICE_UNAVAILABLE,
}
_NOSNIFF: Final = {"X-Content-Type-Options": "nosniff"}
_ALWAYS: Final = {hdrs.CACHE_CONTROL: "private, no-cache", **_NOSNIFF}
# A picture has texts of the card on it: nothing in it may ever act.
_INERT: Final = {"Content-Security-Policy": "default-src 'none'; sandbox"}


@callback
def async_register_views(hass: HomeAssistant) -> None:
    """Register the addresses that media ids resolve to."""
    copies = _Copies()
    for view in (FileView, PictureView, SavingView):
        hass.http.register_view(view(hass, copies))


class _Copies:
    """Whole copies of what is on the cards, each fetched once, however many ask at a time."""

    def __init__(self) -> None:
        """Know none yet."""
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._known: dict[tuple[str, str], Path] = {}

    async def fetch(self, entry: Nl43ConfigEntry, path: str) -> Path:
        """Return a copy that is as new as the card."""
        key = (entry.entry_id, path)
        async with self._locks.setdefault(key, asyncio.Lock()):
            place = await entry.runtime_data.files.async_fetch(path)
        self._known[key] = place
        while len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]
        return place

    async def go_on(self, entry: Nl43ConfigEntry, path: str) -> Path:
        """Return the copy that was served last: who jumps in a recording waits for no meter."""
        return self._known.get((entry.entry_id, path)) or await self.fetch(entry, path)


class _CardView(HomeAssistantView):
    """What one path of one meter's card is served as, to those who may read the meter."""

    view: View

    def __init__(self, hass: HomeAssistant, copies: _Copies) -> None:
        """Serve below the address of this view."""
        self.hass = hass
        self.copies = copies
        self.url = f"/api/{DOMAIN}/{self.view}/{{entry_id}}/{{path:.*}}"
        self.name = f"api:{DOMAIN}:{self.view}"

    async def get(self, request: web.Request, entry_id: str, path: str) -> web.StreamResponse:
        """Serve, or say why not."""
        try:
            entry = readable_entry(self.hass, request[KEY_HASS_USER], entry_id)
            return await self.show(request, entry, _decoded(entry, path))
        except HomeAssistantError as err:
            key = err.translation_key or ""
            # What is not known here is the meter's doing.
            return self.refuse(str(err), _STATUSES.get(key, HTTPStatus.BAD_GATEWAY))

    head = get

    @abstractmethod
    async def show(
        self, request: web.Request, entry: Nl43ConfigEntry, path: str
    ) -> web.StreamResponse:
        """Return what is asked for."""

    def refuse(self, why: str, status: HTTPStatus) -> web.Response:
        """Return a sentence."""
        return web.Response(text=why, status=status, headers=_ALWAYS)


class FileView(_CardView):
    """A file as it is; what could act in a browser can only be saved."""

    view = View.FILES

    @override
    async def show(
        self, request: web.Request, entry: Nl43ConfigEntry, path: str
    ) -> web.StreamResponse:
        """Return the file, or the part that is asked for."""
        get = self.copies.go_on if _is_later_part(request) else self.copies.fetch
        place = await get(entry, path)
        mime_type = type_of(path)
        name = quote(place.name, safe="")
        return web.FileResponse(
            place,
            headers={
                **_ALWAYS,
                hdrs.CONTENT_TYPE: mime_type or "application/octet-stream",
                hdrs.CONTENT_DISPOSITION: (
                    f"{'inline' if mime_type else 'attachment'}; filename*=UTF-8''{name}"
                ),
            },
        )


class PictureView(_CardView):
    """A picture of a file of levels or another text."""

    view = View.PICTURES

    @override
    async def show(
        self, request: web.Request, entry: Nl43ConfigEntry, path: str
    ) -> web.StreamResponse:
        """Return the picture of the file as it is now."""
        if not is_text(path):
            raise translated(ServiceValidationError, "not_playable", entry, path=path)
        place = await self.copies.fetch(entry, path)
        words = await async_words(self.hass)
        return _picture(await self.hass.async_add_executor_job(draw_file, place, words))

    @override
    def refuse(self, why: str, status: HTTPStatus) -> web.Response:
        """Return a picture of a sentence: it is shown where a picture was expected."""
        return _picture(draw_note([why]), status)


class SavingView(PictureView):
    """A picture of how far the saving of a folder has come."""

    view = View.SAVING

    @override
    async def show(
        self, request: web.Request, entry: Nl43ConfigEntry, path: str
    ) -> web.StreamResponse:
        """Return the picture; saving began when this address was asked for."""
        saved = await async_saved(self.hass, entry, path, PATIENCE)
        if saved.error:
            return self.refuse(saved.error, HTTPStatus.BAD_GATEWAY)
        words = await async_words(self.hass)
        lines = [words["saving"]]
        if (download := saved.download) is not None:
            new, kept = len(download.saved), len(download.skipped)
            lines = [words["saved"].format(new=new, kept=kept)]
            if download.unusable:
                lines.append(words["left_out"].format(count=download.unusable))
        folder = f"{entry.runtime_data.files.own_folder()}{path}"
        lines.append(words["saving_to"].format(folder=folder))
        return _picture(draw_note(lines, f"{entry.title} {path}"))


def _picture(svg: str, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """Return a picture."""
    response = web.Response(text=svg, status=status, content_type=SVG, headers=_ALWAYS | _INERT)
    response.enable_compression()
    return response


def _decoded(entry: Nl43ConfigEntry, path: str) -> str:
    """Return the path of an address."""
    try:
        return decode(f"/{path}")
    except ValueError as err:
        raise translated(ServiceValidationError, "bad_path", entry, path=repr(path)) from err


def _is_later_part(request: web.Request) -> bool:
    """Tell whether only a part is asked for, and not the first."""
    try:
        return bool(request.http_range.start)
    except ValueError:
        return False
