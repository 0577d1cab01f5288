"""What the tests of the simulated meter share."""

from collections.abc import AsyncGenerator

import pytest

from nl43_sim import SimulatedMeter, SimulatorConfig

from .client import Client


@pytest.fixture(autouse=True)
def _sockets(socket_enabled: None) -> None:
    """Let the tests use real sockets of the loopback interface."""


@pytest.fixture
def config() -> SimulatorConfig:
    """Return a quick meter without a pace to keep; a test module may have its own."""
    return SimulatorConfig(pace_limit=0.0, latency=0.0)


@pytest.fixture
async def sim(config: SimulatorConfig) -> AsyncGenerator[SimulatedMeter]:
    """Run a meter whose rules nobody breaks."""
    async with SimulatedMeter(config) as meter:
        yield meter
        assert meter.violations == []


@pytest.fixture
async def client(sim: SimulatedMeter) -> AsyncGenerator[Client]:
    """Connect to the meter."""
    async with await Client.connect(sim) as connected:
        yield connected
