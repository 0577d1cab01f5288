"""How acousticians write levels."""

import pytest

from custom_components.nl43.rion import CHANNELS, QUANTITIES
from custom_components.nl43.rion.notation import LEVEL_KEYS, symbol

# For the weightings A and S, and the percentile 90.
WRITTEN = {
    "lp": "LAS", "leq": "LAeq", "le": "LAE", "lmax": "LASmax", "lmin": "LASmin",
    "lpeak": "LApeak", "ln1": "LAS90", "ln5": "LAS90", "lieq": "LAIeq", "leq_mov": "LAeq,mov",
    "ltm5": "LASTm5",
}  # fmt: skip
UNKNOWN = {
    "lp": "Lp", "leq": "Leq", "le": "LE", "lmax": "Lmax", "lmin": "Lmin", "lpeak": "Lpeak",
    "ln1": "LN1", "ln5": "LN5", "lieq": "LIeq", "leq_mov": "Leq,mov", "ltm5": "LTm5",
}  # fmt: skip


@pytest.mark.parametrize(("key", "written"), WRITTEN.items())
def test_symbol(key: str, written: str) -> None:
    """Weightings and percentile are part of the symbol; a Sub channel is named before it."""
    assert symbol(key, "A", "S", 90.0) == written
    assert symbol(f"sub2_{key}", "A", "S", 90.0) == f"Sub2 {written}"


@pytest.mark.parametrize(("key", "written"), UNKNOWN.items())
def test_what_is_not_known_is_left_out(key: str, written: str) -> None:
    """Nothing is made up of a weighting that the meter has not told."""
    assert symbol(key, None, None, None) == written


def test_parts() -> None:
    """What is known is written; a fraction of a per cent, too."""
    assert symbol("lp", "C", None, None) == "LC"
    assert symbol("lp", None, "F", None) == "LF"
    assert symbol("lpeak", "Z", "F", None) == "LZpeak"
    assert symbol("ln3", "A", None, 50.0) == "LA50"
    assert symbol("ln3", "A", "F", 0.1) == "LAF0.1"
    assert symbol("ln3", "A", "F", None) == "LN3"


def test_keys() -> None:
    """There is a key for each quantity of each channel, and a symbol for each key."""
    assert sorted(LEVEL_KEYS.values()) == sorted((c, q) for c in CHANNELS for q in QUANTITIES)
    assert LEVEL_KEYS["lp"] == ("main", "lp")
    assert LEVEL_KEYS["sub1_leq_mov"] == ("sub1", "leq_mov")
    symbols = [symbol(key, "A", "F", float(number)) for number, key in enumerate(LEVEL_KEYS)]
    assert len(set(symbols)) == len(symbols)
