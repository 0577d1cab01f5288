"""The names of levels as acousticians write them: LAF, LAeq, LCpeak, LAF95.

After IEC 61672-1 and ISO 1996-1.
"""

from typing import Final

from .dod import CHANNELS, QUANTITIES
from .vocabulary import PERCENTILE

# What follows the weightings. LAF is Lp itself: nothing follows.
_SUFFIXES: Final = {
    "lp": "",
    "leq": "eq",
    "le": "E",
    "lmax": "max",
    "lmin": "min",
    "lpeak": "peak",
    "lieq": "Ieq",
    "leq_mov": "eq,mov",
    "ltm5": "Tm5",
}
# These are formed from the time-weighted level; Leq and LE are not (IEC 61672-1), LIeq has its own.
TIME_WEIGHTED: Final = ("lp", "lmax", "lmin", *PERCENTILE, "ltm5")
# The key of each level, with its channel and quantity: `lp` is Main's, `sub1_lp` is Sub1's.
LEVEL_KEYS: Final = {
    quantity if channel == "main" else f"{channel}_{quantity}": (channel, quantity)
    for channel in CHANNELS
    for quantity in QUANTITIES
}


def symbol(
    key: str, frequency_weighting: str | None, time_weighting: str | None, percentile: float | None
) -> str:
    """Return what a level is called by those who measure, such as LAF, LAeq or Sub1 LCpeak.

    `key` is one of LEVEL_KEYS. A weighting that is not known (None) is left out, as is the time
    weighting of what has none. A percentile that is not known leaves the name of its slot (LN1).
    """
    channel, quantity = LEVEL_KEYS[key]
    time = time_weighting if quantity in TIME_WEIGHTED else None
    weightings = f"{frequency_weighting or ''}{time or ''}"
    if quantity not in PERCENTILE:
        name = f"L{weightings}{_SUFFIXES[quantity]}"
        # Nothing known of it, the instantaneous level is Lp.
        name = "Lp" if name == "L" else name
    elif percentile is None:
        name = quantity.upper()
    else:
        name = f"L{weightings}{percentile:g}"
    return name if channel == "main" else f"{channel.capitalize()} {name}"
