"""What the meter writes on its card."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
import math
import struct
from typing import Final

from .card import Card, Fixed, Folder, Rows
from .clock import TIME_FORMAT
from .levels import FREQUENCY_OFFSETS
from .run import Run
from .sound import STEP, Source
from .wire import level

INTERVALS: Final[Mapping[str, float]] = {
    "10ms": 0.01,
    "25ms": 0.025,
    "100ms": 0.1,
    "200ms": 0.2,
    "1s": 1.0,
    "10s": 10.0,
    "1m": 60.0,
    "5m": 300.0,
    "10m": 600.0,
    "15m": 900.0,
    "30m": 1800.0,
    "1h": 3600.0,
    "8h": 28_800.0,
    "24h": 86_400.0,
}
"""Seconds, by the word for the interval."""

_SAMPLES_A_ROW: Final = 60
_PERCENTS: Final = (5.0, 10.0, 50.0, 90.0, 95.0)
_LEQ_COLUMNS: Final = ("Leq", "LE", "Lmax", "Lmin", "LN1", "LN2", "LN3", "LN4", "LN5", "Lpeak")
_MEGABYTE: Final = 1_000_000


@cache
def bitmap(width: int = 240, height: int = 160) -> bytes:
    """Return a picture of level bars in BMP form."""
    dark, light = bytes((70, 60, 40)), bytes((235, 240, 240))
    columns = 16
    heights = [height * (3 + index * 7 % 11) // 16 for index in range(columns)]
    rows = []
    for line in range(height):
        bars = (dark if line < high else light for high in heights)
        row = b"".join(bar * (width // columns) for bar in bars)
        rows.append(row.ljust((len(row) + 3) // 4 * 4, b"\0"))
    pixels = b"".join(rows)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(pixels), 2835, 2835, 0, 0)
    return struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54) + info + pixels


@cache
def wave(seconds: float = 6.0, rate: int = 8_000) -> bytes:
    """Return a tone that comes and goes in WAV form, 16 bits, mono."""
    count = int(seconds * rate)
    tone = (
        int(9_000 * math.sin(math.tau * 440 * index / rate) * math.sin(math.pi * index / rate) ** 2)
        for index in range(count)
    )
    data = struct.pack(f"<{count}h", *tone)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI", b"RIFF", len(body)) + body


class Store:
    """The writer of one meter's card."""

    def __init__(
        self, model: str, source: Source, now: Callable[[], datetime], step: Callable[[], int]
    ) -> None:
        """Take a card that has been in use for a while; now is step 0."""
        self._top = f"/{model}"
        self._source = source
        self._now = now
        self._step = step
        self._run: Run | None = None
        self.card = Card(now() - timedelta(days=400))
        self._fill()

    def free_mb(self, total_mb: int) -> int:
        """Return the room left, in MB."""
        return max(total_mb - math.ceil(self.card.used / _MEGABYTE), 0)

    def exists(self, mode: str, name: str) -> bool:
        """Tell whether storing under a name would overwrite data."""
        return isinstance(self.card.find(f"{self._top}/{mode}_{name}"), Folder)

    def begin(
        self, step: int, name: str, weightings: Sequence[str], lp_interval: str, leq_interval: str
    ) -> None:
        """Begin to store a measurement in Auto mode."""
        now = self._now()
        self._run = run = Run(now, step)
        folder = f"{self._top}/Auto_{name}"
        self.card.remove(folder)
        self.card.add_folder(folder, now)
        for interval, add in ((lp_interval, self._add_lp), (leq_interval, self._add_leq)):
            if interval in INTERVALS:
                add(folder, name, run, INTERVALS[interval], weightings)

    def hold(self, step: int) -> None:
        """Store nothing for a while."""
        if self._run is not None:
            self._run.hold(step)

    def go_on(self, step: int) -> None:
        """Store again."""
        if self._run is not None:
            self._run.go_on(step)

    def end(self, step: int) -> None:
        """Close the files."""
        self.hold(step)
        self._run = None

    def add_manual(
        self, name: str, started: datetime, seconds: float, results: Mapping[str, float | None]
    ) -> None:
        """Append a finished measurement to the Manual file of a name."""
        path = f"{self._top}/Manual_{name}/NL_0001_SLM_MAN_{name}_0000.rnd"
        file = self.card.find(path)
        held = (
            file.content.read(0, file.content.size)
            if file and not isinstance(file, Folder)
            else b""
        )
        minutes, tenths = divmod(round(seconds * 10), 600)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        lines = [
            f"Address,{held.count(b'Address,') + 1}",
            f"Start Time,{started:{TIME_FORMAT}}",
            f"Measurement Time,{days:03}d {hours:02}:{minutes:02}:{tenths / 10:04.1f}",
            ",Main",
            *(f"{quantity},{level(value):>5}" for quantity, value in results.items()),
        ]
        text = "".join(f"{line}\r\n" for line in lines)
        self.card.add_file(path, Fixed(held + text.encode("ascii")), self._now())

    def _add_lp(
        self, folder: str, name: str, run: Run, interval: float, weightings: Sequence[str]
    ) -> None:
        """Add the growing file of the Lp store."""
        offsets = [FREQUENCY_OFFSETS[word] for word in weightings]
        names = ["Start Time", "Main", "Sub1", "Sub2", "Sub3"][: len(offsets) + 1]

        def row(index: int) -> bytes:
            steps = round(index * interval / STEP, 6)
            step = run.step_at(int(steps))
            base = self._source.level(step)
            values = "".join(f",{level(base + offset):>5}" for offset in offsets)
            when = run.time_of(step) + timedelta(seconds=steps % 1.0 * STEP)
            return f"{when:{TIME_FORMAT}}.{when.microsecond // 1000:03}{values}\r\n".encode("ascii")

        self._add_rows(
            f"{folder}/Auto_Lp_01/NL_0001_SLM_Lp _{name}_0001.rnd", names, row, run, interval
        )

    def _add_leq(
        self, folder: str, name: str, run: Run, interval: float, weightings: Sequence[str]
    ) -> None:
        """Add the growing file of the Leq store."""
        offset = FREQUENCY_OFFSETS[weightings[0]]
        steps = int(interval / STEP)

        def row(index: int) -> bytes:
            first = run.step_at(index * steps)
            stride = max(steps // _SAMPLES_A_ROW, 1)
            sampled = range(first, first + steps, stride)
            levels = sorted(self._source.level(step) + offset for step in sampled)
            energy = sum(10.0 ** (value / 10.0) for value in levels) / len(levels)
            leq = 10.0 * math.log10(energy)
            exceeded = [levels[int((len(levels) - 1) * (1 - part / 100))] for part in _PERCENTS]
            values = (
                leq,
                leq + 10.0 * math.log10(interval),
                levels[-1],
                levels[0],
                *exceeded,
                levels[-1] + 12.0,
            )
            texts = "".join(f",{level(value):>5}" for value in values)
            return f"{run.time_of(first):{TIME_FORMAT}}{texts}\r\n".encode("ascii")

        self._add_rows(
            f"{folder}/Auto_Leq_01/NL_0001_SLM_Leq_{name}_0001.rnd",
            ["Start Time", *_LEQ_COLUMNS],
            row,
            run,
            interval,
        )

    def _add_rows(
        self,
        path: str,
        names: Sequence[str],
        row: Callable[[int], bytes],
        run: Run,
        interval: float,
    ) -> None:
        """Add a file that grows by a row an interval."""

        def count() -> int:
            return int(run.steps(self._step()) * STEP / interval + 1e-9)

        def modified() -> datetime:
            return run.time_of(run.step_at(int(count() * interval / STEP)))

        header = f"CSV\r\n{','.join(names)}\r\n".encode("ascii")
        self.card.add_file(path, Rows(header, row, count, len(row(0))), modified)

    def _fill(self) -> None:
        """Put on the card what is left of earlier jobs."""
        now = self._now()
        last_year = datetime(now.year - 1, 12, 25, 9, 30)  # noqa: DTZ001 - local time by nature
        for name, began, steps in (
            ("0017", last_year, 36_000),
            ("0018", now - timedelta(hours=30), 18_000),
        ):
            first = -int((now - began).total_seconds() / STEP)
            run = Run(began, first)
            run.hold(first + steps)
            folder = f"{self._top}/Auto_{name}"
            self.card.add_folder(folder, began)
            self._add_lp(folder, name, run, 1.0, ("A",))
            self._add_leq(folder, name, run, 600.0, ("A",))
            self.card.add_file(f"{folder}/SOUND/NL_0001_{began:%Y%m%d_%H%M%S}.wav", wave(), began)
            results = {"Leq": 54.3, "LE": 82.1, "Lmax": 71.9, "Lmin": 38.2, "Lpeak": 88.0}
            self.card.add_file(
                f"{self._top}/Screenshot/0001_{began:%Y%m%d_%H%M%S}.bmp", bitmap(), began
            )
        self.add_manual("0018", now - timedelta(hours=32), 10.0, results)
        self.card.add_folder("/DCIM", last_year)
