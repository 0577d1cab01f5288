"""Lines, byte for byte as recorded."""

from pathlib import Path

from hypothesis import given, strategies as st
import pytest

from nl43_sim.config import Prompt
from nl43_sim.wire import QUANTITIES, UNUSED, Channel, answer, dod_line, drd_line

RECORDINGS = Path(__file__).parent.parent / "recordings"

MEASURING = Channel(
    (46.2, 43.7, 53.7, 44.1, 43.4, 44.2, 44.2, 43.7, 43.4, 43.3, 59.0, None, None, None),
    over=False,
    under=False,
)
STOPPED = Channel((45.8, *[None] * 13), over=False, under=False)


def recorded(name: str) -> list[str]:
    """Return the lines of a recording."""
    return (RECORDINGS / name).read_bytes().decode("ascii").splitlines()


@pytest.mark.parametrize(
    ("name", "main"), [("dod_measuring.txt", MEASURING), ("dod_stopped.txt", STOPPED)]
)
def test_dod_is_written_as_recorded(name: str, main: Channel) -> None:
    """A frame of the recorded values is the recorded line."""
    assert [dod_line([main, UNUSED, UNUSED, UNUSED])] == recorded(name)


def test_dlc_is_written_as_recorded() -> None:
    """The final result begins with a blank, its Lp has no value."""
    final = Channel((None, *MEASURING.levels[1:]), over=False, under=False)
    assert dod_line([final]) == recorded("dlc_prefix.txt")[0]


def test_drd_is_written_as_recorded() -> None:
    """A line of the stream has six levels a channel."""
    levels = dict.fromkeys(QUANTITIES) | {
        "Lp": 43.7,
        "Leq": 43.2,
        "Lmax": 43.8,
        "Lmin": 43.7,
        "Lpeak": 54.2,
    }
    main = Channel(tuple(levels.values()), over=False, under=False)
    assert drd_line(163, [main, UNUSED, UNUSED, UNUSED]) == recorded("drd_measuring.txt")[0]


@given(st.lists(st.one_of(st.none(), st.floats(-99.9, 199.9)), min_size=14, max_size=14))
def test_fields_keep_their_width(levels: list[float | None]) -> None:
    """Whatever the levels, each field but the first is five wide and the flags are one."""
    fields = dod_line([Channel(levels, over=True, under=None)]).split(",")
    assert len(fields) == 16
    assert len(fields[0]) in {4, 5}
    assert {len(field) for field in fields[1:14]} == {5}
    assert fields[14:] == ["1", "-"]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (Prompt.NONE, b"R+0000\r\nStop\r\n"),
        (Prompt.BEFORE, b"$R+0000\r\nStop\r\n"),
        (Prompt.ALONE, b"$\r\nR+0000\r\nStop\r\n"),
        (Prompt.LEFT_OVER, b"R+0000\r\nStop\r\n$"),
        (Prompt.DATA, b"R+0000\r\n$Stop\r\n"),
    ],
)
def test_prompts(prompt: Prompt, expected: bytes) -> None:
    """The prompt appears where it is asked for."""
    assert answer("R+0000", "Stop", prompt) == expected
