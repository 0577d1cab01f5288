"""Bytes to lines and back."""

from contextlib import suppress

from hypothesis import given, strategies as st
import pytest

from custom_components.nl43.rion import (
    CommandError,
    DesyncError,
    ParameterError,
    ResultError,
    SpecificationError,
    StateError,
)
from custom_components.nl43.rion.protocol import (
    MAX_COMMAND,
    MAX_LINE,
    LineDecoder,
    check_result,
    encode,
    is_result,
)

from .tools import all_commands, pieces

# What a meter's line may be made of, and what nobody expects in it.
STREAMS = st.lists(
    st.sampled_from([b"$", b"\r", b"\n", b"\r\n", b"R+0000", b" ", b"46.2,", b"\0", b"\xb2"])
    | st.binary(max_size=20),
    max_size=30,
).map(b"".join)
LONG_STREAMS = st.lists(
    st.sampled_from([b"\n", b"\r\n", b"4" * (MAX_LINE - 1), b"x" * MAX_LINE, b" " * (MAX_LINE + 1)])
    | st.binary(max_size=3),
    max_size=8,
).map(b"".join)


def lines(*chunks: bytes) -> list[str]:
    """Return the lines that come out of some bytes."""
    decoder = LineDecoder()
    return [line for chunk in chunks for line in decoder.feed(chunk)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"R+0000\r\n", ["R+0000"]),
        (b"R+0000\r\nStop\r\n", ["R+0000", "Stop"]),
        (b"$R+0000\r\nStop\r\n", ["R+0000", "Stop"]),
        (b"$\r\nR+0000\r\n$Stop\r\n$", ["R+0000", "Stop"]),
        (b"$$\r\n$ \r\n\r\n \r\nR+0004\r\n", ["R+0004"]),
        (b"R+0000\n", ["R+0000"]),
        (b" -.-, 43.7\r\n", [" -.-, 43.7"]),
        (b"A$B\r\n", ["A$B"]),
        (b"R+000", []),
        (b"", []),
    ],
)
def test_lines_lose_their_ends_and_prompts(data: bytes, expected: list[str]) -> None:
    """A prompt before, alone or left over is no part of a line."""
    assert lines(data) == expected


@given(STREAMS.flatmap(lambda data: st.tuples(st.just(data), pieces(data))))
def test_a_split_changes_nothing(stream: tuple[bytes, list[bytes]]) -> None:
    """The same bytes give the same lines, wherever they are split."""
    whole, chunks = stream
    assert lines(*chunks) == lines(whole)


@given(LONG_STREAMS.flatmap(pieces))
def test_length_is_bounded(chunks: list[bytes]) -> None:
    """Whatever comes, no line is longer than allowed, and no more than a line is kept."""
    decoder = LineDecoder()
    for chunk in chunks:
        with suppress(DesyncError):
            assert all(len(line) <= MAX_LINE for line in decoder.feed(chunk))
        assert len(decoder._rest) <= MAX_LINE


def test_an_overlong_line_is_refused() -> None:
    """A line is refused as soon as it is too long, ended or not, and not a byte before."""
    decoder = LineDecoder()
    assert decoder.feed(b"x" * MAX_LINE) == []
    with pytest.raises(DesyncError):
        decoder.feed(b"x")
    assert decoder.feed(b"R+0000\r\n") == ["R+0000"]
    with pytest.raises(DesyncError):
        decoder.feed(b"x" * (MAX_LINE + 1) + b"\r\n")


def test_an_unfinished_line_is_forgotten() -> None:
    """What is dropped does not show in the next line."""
    decoder = LineDecoder()
    assert decoder.feed(b"46.") == []
    decoder.clear()
    assert decoder.feed(b"R+0000\r\n") == ["R+0000"]


@given(st.binary(max_size=20), st.integers(0x80, 0xFF), st.binary(max_size=20))
def test_bytes_outside_ascii_are_no_value(before: bytes, odd: int, after: bytes) -> None:
    """A line with such a byte is not the answer to any question."""
    text = (before + bytes([odd]) + after).replace(b"\n", b"").replace(b",", b"")
    for line in lines(text + b"\n"):
        assert not is_result(line)
        for command in all_commands():
            with pytest.raises(DesyncError):
                command.parse(line)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("R+0001", CommandError),
        ("R+0002", ParameterError),
        ("R+0003", SpecificationError),
        (" R+0004 ", StateError),
    ],
)
def test_refusals_are_told_apart(line: str, error: type[ResultError]) -> None:
    """Each result code has its error, which names the code and the command."""
    assert is_result(line)
    with pytest.raises(error) as raised:
        check_result(line, "Measure,Start")
    assert raised.value.command == "Measure,Start"
    assert raised.value.code == line.strip()
    assert str(raised.value) == f"'Measure,Start' was answered with {line.strip()}"


@given(st.text(max_size=12) | st.sampled_from(["R+0000", " R+0000", "R+0005", "R+9999", "R+000"]))
def test_only_the_one_code_says_done(line: str) -> None:
    """Any other text than R+0000 is a refusal or does not fit."""
    if line.strip(" ") == "R+0000":
        check_result(line, "DOD?")
    else:
        with pytest.raises((ResultError, DesyncError)):
            check_result(line, "DOD?")


@pytest.mark.parametrize(
    "line", ["R+00", "R-0000", "r+0000", "R+00000", "R+000\ufffd", "R+\uff10\uff10\uff100", ""]
)
def test_what_is_no_result(line: str) -> None:
    """A result line has exactly one form."""
    assert not is_result(line)


def test_every_command_has_a_line() -> None:
    """The meter gets plain lines, ended as it wants them."""
    assert encode("DOD?") == b"DOD?\r\n"
    assert encode("Clock,2025/12/24 02:10:55") == b"Clock,2025/12/24 02:10:55\r\n"
    for command in all_commands():
        assert encode(command.request).endswith(b"?" + command.argument.encode() + b"\r\n")


@given(st.text(max_size=MAX_COMMAND + 5))
def test_a_command_line_is_one_line_of_ascii(command: str) -> None:
    """What would be a second line, a prompt, a control byte or too long is never sent."""
    try:
        sent = encode(command)
    except ValueError:
        return
    assert sent == command.encode("ascii") + b"\r\n"
    assert sent[:-2].isascii()
    assert sent[:-2].decode().isprintable()
    assert sent[:1].isalpha()
    assert len(command) <= MAX_COMMAND


@pytest.mark.parametrize(
    "command",
    [
        "",
        "$DOD?",
        " DOD?",
        "DOD?\r\n",
        "DOD?\nMeasure,Stop",
        "DOD\x1a",
        "Größe?",
        "\uff24OD?",
        "A" * 101,
    ],
)
def test_what_is_no_command_line(command: str) -> None:
    """A second command cannot be smuggled in."""
    with pytest.raises(ValueError, match="not a command line"):
        encode(command)
