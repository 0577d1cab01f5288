"""The sound and what the meter makes of it."""

from itertools import pairwise
import math

from hypothesis import given, settings, strategies as st
import pytest

from nl43_sim.levels import ChannelLevels
from nl43_sim.noise import Noise
from nl43_sim.sound import STEP, Source

PERCENTILES = (5.0, 10.0, 50.0, 90.0, 95.0)
NOON = 12 * 3600.0


def measured(
    seed: int, steps: int, *, day_seconds: float = NOON, weighting: str = "S"
) -> dict[str, float | None]:
    """Return the levels of a measurement over the first steps of a site."""
    source, channel = Source(seed, day_seconds), ChannelLevels()
    channel.start()
    for step in range(steps):
        channel.step(
            source.energy(step),
            source.crest(step),
            time_weighting=weighting,
            steps=1,
            adding=True,
        )
    return channel.quantities(PERCENTILES)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    steps=st.integers(1, 600),
    day_seconds=st.floats(0, 86_400),
    weighting=st.sampled_from("FSI"),
)
def test_quantities_are_consistent(
    seed: int, steps: int, day_seconds: float, weighting: str
) -> None:
    """The extremes enclose the percentiles, the peak is highest, LE follows from Leq."""
    levels = measured(seed, steps, day_seconds=day_seconds, weighting=weighting)
    order = ["Lpeak", "Lmax", "LN1", "LN2", "LN3", "LN4", "LN5", "Lmin"]
    ordered = [level for name in order if (level := levels[name]) is not None]
    assert len(ordered) == len(order)
    assert all(higher >= lower for higher, lower in pairwise(ordered))
    leq, exposure = levels["Leq"], levels["LE"]
    assert leq is not None
    assert exposure is not None
    assert exposure == pytest.approx(leq + 10 * math.log10(steps * STEP), abs=0.051)


def test_leq_is_the_mean_of_the_energy() -> None:
    """Leq agrees with the sound, not with the detector."""
    source = Source(3, NOON)
    mean = sum(source.energy(step) for step in range(500)) / 500
    assert measured(3, 500)["Leq"] == pytest.approx(10 * math.log10(mean), abs=0.051)


def test_a_seed_always_sounds_the_same() -> None:
    """A step's level depends on seed and step only, not on what was asked before."""
    forward = Source(7, NOON)
    levels = [forward.level(step) for step in range(2000)]
    backward = Source(7, NOON)
    assert [backward.level(step) for step in reversed(range(2000))] == levels[::-1]
    assert [Source(8, NOON).level(step) for step in range(2000)] != levels


def test_nights_are_quieter() -> None:
    """The background follows the time of day."""
    night = measured(5, 6000, day_seconds=2 * 3600.0)["LN5"]
    day = measured(5, 6000, day_seconds=14 * 3600.0)["LN5"]
    assert night is not None
    assert day is not None
    assert day > night + 5


@pytest.mark.parametrize(("weighting", "follows"), [("F", True), ("S", False), ("I", True)])
def test_time_weightings_differ(weighting: str, follows: bool) -> None:
    """A burst of 0.2 s is shown whole by the fast detector, not by the slow one."""
    channel = ChannelLevels()
    for energy in (1e4, 1e8, 1e8):
        channel.step(energy, 10.0, time_weighting=weighting, steps=1, adding=False)
    assert (channel.lp > 78.0) is follows


def test_percentiles_hold_the_stated_share() -> None:
    """L50 of a level that rises evenly is its middle, L10 near its top."""
    channel = ChannelLevels()
    channel.start()
    for tenth in range(400, 500):
        # Steps long enough for the detector to follow.
        channel.step(10 ** (tenth / 100), 10.0, time_weighting="F", steps=50, adding=True)
    levels = channel.quantities(PERCENTILES)
    assert levels["LN3"] == pytest.approx(45.0, abs=0.15)
    assert levels["LN2"] == pytest.approx(49.0, abs=0.15)
    assert levels["LN5"] == pytest.approx(40.5, abs=0.15)


def test_a_held_measurement_takes_nothing_in() -> None:
    """While paused, Lp lives on and all else stands still."""
    channel = ChannelLevels()
    channel.start()
    channel.step(1e5, 10.0, time_weighting="F", steps=10, adding=True)
    before = channel.quantities(PERCENTILES)
    channel.step(1e8, 10.0, time_weighting="F", steps=10, adding=False)
    after = channel.quantities(PERCENTILES)
    assert after["Lp"] != before["Lp"]
    assert {**after, "Lp": None} == {**before, "Lp": None}


def test_noise_is_spread_evenly() -> None:
    """The noise fills its range and does not depend on order."""
    noise = Noise(11)
    values = [noise.at(key) for key in range(10_000)]
    assert 0.0 <= min(values) < 0.001
    assert 0.999 < max(values) < 1.0
    assert sum(values) / len(values) == pytest.approx(0.5, abs=0.02)
    assert noise.at(123) == values[123]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), hour=st.integers(0, 23))
def test_a_busy_site_is_heard_every_half_minute(seed: int, hour: int) -> None:
    """Something louder than the background happens in each half minute, at night too."""
    source = Source(seed, hour * 3600.0, busy=True)
    for slot in range(4):
        levels = [source.level(slot * 300 + step) for step in range(300)]
        assert max(levels) > 51.0
