"""The pins agree with the Home Assistant that is installed."""

from importlib.metadata import version
import json
from pathlib import Path
from typing import Final

import homeassistant
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
import pytest

from script.real_hass import ROOT

CORE: Final = Path(homeassistant.__file__).parent
# Their pins are not the release's, for the reason given in the file.
NOT_OF_THE_RELEASE: Final = {"pymicro-vad", "pyspeex-noise"}


def pinned_for_the_browser() -> list[Requirement]:
    """Return the last section of requirements_test.txt, but for the named exceptions."""
    section = (ROOT / "requirements_test.txt").read_text().split("browser session")[1]
    lines = section.splitlines()[1:]
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return [pin for pin in pins if pin.name not in NOT_OF_THE_RELEASE]


def wanted_by_the_release() -> dict[str, Requirement]:
    """Return the versions that the release's own files name."""
    lines = (CORE / "package_constraints.txt").read_text().splitlines()
    for manifest in (CORE / "components").glob("*/manifest.json"):
        lines += json.loads(manifest.read_text()).get("requirements", [])
    wanted = (Requirement(line) for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(requirement.name): requirement for requirement in wanted}


@pytest.mark.parametrize("pin", pinned_for_the_browser(), ids=lambda pin: pin.name)
def test_pin(pin: Requirement) -> None:
    """What is pinned is installed, and is what the release asks for where it asks."""
    installed = version(pin.name)
    assert pin.specifier.contains(installed)
    wanted = wanted_by_the_release().get(canonicalize_name(pin.name))
    assert wanted is None or wanted.specifier.contains(installed)
