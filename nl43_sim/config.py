"""How a simulated meter is to be."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

LATENCY: Final = 0.005
PACE_LIMIT: Final = 1.0
ANSWER_LIMIT: Final = 3.0


class Prompt(StrEnum):
    """Where the prompt `$` of an answer appears."""

    NONE = "none"
    BEFORE = "before"
    """In front of the result line: `$R+0000`."""
    ALONE = "alone"
    """On a line of its own before the answer."""
    LEFT_OVER = "left_over"
    """After the answer, without a line end: it is read in front of the next one."""
    DATA = "data"
    """In front of the data line."""


class Asleep(StrEnum):
    """What the network of a sleeping meter does."""

    GONE = "gone"
    ANSWERS = "answers"


@dataclass(slots=True, kw_only=True)
class SimulatorConfig:
    """The make-up of a simulated meter; everything has a default."""

    host: str = "127.0.0.1"
    port: int = 0
    """Port of the control service; 0 takes a free one."""
    ftp_port: int = 0
    """Port of the FTP service; 0 takes a free one."""

    model: str = "NL-43"
    serial: str = "01234567"
    version: str = "01.02.0107"
    seed: int = 1
    busy: bool = False
    """Whether something is heard every half minute, at whatever hour."""
    measuring: bool = True
    """Whether a measurement is running from the start."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings that differ from the factory's, by their command names."""
    sub_channels: int = 0
    """How many of Sub1-3 are in use."""
    hidden: Collection[str] = ("LIeq", "Leq_mov", "Ltm5")
    """Quantities whose display is off."""
    missing: Collection[str] = ()
    """Names of the commands this meter lacks."""
    missing_result: str = "R+0003"
    """The result of a command this meter lacks: R+0001 or R+0003."""
    measuring_word: str = "Start"
    """What `Measure?` says of a running measurement; some firmware says `Measure`."""
    utc_offset: float | None = None
    """The meter's local time against UTC in seconds; None follows this machine."""
    clock_offset: float = 0.0
    """Seconds the meter's clock is ahead."""
    battery_level: str = "Full"
    power_source: str = "E"
    """Power source letter of `DRD?status`: I(nternal), E(xternal), U(SB)."""
    battery_type: str = "Alkaline"
    sd_total_mb: int = 30_436

    latency: float = LATENCY
    """Seconds from a command to its answer."""
    pace_limit: float = PACE_LIMIT
    """Seconds that a client has to wait after an answer."""
    answer_limit: float = ANSWER_LIMIT
    """Seconds after which a client may give an answer up for lost."""
    prompts: Sequence[Prompt] = (Prompt.NONE, Prompt.BEFORE, Prompt.ALONE, Prompt.LEFT_OVER)
    """The prompts that occur; which one an answer has is up to the seed."""
    asleep: Asleep = Asleep.GONE
    replay: Sequence[str] = ()
    """`DOD?` lines to serve in turn in place of the sound model."""

    ftp_user: str = "USER"
    ftp_password: str = "0000"
    ftp_delay: float = 0.2
    """Seconds from `FTP,On` to the service listening."""
    ftp_rate: float | None = None
    """Bytes a second that a file comes at, as over a modem; None does not hold it back."""
    ftp_data_timeout: float = 60.0
    """Seconds after which a data connection that never came is given up."""
