"""Tests of the meter's protocol."""
