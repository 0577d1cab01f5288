"""How what is on a meter's card is called and opened in Home Assistant: ids, addresses, types."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
import re
from typing import Final, Self
from urllib.parse import quote, unquote

from homeassistant.core import HomeAssistant
from homeassistant.helpers.translation import async_get_translations

from .const import DOMAIN

SVG: Final = "image/svg+xml"
_AUDIO: Final = {".wav": "audio/wav"}
_IMAGES: Final = {
    ".bmp": "image/bmp",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
}
_TEXTS: Final = dict.fromkeys((".csv", ".rnd", ".rnh", ".txt"), "text/plain")
_TYPES: Final = _AUDIO | _IMAGES | _TEXTS
_ESCAPE: Final = re.compile(r"~[0-9A-F]{2}")


class View(StrEnum):
    """What is shown of a file or folder: itself, a picture of it, or that it is being saved."""

    FILES = "files"
    PICTURES = "pictures"
    SAVING = "saving"


@dataclass(frozen=True, slots=True)
class MediaId:
    """What a media id names: a meter, and with a path what is on its card. Not to be trusted."""

    entry_id: str
    path: str = ""
    view: View = View.FILES

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what an id names; ValueError if it has not the form of one."""
        entry_id, _, rest = text.partition("/")
        view, slash, path = rest.partition("/")
        if not rest:
            return cls(entry_id)
        if not slash:
            raise ValueError(f"no path in {text!r}")
        return cls(entry_id, decode(f"/{path}"), View(view))

    def __str__(self) -> str:
        """Return the id."""
        return f"{self.entry_id}/{self.view}{encode(self.path)}" if self.path else self.entry_id


def address(view: View, entry_id: str, path: str) -> str:
    """Return where a view is served: all in the path, so that Home Assistant can sign it."""
    return f"/api/{DOMAIN}/{view}/{entry_id}{encode(path)}"


def encode(path: str) -> str:
    """Return a path that no part of Home Assistant changes on the way.

    Signing decodes percent signs, and the browser's media panel takes a comma for an end. So
    what is not plain is escaped as in addresses, but with a tilde.
    """
    return quote(path).replace("~", "%7E").replace("%", "~")


def decode(text: str) -> str:
    """Return the path that was encoded; ValueError if this cannot be."""
    path = unquote(_ESCAPE.sub(lambda found: f"%{found[0][1:]}", text), errors="strict")
    if encode(path) != text:
        raise ValueError(f"not an encoded path: {text!r}")
    return path


def type_of(path: str) -> str | None:
    """Return the type of a file that is shown as it is; None for all else."""
    return _TYPES.get(_suffix(path))


def is_text(path: str) -> bool:
    """Tell whether a file is opened as a picture of its text."""
    return _suffix(path) in _TEXTS


def _suffix(path: str) -> str:
    """Return how a name ends."""
    return PurePosixPath(path).suffix.lower()


async def async_words(hass: HomeAssistant) -> dict[str, str]:
    """Return the texts that are on pictures and in folders, by their keys."""
    texts = await async_get_translations(hass, hass.config.language, "common", {DOMAIN})
    return {key.rpartition(".")[2]: text for key, text in texts.items()}
