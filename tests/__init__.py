"""Tests of the integration, the protocol, the simulated meter and the whole in a browser."""
