"""A memory card that exists only as a description of its files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

_BLOCK: Final = b"".join(b"%07d\n" % number for number in range(8192))


class Content(Protocol):
    """What a file holds."""

    @property
    def size(self) -> int:
        """The number of bytes it holds now."""

    def read(self, offset: int, length: int) -> bytes:
        """Return a part, shorter at the end."""


@dataclass(slots=True)
class Fixed:
    """A content held in memory."""

    data: bytes

    @property
    def size(self) -> int:
        """The number of bytes."""
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        """Return a part."""
        return self.data[offset : offset + length]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A content of any size that costs no memory: numbered lines of eight bytes, repeated."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Return a part."""
        length = max(min(length, self.size - offset), 0)
        start = offset % len(_BLOCK)
        repeats = (start + length) // len(_BLOCK) + 1
        return (_BLOCK * repeats)[start : start + length]


@dataclass(frozen=True, slots=True)
class Rows:
    """A header and rows of one width, made when they are read."""

    header: bytes
    row: Callable[[int], bytes]
    count: Callable[[], int]
    width: int

    @property
    def size(self) -> int:
        """The number of bytes in the rows there are now."""
        return len(self.header) + self.count() * self.width

    def read(self, offset: int, length: int) -> bytes:
        """Return a part."""
        end = min(offset + length, self.size)
        if end <= offset:
            return b""
        head = len(self.header)
        first = max(offset - head, 0) // self.width
        last = max(end - head + self.width - 1, 0) // self.width
        base = head + first * self.width
        parts = [self.header] if offset < head else []
        base = 0 if offset < head else base
        parts += [self.row(index) for index in range(first, last)]
        return b"".join(parts)[offset - base : end - base]


@dataclass(slots=True)
class File:
    """A file; its time may move on as it grows."""

    name: str
    content: Content
    modified: Callable[[], datetime]


@dataclass(slots=True)
class Folder:
    """A folder and what is in it."""

    name: str
    modified: Callable[[], datetime]
    children: dict[str, File | Folder] = field(default_factory=dict)

    def files(self) -> Iterator[File]:
        """Yield all files below."""
        for child in self.children.values():
            if isinstance(child, Folder):
                yield from child.files()
            else:
                yield child


def split_path(path: str) -> list[str]:
    """Return the names in a path, with `.` and `..` resolved."""
    names: list[str] = []
    for name in path.split("/"):
        if name == "..":
            del names[-1:]
        elif name not in {"", "."}:
            names.append(name)
    return names


class Card:
    """The card's tree."""

    def __init__(self, created: datetime) -> None:
        """Format the card."""
        self.root = Folder("", lambda: created)

    def find(self, path: str) -> File | Folder | None:
        """Return what a path names."""
        node: File | Folder = self.root
        for name in split_path(path):
            if not isinstance(node, Folder) or name not in node.children:
                return None
            node = node.children[name]
        return node

    def file(self, path: str) -> File:
        """Return the file of a path; FileNotFoundError if there is none."""
        node = self.find(path)
        if not isinstance(node, File):
            raise FileNotFoundError(path)
        return node

    def add_folder(self, path: str, modified: datetime) -> Folder:
        """Return the folder of a path, made with what lacks above it."""
        node = self.root
        for name in split_path(path):
            child = node.children.setdefault(name, Folder(name, lambda: modified))
            if not isinstance(child, Folder):
                message = f"{path}: {name} is a file"
                raise NotADirectoryError(message)
            node = child
        return node

    def add_file(
        self, path: str, content: Content | bytes, modified: datetime | Callable[[], datetime]
    ) -> File:
        """Put a file on the card, in place of one of the same name."""
        *above, name = split_path(path)
        when = modified if callable(modified) else lambda: modified
        folder = self.add_folder("/".join(above), when())
        held = Fixed(content) if isinstance(content, bytes) else content
        file = File(name, held, when)
        folder.children[name] = file
        return file

    def remove(self, path: str) -> None:
        """Take a file or folder off the card, if it is there."""
        *above, name = split_path(path)
        folder = self.find("/".join(above))
        if isinstance(folder, Folder):
            folder.children.pop(name, None)

    @property
    def used(self) -> int:
        """The number of bytes on the card."""
        return sum(file.content.size for file in self.root.files())
