"""Arithmetic on levels."""

from math import log10

from hypothesis import given, strategies as st
import pytest

from custom_components.nl43.rion.levels import EnergyMean, measured_seconds


@given(seconds=st.floats(min_value=1.0, max_value=1e8), leq=st.floats(min_value=20, max_value=140))
def test_measured_time(seconds: float, leq: float) -> None:
    """From levels rounded to 0.1 dB, the measured time is right to 2.4 %."""
    le = leq + 10 * log10(seconds)
    found = measured_seconds(round(leq, 1), round(le, 1))
    assert found == pytest.approx(seconds, rel=0.024)


@pytest.mark.parametrize(("leq", "le", "seconds"), [(60.0, 60.0, 1.0), (50.0, 85.6, 3630.8)])
def test_examples(leq: float, le: float, seconds: float) -> None:
    """LE is the level of one second with the same energy."""
    assert measured_seconds(leq, le) == pytest.approx(seconds, rel=1e-4)


def test_whatever_a_frame_can_hold() -> None:
    """No level that a frame can hold is too much."""
    assert measured_seconds(-999.9, 999.9) > 1e99
    assert measured_seconds(999.9, -999.9) >= 0.0


LEVELS = st.lists(st.integers(-9999, 9999).map(lambda tenths: tenths / 10), min_size=1, max_size=50)


def mean(levels: list[float]) -> float:
    """Return the mean of some levels by energy."""
    first, *others = levels
    found = EnergyMean(first)
    for level in others:
        found.add(level)
    return found.level


@given(levels=LEVELS)
def test_mean_lies_between(levels: list[float]) -> None:
    """Whatever a frame can hold: the mean lies between the extremes, and favours the loud."""
    found = mean(levels)
    assert min(levels) - 1e-9 <= found <= max(levels) + 1e-9
    assert found >= sum(levels) / len(levels) - 1e-9
    assert found >= max(levels) - 10 * log10(len(levels)) - 1e-9
    assert found == pytest.approx(mean(levels[::-1]))


@pytest.mark.parametrize(
    ("levels", "expected"),
    [([60.0], 60.0), ([60.0, 60.0], 60.0), ([70.0, 60.0], 67.4), ([90.0, 0.0], 87.0)],
)
def test_mean_by_energy(levels: list[float], expected: float) -> None:
    """Ten decibels more are ten times the energy."""
    assert mean(levels) == pytest.approx(expected, abs=0.05)
