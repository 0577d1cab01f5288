"""Draw the integration's icon and logo: .venv/bin/python -m script.brand.

A sound level meter inside an arc that rises from green to red. All of it is geometry, drawn
large and scaled down; the letters of the logo are strokes, so no font is needed.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import cos, radians, sin
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw

FOLDER: Final = Path(__file__).parents[1] / "custom_components/nl43/brand"
# The icon is designed on a square of this many units, and drawn so many times as large.
UNITS: Final = 512
OVERSAMPLING: Final = 4

type Color = tuple[int, int, int]
type Point = tuple[float, float]

BODY: Final[Color] = (66, 122, 173)
GRAPHITE: Final[Color] = (112, 128, 146)
SCREEN: Final[Color] = (236, 244, 250)
GREEN: Final[Color] = (44, 163, 104)
AMBER: Final[Color] = (242, 166, 48)
RED: Final[Color] = (222, 74, 60)
INK: Final[Color] = (52, 96, 138)
INK_ON_DARK: Final[Color] = (150, 194, 232)

# The arc: clockwise from lower left, in degrees from three o'clock on.
ARC_RADIUS: Final = 231
ARC_WIDTH: Final = 50
ARC: Final = ((130, 256, GREEN), (273, 336, AMBER), (353, 410, RED))


@dataclass(frozen=True, slots=True)
class Pen:
    """Draws shapes given in units."""

    draw: ImageDraw.ImageDraw
    scale: float
    offset: Point = (0, 0)

    def at(self, x: float, y: float) -> Point:
        """Return a point in pixels."""
        return (self.offset[0] + x) * self.scale, (self.offset[1] + y) * self.scale

    def box(self, left: float, top: float, right: float, bottom: float) -> tuple[Point, Point]:
        """Return a box in pixels; Pillow counts its last row and column as inside."""
        x, y = self.at(right, bottom)
        return self.at(left, top), (x - 1, y - 1)

    def dot(self, x: float, y: float, radius: float, color: Color) -> None:
        """Draw a disc."""
        self.draw.ellipse(self.box(x - radius, y - radius, x + radius, y + radius), fill=color)

    def bar(self, box: tuple[float, float, float, float], radius: float, color: Color) -> None:
        """Draw a rectangle with round corners: left, top, right, bottom."""
        self.draw.rounded_rectangle(self.box(*box), radius=radius * self.scale, fill=color)

    def line(self, points: list[Point], width: float, color: Color) -> None:
        """Draw a stroke with round ends and joints."""
        for (x1, y1), (x2, y2) in pairwise(points):
            self.draw.line(
                [self.at(x1, y1), self.at(x2, y2)], fill=color, width=round(width * self.scale)
            )
        for x, y in points:
            self.dot(x, y, width / 2, color)

    def arc(
        self, center: Point, radius: float, angles: tuple[float, float], width: float, color: Color
    ) -> None:
        """Draw a round-ended stroke along a circle; `radius` is that of its middle."""
        x, y = center
        outer = radius + width / 2
        start, end = angles
        self.draw.arc(
            self.box(x - outer, y - outer, x + outer, y + outer),
            start,
            end,
            fill=color,
            width=round(width * self.scale),
        )
        for angle in angles:
            self.dot(
                x + radius * cos(radians(angle)),
                y + radius * sin(radians(angle)),
                width / 2,
                color,
            )


def draw_mark(pen: Pen) -> None:
    """Draw the meter in its arc on a square of UNITS."""
    middle = UNITS / 2
    for start, end, color in ARC:
        pen.arc((middle, middle), ARC_RADIUS, (start, end), ARC_WIDTH, color)
    # The body with its shoulders, and the windscreen on the microphone.
    pen.draw.polygon(
        [
            pen.at(middle - 30, 160),
            pen.at(middle + 30, 160),
            pen.at(middle + 88, 268),
            pen.at(middle - 88, 268),
        ],
        fill=BODY,
    )
    pen.bar((middle - 88, 268, middle + 88, 400), 0, BODY)
    pen.bar((middle - 88, 360, middle + 88, UNITS), 34, BODY)
    pen.dot(middle, 136, 54, GRAPHITE)
    # The screen with three bars, and a key.
    pen.bar((middle - 62, 258, middle + 62, 398), 14, SCREEN)
    for x, top, color in ((-38, 340, GREEN), (0, 309, AMBER), (38, 278, RED)):
        pen.bar((middle + x - 14, top, middle + x + 14, 380), 5, color)
    pen.dot(middle, 452, 25, SCREEN)


def draw_name(pen: Pen, color: Color) -> float:
    """Draw the letters "nl43" on a line of UNITS height; return how wide they are."""
    width = 54
    half = width / 2
    base, top, waist = 400 - half, 112 + half, 220 + half
    # n: a stem and an arch
    x = half
    pen.line([(x, base), (x, waist)], width, color)
    pen.arc((x + 66, waist + 66), 66, (180, 360), width, color)
    pen.line([(x + 132, waist + 66), (x + 132, base)], width, color)
    # l
    x += 132 + 104
    pen.line([(x, top), (x, base)], width, color)
    # 4
    x += 100
    pen.line([(x + 112, top), (x, base - 78), (x + 172, base - 78)], width, color)
    pen.line([(x + 122, base - 132), (x + 122, base)], width, color)
    # 3: two bows
    x += 172 + 92
    bow = (base - top) / 4
    pen.arc((x + 66, top + bow), bow, (200, 450), width, color)
    pen.arc((x + 66, base - bow), bow, (270, 520), width, color)
    return x + 66 + bow + half


def finish(image: Image.Image, size: tuple[int, int], name: str) -> None:
    """Scale a drawing down and save it."""
    image.resize(size, Image.Resampling.LANCZOS).save(FOLDER / name, optimize=True)


def canvas(width: float, height: float) -> Image.Image:
    """Return a transparent drawing of so many units."""
    size = (round(width * OVERSAMPLING), round(height * OVERSAMPLING))
    return Image.new("RGBA", size, (0, 0, 0, 0))


def draw_icon() -> None:
    """Draw the square icon in both sizes."""
    image = canvas(UNITS, UNITS)
    draw_mark(Pen(ImageDraw.Draw(image), OVERSAMPLING))
    finish(image, (256, 256), "icon.png")
    finish(image, (512, 512), "icon@2x.png")


def draw_logo(prefix: str, color: Color) -> None:
    """Draw the mark with the name beside it, in both sizes."""
    gap = 60
    width = UNITS + gap + draw_name(Pen(ImageDraw.Draw(canvas(1, 1)), OVERSAMPLING), color)
    image = canvas(width, UNITS)
    draw = ImageDraw.Draw(image)
    draw_mark(Pen(draw, OVERSAMPLING))
    draw_name(Pen(draw, OVERSAMPLING, (UNITS + gap, 0)), color)
    height = 256
    finish(image, (round(width * height / UNITS), height), f"{prefix}logo.png")
    finish(image, (round(width * 2 * height / UNITS), 2 * height), f"{prefix}logo@2x.png")


def main() -> None:
    """Draw everything."""
    FOLDER.mkdir(exist_ok=True)
    draw_icon()
    draw_logo("", INK)
    draw_logo("dark_", INK_ON_DARK)


if __name__ == "__main__":
    main()
