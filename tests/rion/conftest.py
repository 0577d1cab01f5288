"""Simulated meters on loopback sockets, and this package's waits turned down."""

from collections.abc import AsyncGenerator

import pytest

from custom_components.nl43.rion import Meter, connection
from nl43_sim import SimulatedMeter, SimulatorConfig

from .tools import QUICK, quick_meter


@pytest.fixture(autouse=True)
def _real_sockets(socket_enabled: None) -> None:
    """Talk to the meters over real sockets."""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every wait of a connection pass a hundred times as quickly."""
    for name in ("PACE", "SETTLE", "STILL", "ANSWER_LIMIT", "MAX_BACKOFF"):
        monkeypatch.setattr(connection, name, getattr(connection, name) * QUICK)
    real = connection.backoff
    monkeypatch.setattr(
        connection, "backoff", lambda failures, limit: real(failures, limit / QUICK) * QUICK
    )


@pytest.fixture
def hasty(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up on an answer or a connect soon, too."""
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT", 0.2)
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", 0.2)


@pytest.fixture
def config() -> SimulatorConfig:
    """Return a meter that allows the tests' quick pace; a test may have its own."""
    return quick_meter()


@pytest.fixture
async def sim(quick: None, config: SimulatorConfig) -> AsyncGenerator[SimulatedMeter]:
    """Run a measuring meter, never treated worse than it allows."""
    async with SimulatedMeter(config) as simulated:
        yield simulated
        assert simulated.violations == []


@pytest.fixture
async def meter(sim: SimulatedMeter) -> AsyncGenerator[Meter]:
    """Return a client of the simulated meter."""
    client = Meter(sim.host, sim.port)
    yield client
    await client.close()
