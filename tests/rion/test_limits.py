"""Exceedances: duration, hysteresis, cool-down, gaps."""

from dataclasses import dataclass
from itertools import pairwise
from math import inf, log10
from typing import Any

from hypothesis import given, settings, strategies as st
import pytest

from custom_components.nl43.rion.limits import (
    MAX_GAP,
    Change,
    Direction,
    Exceedance,
    Frame,
    LimitWatch,
    Phase,
    Rule,
)

LIMIT = 85.0


def frames(series: str, limit: float = LIMIT) -> list[Frame]:
    """Return the frames of a series such as `80@0 86@1`; `!` marks an overload, `?` under-range."""
    found = []
    for step in series.split():
        level, _, at = step.rstrip("!?").partition("@")
        found.append(
            Frame(
                at=float(at),
                level=float(level),
                limit=limit,
                overload="!" in step,
                under_range="?" in step,
            )
        )
    return found


def about(level: float) -> Any:
    """Return what equals any level that is as good as this one."""
    return pytest.approx(level)


def play(series: str, limit: float = LIMIT, **rule: Any) -> list[tuple[float, Change]]:
    """Return what a series begins and ends, and when."""
    watch = LimitWatch(Rule(**rule))
    changes = ((frame.at, watch.feed(frame)) for frame in frames(series, limit))
    return [(at, change) for at, change in changes if change is not None]


def phases(series: str, limit: float = LIMIT, **rule: Any) -> list[tuple[str, float]]:
    """Return the kind and time of each change."""
    return [(change.phase.value, at) for at, change in play(series, limit, **rule)]


def energy_mean(*levels: float) -> float:
    """Return the mean of levels by energy, said as plainly as can be."""
    return 10 * log10(sum(10 ** (level / 10) for level in levels) / len(levels))


@pytest.mark.parametrize(
    ("series", "limit", "rule", "expected"),
    [
        (
            "80@0 86@1 87@2 88@3 88@4 88@5 82@6 82@7 82@8 82@9",
            85,
            {"duration": 3, "clear_margin": 2},
            [("exceeded", 4), ("cleared", 9)],
        ),
        ("80@0 90@1 90@2 80@3", 85, {"duration": 3, "clear_margin": 2}, []),
        ("86@0 84@1 84@2", 85, {"clear_margin": 3}, [("exceeded", 0)]),
        ("30@0 15@1", 20, {"direction": Direction.BELOW}, [("exceeded", 1)]),
    ],
)
def test_cases_that_must_hold(
    series: str, limit: float, rule: dict[str, Any], expected: list[tuple[str, float]]
) -> None:
    """The cases of the alert rules that this replaces come out the same."""
    assert phases(series, limit, **rule) == expected


def test_what_is_told() -> None:
    """Start, end, length, peak and mean are those of the frames of the exceedance."""
    (_, onset), (_, clear) = play(
        "80@0 86@1 87@2 88@3 88@4 89@5 82@6 82@7 82@8 82@9", duration=3, clear_margin=2
    )
    assert onset == Change(
        Phase.EXCEEDED,
        Exceedance(
            limit=LIMIT,
            start=1,
            end=None,
            length=3,
            onset_value=88,
            value=88,
            peak=88,
            mean=about(energy_mean(86, 87, 88, 88)),
            overload=False,
            under_range=False,
        ),
    )
    assert clear == Change(
        Phase.CLEARED,
        Exceedance(
            limit=LIMIT,
            start=1,
            end=6,
            length=5,
            onset_value=88,
            value=82,
            peak=89,
            mean=about(energy_mean(86, 87, 88, 88, 89)),
            overload=False,
            under_range=False,
        ),
    )


@pytest.mark.parametrize(
    ("series", "rule", "expected"),
    [
        # A dip into the margin, and one by the whole margin.
        ("86@0 83.1@1 86@2", {"duration": 2, "clear_margin": 2}, [("exceeded", 2)]),
        ("86@0 83@1 86@2 86@3", {"duration": 2, "clear_margin": 2}, []),
        # The duration is over, but the level is in the margin.
        ("86@0 86@1 84@2 84@3 86@4", {"duration": 2, "clear_margin": 2}, [("exceeded", 4)]),
        # Exactly at the limit, and exactly back.
        ("85@0 85@1", {}, []),
        ("86@0 85@1", {}, [("exceeded", 0), ("cleared", 1)]),
        ("86@0 83.01@1 83@2", {"clear_margin": 2}, [("exceeded", 0), ("cleared", 2)]),
        # Clearing is interrupted by a frame in the margin.
        (
            "86@0 82@1 84@2 82@3 82@4 82@5",
            {"duration": 0.5, "clear_margin": 2},
            [],
        ),
        (
            "86@0 86@1 86@2 82@3 84@4 82@5 82@6 82@7",
            {"duration": 2, "clear_margin": 2},
            [("exceeded", 2), ("cleared", 7)],
        ),
    ],
)
def test_hysteresis(series: str, rule: dict[str, Any], expected: list[tuple[str, float]]) -> None:
    """What is in the margin neither interrupts the duration nor counts as back."""
    assert phases(series, **rule) == expected


@pytest.mark.parametrize("tenths", range(800, 900))
def test_back_in_tenths(tenths: int) -> None:
    """Exactly back is back, although binary fractions are no tenths."""
    limit, margin = tenths / 10, 1.7
    watch = LimitWatch(Rule(clear_margin=margin))
    assert watch.feed(Frame(at=0, level=limit + 1, limit=limit))
    back = round(limit - margin, 1)
    assert watch.feed(Frame(at=1, level=round(back + 0.1, 1), limit=limit)) is None
    assert watch.feed(Frame(at=2, level=back, limit=limit))


def test_frames_that_were_back_count_if_it_goes_on() -> None:
    """An exceedance that was not over has the frames in between as part of it."""
    *_, (_, clear) = play(
        "90@0 70@1! 90@2 70@3? 70@4 70@5", duration=0, clear_margin=0, cooldown=100
    )
    assert clear.exceedance.mean == pytest.approx(90)
    *_, (_, clear) = play("90@0 90@1 70@2! 90@3 70@4? 70@5", duration=1)
    assert clear.exceedance.mean == pytest.approx(energy_mean(90, 90, 70, 90))
    assert (clear.exceedance.overload, clear.exceedance.under_range) == (True, False)


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ("86@0 80@1 86@2", [("exceeded", 0), ("cleared", 1)]),
        ("86@0 80@1 86@2 86@9 86@10", [("exceeded", 0), ("cleared", 1), ("exceeded", 10)]),
        ("86@0 80@1 86@2 80@11 86@12", [("exceeded", 0), ("cleared", 1), ("exceeded", 12)]),
        ("86@0 86@20 80@21 86@22", [("exceeded", 0), ("cleared", 21), ("exceeded", 22)]),
    ],
)
def test_cool_down(series: str, expected: list[tuple[str, float]]) -> None:
    """After an onset there is no other one until the cool-down is over; then at once."""
    watch = LimitWatch(Rule(cooldown=10))
    changes = ((frame.at, watch.feed(frame, interval=10)) for frame in frames(series))
    assert [(change.phase.value, at) for at, change in changes if change] == expected


@pytest.mark.parametrize("interval", [1.0, 1.6, 10.0])
def test_gap_while_it_builds_up(interval: float) -> None:
    """A gap of up to three frames is forgiven; after a longer one the duration begins anew."""
    longest = MAX_GAP * interval
    for gap, fires in ((longest, True), (longest + 0.01, False)):
        watch = LimitWatch(Rule(duration=gap + 1))
        assert watch.feed(Frame(at=0, level=90, limit=LIMIT), interval) is None
        assert watch.feed(Frame(at=gap, level=90, limit=LIMIT), interval) is None
        assert bool(watch.feed(Frame(at=gap + 1, level=90, limit=LIMIT), interval)) is fires


def test_gap_while_it_clears() -> None:
    """An exceedance outlives a gap; what was back before it does not count."""
    assert phases("90@0 90@1 90@2 80@3 80@4 80@9 80@10 80@11", duration=2) == [
        ("exceeded", 2),
        ("cleared", 11),
    ]
    assert phases("90@0 90@1 90@2 90@60 80@61 80@62 80@63", duration=2) == [
        ("exceeded", 2),
        ("cleared", 63),
    ]


def test_moving_limit() -> None:
    """Each frame is judged by the limit of its moment; the exceedance keeps that of its onset."""
    watch = LimitWatch(Rule())
    assert watch.feed(Frame(at=0, level=80, limit=85)) is None
    onset = watch.feed(Frame(at=1, level=80, limit=75))
    assert onset
    assert onset.phase is Phase.EXCEEDED
    clear = watch.feed(Frame(at=2, level=80, limit=85))
    assert clear
    assert (clear.phase, clear.exceedance.limit) == (Phase.CLEARED, 75)


def test_marks() -> None:
    """One frame that is not valid for a report marks the exceedance, from its run-up on."""
    (_, onset), *_ = play("86@0! 86@1 86@2", duration=2)
    assert (onset.exceedance.overload, onset.exceedance.under_range) == (True, False)
    (_, onset), *_ = play("80@0! 86@1 86@2? 86@3", duration=2)
    assert (onset.exceedance.overload, onset.exceedance.under_range) == (False, True)


def test_lift() -> None:
    """A limit that does not hold any more ends the exceedance; the cool-down goes on."""
    watch = LimitWatch(Rule(duration=1, cooldown=10))

    def since() -> float | None:
        return watch.exceeded_since

    assert watch.lift(0) is None
    for frame in frames("90@0"):
        assert watch.feed(frame) is None
    assert watch.lift(0.5) is None, "it had not begun"
    onset, *_ = filter(None, map(watch.feed, frames("90@1 92@2 91@3")))
    assert onset.phase is Phase.EXCEEDED
    assert since() == 1
    clear = watch.lift(4)
    assert since() is None
    assert clear
    assert clear.phase is Phase.CLEARED
    assert (clear.exceedance.start, clear.exceedance.end) == (1, 4)
    assert (clear.exceedance.value, clear.exceedance.peak) == (91, 92)
    assert watch.lift(5) is None, "it is told once"
    assert not any(map(watch.feed, frames("90@6 90@7 90@8 90@9 90@10 90@11")))
    assert watch.feed(frames("90@12")[0]), "the cool-down is over"


def test_lift_while_it_clears() -> None:
    """It ended when the level was first back, not when the limit was lifted."""
    watch = LimitWatch(Rule(duration=3))
    for frame in frames("90@0 90@1 90@2 90@3 80@4 80@5"):
        watch.feed(frame)
    clear = watch.lift(6)
    assert clear
    assert clear.exceedance.end == 4


# What nobody thought of

LEVELS = st.integers(700, 1000).map(lambda tenths: tenths / 10)
STEPS = st.one_of(st.just(1.0), st.floats(0.1, 8.0))
RULES = st.builds(
    Rule,
    direction=st.sampled_from(Direction),
    duration=st.integers(0, 6).map(float),
    clear_margin=st.sampled_from([0.0, 0.5, 2.0, 10.0]),
    cooldown=st.sampled_from([0.0, 7.0, 30.0]),
)


@st.composite
def series(draw: st.DrawFn) -> list[Frame]:
    """Return frames that hover about the limit, with gaps."""
    at, found = 0.0, []
    for level, step in draw(st.lists(st.tuples(LEVELS, STEPS), max_size=60)):
        at += step
        found.append(Frame(at=at, level=level, limit=LIMIT))
    return found


def judged(rule: Rule, played: list[Frame]) -> list[tuple[Frame, Change]]:
    """Return what frames begin and end."""
    watch = LimitWatch(rule)
    return [(frame, change) for frame in played if (change := watch.feed(frame))]


@settings(max_examples=300)
@given(rule=RULES, played=series())
def test_onset_and_clear_take_turns(rule: Rule, played: list[Frame]) -> None:
    """Each exceedance begins once and ends once, and none begins within the cool-down."""
    changes = judged(rule, played)
    wanted = [Phase.EXCEEDED, Phase.CLEARED] * len(changes)
    assert [change.phase for _, change in changes] == wanted[: len(changes)]
    onsets = [frame.at for frame, change in changes if change.phase is Phase.EXCEEDED]
    assert all(later - earlier >= rule.cooldown for earlier, later in pairwise(onsets))


@settings(max_examples=300)
@given(rule=RULES, played=series())
def test_what_it_keeps(rule: Rule, played: list[Frame]) -> None:
    """Peak and mean are those of the frames from the start up to the end."""
    worst = max if rule.direction is Direction.ABOVE else min
    for frame, change in judged(rule, played):
        kept = change.exceedance
        end = inf if kept.end is None else kept.end
        part = [f.level for f in played if kept.start <= f.at < min(end, frame.at + 1e-9)]
        assert kept.peak == worst(part)
        assert kept.mean == pytest.approx(energy_mean(*part))
        assert kept.length == (frame.at if kept.end is None else kept.end) - kept.start
        assert kept.value == frame.level


@settings(max_examples=200)
@given(rule=RULES, played=series())
def test_both_directions_are_alike(rule: Rule, played: list[Frame]) -> None:
    """A limit from below is the mirror of one from above."""
    other = Direction.BELOW if rule.direction is Direction.ABOVE else Direction.ABOVE
    mirror = Rule(
        direction=other,
        duration=rule.duration,
        clear_margin=rule.clear_margin,
        cooldown=rule.cooldown,
    )
    mirrored = [Frame(at=f.at, level=2 * LIMIT - f.level, limit=LIMIT) for f in played]
    assert [(f.at, c.phase) for f, c in judged(rule, played)] == [
        (f.at, c.phase) for f, c in judged(mirror, mirrored)
    ]


@dataclass
class Model:
    """The rules of an exceedance, said anew: whole lists, and everything looked at each time."""

    rule: Rule
    past: list[tuple[float, str]]
    exceeded: bool = False
    last_onset: float = -inf

    def kind(self, frame: Frame) -> str:
        """Return past, back or between."""
        sign = 1 if self.rule.direction is Direction.ABOVE else -1
        excess = round(sign * (frame.level - frame.limit), 3)
        if excess > 0:
            return "past"
        return "back" if excess <= -self.rule.clear_margin else "between"

    def feed(self, frame: Frame) -> Phase | None:
        """Judge a frame by all that came before it."""
        if self.past and frame.at - self.past[-1][0] > MAX_GAP:
            self.past.clear()
        self.past.append((frame.at, self.kind(frame)))
        kinds = [kind for _, kind in self.past]
        if self.exceeded:
            run = next((i for i in range(len(kinds)) if set(kinds[i:]) == {"back"}), None)
            if run is None or frame.at - self.past[run][0] < self.rule.duration:
                return None
            self.exceeded = False
            self.past.clear()
            return Phase.CLEARED
        since = max((i for i, kind in enumerate(kinds) if kind == "back"), default=-1) + 1
        first = next((i for i in range(since, len(kinds)) if kinds[i] == "past"), None)
        if (
            first is None
            or kinds[-1] != "past"
            or frame.at - self.past[first][0] < self.rule.duration
            or frame.at - self.last_onset < self.rule.cooldown
        ):
            return None
        self.exceeded = True
        self.last_onset = frame.at
        return Phase.EXCEEDED


@settings(max_examples=500)
@given(rule=RULES, played=series())
def test_model(rule: Rule, played: list[Frame]) -> None:
    """A machine that keeps next to nothing agrees with one that looks at everything."""
    model, watch = Model(rule, []), LimitWatch(rule)
    for frame in played:
        change = watch.feed(frame)
        assert (change and change.phase) == model.feed(frame), frame
