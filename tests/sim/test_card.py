"""The card that exists only as a description."""

from datetime import datetime

from hypothesis import given, strategies as st
import pytest

from nl43_sim.card import Card, Folder, Pattern, Rows, split_path
from nl43_sim.run import Run

BEGAN = datetime(2025, 12, 24, 2, 10, 55)  # noqa: DTZ001 - local time by nature


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 12))
def test_a_part_of_rows_is_a_part_of_the_whole(offset: int, length: int, count: int) -> None:
    """Any part can be read by itself."""
    rows = Rows(b"CSV\r\nhead\r\n", lambda index: b"%08d\r\n" % index, lambda: count, 10)
    whole = rows.read(0, rows.size)
    assert len(whole) == rows.size == 11 + 10 * count
    assert rows.read(offset, length) == whole[offset : offset + length]


@given(st.integers(0, 70_000), st.integers(0, 140_000), st.integers(0, 140_000))
def test_a_part_of_a_pattern_is_a_part_of_the_whole(offset: int, length: int, size: int) -> None:
    """Any part can be read by itself, however large the file."""
    whole = Pattern(size).read(0, size)
    assert len(whole) == size
    assert Pattern(size).read(offset, length) == whole[offset : offset + length]
    assert len(Pattern(10**12).read(10**11 + offset, 1000)) == 1000


def test_paths() -> None:
    """Paths are resolved and never lead out of the card."""
    assert split_path("/a//b/./../c d/") == ["a", "c d"]
    assert split_path("/../../x") == ["x"]


def test_the_tree() -> None:
    """Files are found, counted, replaced and removed."""
    card = Card(BEGAN)
    card.add_file("/a/b/c.rnd", b"12345", BEGAN)
    card.add_file("/a/b/c.rnd", b"123", BEGAN)
    card.add_file("/a/d.rnd", Pattern(1000), lambda: BEGAN)
    assert card.used == 1003
    assert isinstance(card.find("/a/b"), Folder)
    assert card.file("/a/d.rnd").modified() == BEGAN
    assert card.find("/a/b/c.rnd/d") is None
    for absent in ("/a/b", "/a/x"):
        with pytest.raises(FileNotFoundError):
            card.file(absent)
    with pytest.raises(NotADirectoryError):
        card.add_folder("/a/d.rnd/e", BEGAN)
    card.remove("/a/b")
    card.remove("/x/y")
    assert card.used == 1000


def test_a_held_run_counts_only_what_ran() -> None:
    """Steps, and the time of each, leave the holds out."""
    run = Run(BEGAN, 100)
    run.hold(110)
    run.hold(115)
    assert run.steps(150) == 10
    run.go_on(200)
    run.go_on(205)
    assert run.steps(220) == 30
    assert [run.step_at(count) for count in (0, 9, 10, 29)] == [100, 109, 200, 219]
    assert (run.time_of(200) - BEGAN).total_seconds() == pytest.approx(10.0)
