"""Every fault of the simulated meter: no wrong value, only this package's errors, recovery."""

from dataclasses import dataclass, field, replace
import time

import pytest

from custom_components.nl43.rion import (
    ClosedError,
    DesyncError,
    Meter,
    NoAnswerError,
    Priority,
    Reading,
    RefusedError,
    RionError,
    StateError,
    UnreachableError,
    connection,
)
from custom_components.nl43.rion.vocabulary import CLOCK, MEASURE, TYPE, Model, RunState
from nl43_sim import Fault, SimulatedMeter, SimulatorConfig

from .tools import MEASURING_LINE, QUICK, STOPPED_LINE, asked, quick_meter, recorded_readings

ROUNDS = 4
# Of faults in which each try takes its whole time.
ROUNDS_IN_VAIN = 1
# A fault, its parameter, and the errors that its victims may see; no error: it does no harm.
FAULTS: list[tuple[Fault, float | None, tuple[type[RionError], ...]]] = [
    (Fault.WEDGE, None, (RefusedError, ClosedError)),
    (Fault.SLOT_TAKEN, None, (NoAnswerError, ClosedError)),
    (Fault.SILENCE, None, (NoAnswerError,)),
    (Fault.SLOW, 0.02, ()),
    (Fault.SLOW, 0.5, (NoAnswerError,)),
    (Fault.DROP, None, (ClosedError,)),
    (Fault.STRAY, None, ()),
    (Fault.GLUED, None, (DesyncError,)),
    (Fault.SPLIT, 0.0001, ()),
    (Fault.JUNK, None, (DesyncError, NoAnswerError)),
    # An empty line is none: nothing comes.
    (Fault.BAD_VALUES, None, (DesyncError, NoAnswerError)),
    (Fault.REFUSE_DOD, None, (StateError,)),
    (Fault.GONE, None, (UnreachableError, NoAnswerError)),
    (Fault.MISSING_OPTIONS, None, ()),
    (Fault.WRONG_CLOCK, None, ()),
]


@dataclass(slots=True)
class Tries:
    """What came of asking over and over."""

    values: list[object] = field(default_factory=list)
    errors: list[RionError] = field(default_factory=list)


async def ask_about(meter: Meter, rounds: int) -> Tries:
    """Ask for a frame, the run state and the model, over and over; check each value."""
    tries = Tries()
    for _ in range(rounds):
        for ask in (meter.reading, lambda: meter.ask(MEASURE, Priority.READING)):
            try:
                value: object = await ask()
            except RionError as err:
                tries.errors.append(err)
            else:
                tries.values.append(value)
        try:
            tries.values.append(await meter.ask(TYPE, Priority.SLOW))
        except RionError as err:
            tries.errors.append(err)
    true: list[object] = [*recorded_readings(), RunState.START, Model.NL_43]
    assert all(value in true for value in tries.values)
    return tries


@pytest.fixture
def config(hasty: None) -> SimulatorConfig:
    """Return a meter that shows the recorded frames in turn."""
    return replace(quick_meter(), replay=[MEASURING_LINE, STOPPED_LINE])


@pytest.fixture
def client(meter: Meter) -> Meter:
    """Return a client that waits for a short backoff only."""
    meter.connection.max_backoff = 2 * QUICK
    return meter


@pytest.mark.parametrize(
    ("fault", "seconds", "errors"), FAULTS, ids=[f"{each[0]}-{each[1]}" for each in FAULTS]
)
async def test_faults_make_no_values(
    sim: SimulatedMeter,
    client: Meter,
    fault: Fault,
    seconds: float | None,
    errors: tuple[type[RionError], ...],
) -> None:
    """A fault that comes while all is well costs errors at most, and is over when it is over."""
    assert not (await ask_about(client, 1)).errors
    sim.inject(fault, seconds=seconds)
    in_vain = errors[:1] in ((NoAnswerError,), (UnreachableError,))
    tries = await ask_about(client, ROUNDS_IN_VAIN if in_vain else ROUNDS)
    assert all(isinstance(err, errors) for err in tries.errors)
    assert not errors or tries.errors
    sim.clear()
    while not (await ask_about(client, 1)).values:
        pass
    assert not (await ask_about(client, 2)).errors
    assert sim.connections_opened <= 2 + len(tries.errors)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.WEDGE, RefusedError),
        (Fault.SLOT_TAKEN, NoAnswerError),
        (Fault.SILENCE, NoAnswerError),
        (Fault.DROP, ClosedError),
        (Fault.GONE, UnreachableError),
    ],
)
async def test_a_meter_in_trouble_is_left_in_peace(
    sim: SimulatedMeter, meter: Meter, fault: Fault, error: type[RionError]
) -> None:
    """Each connect in vain doubles the wait for the next one."""
    sim.inject(fault)
    begun = time.monotonic()
    for _ in range(4):
        with pytest.raises(error):
            await meter.reading()
    # Four connects, and three waits between them.
    assert time.monotonic() - begun >= QUICK * (1 + 2 + 4)
    assert sim.connections_opened <= 4
    assert set(asked(sim)) <= {"Serial Number?"}
    sim.clear()
    assert isinstance(await meter.reading(), Reading)


async def test_the_slot_is_released_late(sim: SimulatedMeter, client: Meter) -> None:
    """A meter that does not free its slot at once is had back, with a few connects."""
    await client.reading()
    sim.inject(Fault.LATE_RELEASE, seconds=0.3)
    await sim.drop_connection()
    errors = 0
    while True:
        try:
            await client.reading()
        except NoAnswerError, ClosedError:
            errors += 1
        else:
            break
    assert sim.connections_opened == 2 + errors
    assert not (await ask_about(client, 2)).errors


async def test_a_link_of_a_few_bytes_at_a_time(
    sim: SimulatedMeter, client: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that trickles in is waited for, and the pace counts from its last byte."""
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT", 5.0)
    sim.inject(Fault.SPLIT)
    assert not (await ask_about(client, 2)).errors
    assert sim.connections_opened == 1


async def test_faults_all_at_once(sim: SimulatedMeter, client: Meter) -> None:
    """Stray, glued, spoilt and split answers together still make no value."""
    for fault in (Fault.STRAY, Fault.GLUED, Fault.BAD_VALUES):
        sim.inject(fault)
    assert (await ask_about(client, ROUNDS)).errors
    sim.clear()
    while (await ask_about(client, 1)).errors:
        pass


async def test_a_wrong_clock_is_shown_as_it_is(sim: SimulatedMeter, client: Meter) -> None:
    """The meter's clock is what the meter says, right or wrong."""
    right = await client.ask(CLOCK)
    sim.inject(Fault.WRONG_CLOCK, seconds=7200.0)
    wrong = await client.ask(CLOCK)
    assert 7200 <= (wrong - right).total_seconds() < 7200 + 120
