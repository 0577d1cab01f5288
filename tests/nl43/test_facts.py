"""Which question is due, and how long an answer holds."""

from itertools import pairwise
from pathlib import Path

from homeassistant.util import dt as dt_util
import pytest

from custom_components.nl43.const import MeasurementState
from custom_components.nl43.facts import (
    DOUBTS,
    EXPIRY,
    SLOW_QUESTIONS,
    Fact,
    Facts,
    MeterData,
    SlowQuestion,
    is_running,
)
from custom_components.nl43.rion.dod import parse_reading
from custom_components.nl43.rion.vocabulary import (
    BATTERY_LEVEL,
    FREQUENCY_WEIGHTING,
    MEASURE,
    PAUSE,
    Command,
    OnOff,
    RunState,
)

RECORDED = Path(__file__).parent.parent / "recordings"
MEASURING = parse_reading((RECORDED / "dod_measuring.txt").read_text().strip("\n"))
STOPPED = parse_reading((RECORDED / "dod_stopped.txt").read_text().strip("\n"))


def data(lacking: frozenset[str] = frozenset(), **values: object) -> MeterData:
    """Return the recorded frame with facts beside it."""
    now = dt_util.utcnow()
    return MeterData(
        reading=MEASURING,
        at=now,
        facts={name: Fact(value, now) for name, value in values.items()},
        lacking=lacking,
    )


def question(command: Command[object]) -> SlowQuestion:
    """Return the question of a command."""
    return next(each for each in SLOW_QUESTIONS if each.command is command)


def ask_everything(facts: Facts, now: float, values: MeterData) -> list[str]:
    """Answer all that is due; return the names in their order."""
    names = []
    while due := facts.due(now, values):
        names.append(due.command.name)
        facts.learn(due.command, now, Fact("", dt_util.utcnow()))
    return names


def test_the_recorded_frames_hint_at_the_run_state() -> None:
    """A stopped meter shows nothing but Lp."""
    assert is_running(MEASURING.main)
    assert not is_running(STOPPED.main)


def test_everything_that_makes_sense_is_asked_once() -> None:
    """Unused channels are left alone, and a stopped meter is not asked for a pause."""
    names = ask_everything(Facts(), 1000.0, data(Measure=RunState.STOP))
    assert names[0] == "Measure"
    assert "Pause" not in names
    assert "Frequency Weighting (Main)" in names
    assert "Frequency Weighting (Sub1)" not in names
    assert len(names) == len(set(names))


def test_what_the_meter_lacks_is_not_asked() -> None:
    """R+0001 and R+0003 are learnt."""
    lacking = frozenset({BATTERY_LEVEL.name})
    assert BATTERY_LEVEL.name not in ask_everything(Facts(), 1000.0, data(lacking))


def test_the_run_state_does_not_starve_the_rest() -> None:
    """With one question every 30 s all are asked, and the run state never expires."""
    facts = Facts()
    measuring = data(Measure=RunState.START)
    asked: dict[str, list[float]] = {}
    for now in range(1000, 1000 + 3600, 30):
        if due := facts.due(float(now), measuring):
            asked.setdefault(due.command.name, []).append(now)
            facts.learn(due.command, float(now), Fact("", dt_util.utcnow()))
    expected = {each.command.name for each in SLOW_QUESTIONS if each.makes_sense(measuring)}
    assert set(asked) == expected
    for each in (MEASURE, PAUSE):
        times = asked[each.name]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert max(gaps) < EXPIRY * 30
    assert max(times[0] for times in asked.values()) < 1000 + 1800


def test_doubt_asks_at_once_and_does_not_give_up_at_once() -> None:
    """A change of the hint makes the run state the next question; unanswered it is not known."""
    facts = Facts()
    measuring = data(Measure=RunState.START)
    ask_everything(facts, 1000.0, measuring)
    assert facts.due(1001.0, measuring) is None
    facts.doubt(MEASURE, PAUSE)
    due = facts.due(1001.0, measuring)
    assert due is not None
    assert due.command is MEASURE
    assert facts.is_doubtful(due)
    for _ in range(DOUBTS):
        assert facts.due(1001.0, measuring) is due
        assert MEASURE.name in facts.current(1001.0)
        facts.miss(due.command, 1001.0)
    assert MEASURE.name not in facts.current(1001.0)
    due = facts.due(1001.0, measuring)
    assert due is not None
    assert due.command is PAUSE


def test_a_pause_ends_with_its_measurement() -> None:
    """The next measurement is not paused until the meter says so."""
    facts = Facts()
    now = dt_util.utcnow()
    facts.learn(PAUSE, 0.0, Fact(OnOff.ON, now))
    facts.learn(MEASURE, 1.0, Fact(RunState.STOP, now))
    facts.learn(MEASURE, 2.0, Fact(RunState.START, now))
    assert PAUSE.name not in facts.current(2.0)


def test_an_unanswered_question_is_asked_less_and_less() -> None:
    """A question that costs a time-out each time becomes rare, until it is answered."""
    facts = Facts()
    ask_everything(facts, 0.0, data())
    battery = question(BATTERY_LEVEL)
    facts.miss(BATTERY_LEVEL, 0.0)
    facts.miss(BATTERY_LEVEL, 0.0)
    others = data(frozenset(each.command.name for each in SLOW_QUESTIONS if each is not battery))
    assert facts.due(battery.max_age * 3.9, others) is None
    assert facts.due(battery.max_age * 4, others) is battery
    facts.learn(BATTERY_LEVEL, 0.0, Fact("", dt_util.utcnow()))
    assert facts.due(battery.max_age, others) is battery


def test_old_answers_expire() -> None:
    """A run state that could not be renewed for three minutes is not shown any more."""
    facts = Facts()
    ask_everything(facts, 0.0, data())
    assert MEASURE.name in facts.current(180.0)
    assert MEASURE.name not in facts.current(181.0)
    assert FREQUENCY_WEIGHTING["main"].name in facts.current(181.0)


@pytest.mark.parametrize(
    ("values", "lacking", "expected"),
    [
        ({}, frozenset(), None),
        ({"Pause": OnOff.OFF}, frozenset(), None),
        ({"Measure": RunState.STOP}, frozenset(), MeasurementState.STOPPED),
        ({"Measure": RunState.START}, frozenset(), None),
        ({"Measure": RunState.START}, frozenset({"Pause"}), MeasurementState.MEASURING),
        ({"Measure": RunState.START, "Pause": OnOff.OFF}, frozenset(), MeasurementState.MEASURING),
        (
            {"Measure": RunState.MEASURE, "Pause": OnOff.OFF},
            frozenset(),
            MeasurementState.MEASURING,
        ),
        ({"Measure": RunState.START, "Pause": OnOff.ON}, frozenset(), MeasurementState.PAUSED),
    ],
)
def test_measurement_state(
    values: dict[str, object], lacking: frozenset[str], expected: MeasurementState | None
) -> None:
    """The state is what the meter confirmed, unknown until then."""
    assert data(lacking, **values).measurement_state is expected
