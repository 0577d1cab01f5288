"""The law of the house: arrows point down only, and the simulated meter knows nobody."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
import re
import subprocess
import sys
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
INTEGRATION: Final = "custom_components.nl43"
RION: Final = f"{INTEGRATION}.rion"
# From the ground up. A module imports from lower floors only; what is not named here is on the
# top floor, where platforms, flows and views are, and nothing imports from that but `__init__`.
FLOORS: Final = (
    ("rion",),
    ("const", "schedule"),
    ("address", "errors", "facts", "limit", "login", "media", "picture", "target"),
    ("watch",),
    ("alarm", "coordinator", "recent"),
    ("control", "files"),
    ("measurement", "cycle"),
    ("runtime",),
    ("access", "entity", "saving"),
)
TOP: Final = len(FLOORS)
# The same for the browser's part; what is not named here stands on nothing.
SCRIPT_FLOORS: Final = (
    ("editor", "meter-view", "meters-view"),
    ("card", "meters-card", "strategy", "strategy-editor"),
    ("nl43",),
)


def imports_in(source: str, package: str) -> Iterator[str]:
    """Return what a source file of a package imports, by full names, wherever it does so."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            outer = package.split(".")[: len(package.split(".")) - node.level + 1]
            module = ".".join([*(outer if node.level else []), *filter(None, [node.module])])
            # A name may be a module of its own, or something inside the module.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def modules(folder: str) -> dict[str, Path]:
    """Return the modules below a folder by their full names, a package by its `__init__`."""
    paths = sorted((ROOT / folder).rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths}


def imports_of(name: str, path: Path) -> set[str]:
    """Return what a module imports, by full names."""
    package = name.rpartition(".")[0]
    return set(imports_in(path.read_text(encoding="utf-8"), package))


def rooms_used(name: str, path: Path) -> set[str]:
    """Return the rooms of the integration that a module imports from."""
    prefix = f"{INTEGRATION}."
    used = {
        module.removeprefix(prefix).partition(".")[0]
        for module in imports_of(name, path)
        if module.startswith(prefix)
    }
    return used - {name.removeprefix(prefix).partition(".")[0]}


def floor(room: str) -> int:
    """Return how high a room is."""
    return next((floor for floor, rooms in enumerate(FLOORS) if room in rooms), TOP)


ALL: Final = modules("custom_components/nl43")
SIMULATOR: Final = modules("nl43_sim")
TESTS: Final = modules("tests") | modules("script")


def test_there_is_something_to_judge() -> None:
    """The files are found, and each floor that is built has its rooms."""
    rooms = {name.split(".")[2] for name in ALL}
    assert {"rion", "const", "errors", "facts", "coordinator", "entity", "sensor"} <= rooms
    assert len(SIMULATOR) > 5


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("import homeassistant.core", {"homeassistant.core"}),
        ("from homeassistant import core as c", {"homeassistant.core"}),
        ("from . import Meter", {f"{RION}.Meter"}),
        ("from .dod import Reading", {f"{RION}.dod.Reading"}),
        ("from ..const import DOMAIN", {f"{INTEGRATION}.const.DOMAIN"}),
        ("from .. import const, errors", {f"{INTEGRATION}.const", f"{INTEGRATION}.errors"}),
        ("def f():\n    from ..const import DOMAIN", {f"{INTEGRATION}.const.DOMAIN"}),
        ("if TYPE_CHECKING:\n    import nl43_sim", {"nl43_sim"}),
    ],
)
def test_imports_are_seen(line: str, names: set[str]) -> None:
    """No way to import escapes the eye of this test."""
    assert set(imports_in(line, RION)) == names


@pytest.mark.parametrize("name", [name for name in ALL if not name.endswith("nl43.__init__")])
def test_arrows_point_down(name: str) -> None:
    """A room uses rooms on lower floors only, so no platform uses another."""
    room = name.split(".")[2]
    for used in rooms_used(name, ALL[name]):
        assert floor(used) < floor(room), f"{room} uses {used}"


SCRIPTS: Final = sorted((ROOT / "custom_components/nl43/frontend").glob("*.js"))


def script_floor(name: str) -> int:
    """Return how high a module of the browser's part is."""
    return next((at for at, names in enumerate(SCRIPT_FLOORS, start=1) if name in names), 0)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_arrows_point_down_in_the_browser(path: Path) -> None:
    """A module of the browser's part uses modules on lower floors only."""
    used = re.findall(r'\bimport\b[^;]*?"\./([\w-]+)\.js"', path.read_text("utf-8"))
    for name in used:
        assert script_floor(name) < script_floor(path.stem), f"{path.stem} uses {name}"


def test_no_circles() -> None:
    """No module waits for itself; modules of one floor and inside rion included."""
    graph = {}
    for name, path in ALL.items():
        module = name.removesuffix(".__init__")
        imported = {m for m in imports_of(name, path) if m.startswith(f"{INTEGRATION}.")}
        known = {other.removesuffix(".__init__") for other in ALL}
        graph[module] = {m if m in known else m.rpartition(".")[0] for m in imported} & known - {
            module
        }
    order = list(TopologicalSorter(graph).static_order())
    assert order[-1] == INTEGRATION


@pytest.mark.parametrize("name", list(ALL))
def test_nothing_imports_the_package_itself(name: str) -> None:
    """Set-up is for Home Assistant alone: what is shared is in a room of its own."""
    rooms = {path.relative_to(ROOT / "custom_components/nl43").parts[0] for path in ALL.values()}
    known = {room.removesuffix(".py") for room in rooms} - {"__init__"}
    for module in imports_of(name, ALL[name]):
        assert module not in {"custom_components", INTEGRATION}
        if module.startswith(f"{INTEGRATION}."):
            assert module.split(".")[2] in known


@pytest.mark.parametrize("name", [name for name in ALL if name.startswith(RION)])
def test_rion_is_pure(name: str) -> None:
    """The meter's package needs the standard library and itself, nothing else."""
    for module in imports_of(name, ALL[name]):
        outside = module.partition(".")[0] in sys.stdlib_module_names
        assert outside or module.startswith(f"{RION}."), module


@pytest.mark.parametrize("name", list(SIMULATOR))
def test_simulator_knows_nobody(name: str) -> None:
    """A simulated meter that shared code with its client would share its mistakes."""
    for module in imports_of(name, SIMULATOR[name]):
        outside = module.partition(".")[0] in sys.stdlib_module_names
        assert outside or module.startswith("nl43_sim"), module


@pytest.mark.parametrize("name", list(ALL))
def test_integration_knows_no_simulator(name: str) -> None:
    """What people install stands alone."""
    for module in imports_of(name, ALL[name]):
        assert module.partition(".")[0] not in {"nl43_sim", "tests", "script", "pytest"}


@pytest.mark.parametrize("name", list(TESTS))
def test_rion_has_one_name(name: str) -> None:
    """A module loaded under two names has two different exception classes."""
    for module in imports_of(name, TESTS[name]):
        assert module.partition(".")[0] != "rion"


@pytest.mark.parametrize(
    ("folder", "package"), [("custom_components/nl43", "rion"), (".", "nl43_sim")]
)
def test_runs_without_home_assistant(folder: str, package: str, tmp_path: Path) -> None:
    """Both can be used on a machine that has no Home Assistant."""
    # At the end of the path: select.py beside rion is not Python's.
    program = (
        f"import sys; sys.path.append({str(ROOT / folder)!r}); import {package}; "
        "sys.exit('homeassistant' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=60)  # noqa: S603 - ours
