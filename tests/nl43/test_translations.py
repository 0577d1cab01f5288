"""Texts and icons: each one that is used is there, each one that is there is used."""

import ast
from collections.abc import Iterator
from dataclasses import is_dataclass
from importlib import import_module
import json
from pathlib import Path
import re
from string import Formatter
from typing import Any, Final, cast
from unittest.mock import Mock

from homeassistant.components.sensor import SensorDeviceClass
from homeassistant.const import WEEKDAYS, Platform
from homeassistant.helpers.entity import EntityDescription
from homeassistant.util.yaml import load_yaml
import pytest
import voluptuous as vol

import custom_components.nl43
from custom_components.nl43 import (
    condition,
    config_flow,
    errors,
    event,
    limit,
    login,
    repairs,
    services,
    trigger,
)
from custom_components.nl43.const import DOMAIN, PLATFORMS, ConnectionState, MeasurementState
from custom_components.nl43.facts import NOTHING_KNOWN
from custom_components.nl43.rion import FtpError, WrongMeterError
from custom_components.nl43.rion.limits import Direction
from custom_components.nl43.rion.notation import LEVEL_KEYS

FOLDER: Final = Path(custom_components.nl43.__file__).parent
SOURCES: Final = {path.name: ast.parse(path.read_text()) for path in FOLDER.glob("*.py")}
# What Home Assistant's own part of a flow says of an integration's flow.
ABORTED_BY_HOME_ASSISTANT: Final = {
    "already_configured",
    "already_in_progress",
    "reconfigure_successful",
}
ON_OFF: Final = {"on", "off"}
# What every error about a meter gives its text.
ALWAYS_GIVEN: Final = {"meter", "host", "port"}


def read(name: str) -> Any:
    """Return a JSON file of the integration."""
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


TEXTS: Final = read("translations/en.json")
ICONS: Final = read("icons.json")
MANIFEST: Final = read("manifest.json")


def leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Return every text with the keys that lead to it."""
    if isinstance(tree, str):
        yield path, tree
        return
    for key, branch in tree.items():
        yield from leaves(branch, (*path, key))


ALL_TEXTS: Final = list(leaves(TEXTS))


def placeholders(text: str) -> set[str]:
    """Return the names of what a text leaves open."""
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def calls(name: str | None = None) -> Iterator[tuple[ast.Call, dict[str, ast.expr]]]:
    """Return the calls in the integration's files with their keywords."""
    for source, tree in SOURCES.items():
        if name not in (None, source):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield node, {word.arg: word.value for word in node.keywords if word.arg}


def constant(node: ast.AST | None) -> str | None:
    """Return the text that stands in the source, None if it is anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def constants() -> set[str]:
    """Return all texts that stand in the integration's sources."""
    return {
        text
        for tree in SOURCES.values()
        for node in ast.walk(tree)
        if (text := constant(node)) is not None
    }


def keys_of(mapping: ast.expr) -> set[str | None]:
    """Return the keys of a mapping that stands in the source."""
    assert isinstance(mapping, ast.Dict)
    return {constant(key) for key in mapping.keys}


# Entities


def descriptions() -> list[tuple[str, EntityDescription]]:
    """Return the description of every entity with its platform."""
    found: dict[int, tuple[str, EntityDescription]] = {}

    def collect(platform: str, value: object) -> None:
        # A plain SensorEntityDescription is not an instance of EntityDescription.
        if (
            is_dataclass(value)
            and not isinstance(value, type)
            and hasattr(value, "has_entity_name")
        ):
            found[id(value)] = platform, cast("EntityDescription", value)
        elif isinstance(value, dict):
            collect(platform, tuple(value.values()))
        elif isinstance(value, (tuple, list, set, frozenset)):
            for part in value:
                collect(platform, part)

    for platform in PLATFORMS:
        module = import_module(f"custom_components.{DOMAIN}.{platform}")
        for value in vars(module).values():
            collect(platform.value, value)
    return list(found.values())


ENTITIES: Final = descriptions()
each_entity = pytest.mark.parametrize(
    ("platform", "description"),
    ENTITIES,
    ids=[f"{platform}-{description.key}" for platform, description in ENTITIES],
)


def options_of(description: EntityDescription) -> set[str]:
    """Return the words that an entity's state can be."""
    return set(getattr(description, "options", None) or ())


def test_every_platform_has_entities() -> None:
    """The descriptions are found, whatever a platform calls its table."""
    assert {platform for platform, _ in ENTITIES} == {platform.value for platform in PLATFORMS}


@each_entity
def test_entity_has_a_name(platform: str, description: EntityDescription) -> None:
    """An entity is named by a text, or by its device class."""
    if description.translation_key is None:
        assert description.device_class not in (None, SensorDeviceClass.ENUM)
        return
    text = TEXTS["entity"][platform][description.translation_key]
    assert placeholders(text["name"]) == set(description.translation_placeholders or {})


@each_entity
def test_entity_states_have_names(platform: str, description: EntityDescription) -> None:
    """Each word has a text; the standard's symbols (A, C, Z; F, S, I) stand for themselves."""
    text = TEXTS["entity"].get(platform, {}).get(description.translation_key or "", {})
    symbols = {word for word in options_of(description) if re.fullmatch("[A-Z]", word)}
    assert set(text.get("state", {})) == options_of(description) - symbols


@each_entity
def test_entity_has_an_icon(platform: str, description: EntityDescription) -> None:
    """An icon of ours, or the one of the device class; for other states only what can occur."""
    icon = ICONS["entity"].get(platform, {}).get(description.translation_key)
    if icon is None:
        assert description.device_class is not None
        return
    states = ON_OFF if platform in ("binary_sensor", "switch") else options_of(description)
    assert set(icon.get("state", {})) <= states


@pytest.mark.parametrize("tree", [TEXTS["entity"], ICONS["entity"]], ids=["texts", "icons"])
def test_no_entity_too_many(tree: dict[str, dict[str, Any]]) -> None:
    """What is written for an entity is for one that exists."""
    used = {(platform, description.translation_key) for platform, description in ENTITIES}
    assert {(platform, key) for platform, keys in tree.items() for key in keys} <= used


def test_icons() -> None:
    """Icons are Material Design's; a state has one of its own only where it is another."""
    for path, icon in leaves(ICONS):
        assert re.fullmatch("mdi:[a-z0-9-]+", icon), path
    for keys in ICONS["entity"].values():
        for key, icon in keys.items():
            assert icon["default"] not in icon.get("state", {}).values(), key


# Flows


def test_config_steps() -> None:
    """Each form has its texts, each field a name and an explanation, and nothing else has."""
    schemas = {
        "user": config_flow.ADDRESS_SCHEMA,
        "reconfigure": config_flow.ADDRESS_SCHEMA,
        "ftp": login.FTP_SCHEMA,
    }
    steps = {
        name.removeprefix("async_step_")
        for name in vars(config_flow.Nl43ConfigFlow)
        if name.startswith("async_step_")
    }
    assert steps - {"dhcp"} == set(schemas), "a discovery shows the user's form"
    check_forms(TEXTS["config"]["step"], schemas)


def test_options_steps() -> None:
    """The same for the options."""
    check_forms(TEXTS["options"]["step"], {"init": config_flow.OPTIONS_SCHEMA})


def check_forms(texts: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Hold the texts of forms against their fields."""
    assert set(texts) == set(schemas)
    for step, schema in schemas.items():
        fields = {str(key) for key in schema.schema}
        assert texts[step]["title"]
        assert set(texts[step]["data"]) == fields
        assert set(texts[step]["data_description"]) == fields


def test_config_errors() -> None:
    """Each error of a form has its own text; another meter ends the flow instead."""
    own = set()
    for node in ast.walk(SOURCES["config_flow.py"]):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            own.add(constant(node.value))
        elif isinstance(node, ast.Dict) and keys_of(node) == {"base"}:
            own.add(constant(node.values[0]))
    table = {key for kind, key in errors._KEYS.items() if kind is not WrongMeterError}
    assert set(TEXTS["config"]["error"]) == (own - {None}) | table
    texts = list(TEXTS["config"]["error"].values())
    assert len(set(texts)) == len(texts)


def test_config_aborts() -> None:
    """Each end of a flow has its text, with what it leaves open."""
    own: dict[str, set[str | None]] = {}
    for call, words in calls("config_flow.py"):
        reason = constant(words.get("reason"))
        if isinstance(call.func, ast.Name) and call.func.id == "AbortFlow":
            reason = constant(call.args[0])
        if reason is not None:
            given = words.get("description_placeholders")
            own[reason] = keys_of(given) if given else set()
    aborts = TEXTS["config"]["abort"]
    assert set(aborts) == set(own) | ABORTED_BY_HOME_ASSISTANT
    for reason, text in aborts.items():
        assert placeholders(text) == own.get(reason, set()), reason


def test_discovery_title() -> None:
    """A discovered meter is offered by its address."""
    assert placeholders(TEXTS["config"]["flow_title"]) == {"name"}


# Actions

ACTIONS: Final = load_yaml(FOLDER / "services.yaml")


def test_actions() -> None:
    """Each action has its texts, its icon and its form, and nothing else has."""
    assert isinstance(ACTIONS, dict)
    names = set(services.ACTIONS)
    assert set(TEXTS["services"]) == set(ICONS["services"]) == set(ACTIONS) == names
    assert all(set(icon) == {"service"} for icon in ICONS["services"].values())


@pytest.mark.parametrize("name", list(services.ACTIONS))
def test_action_fields(name: str) -> None:
    """Each field of an action has a name, an explanation and a selector; the defaults agree."""
    assert isinstance(ACTIONS, dict)
    form, texts = ACTIONS[name], TEXTS["services"][name]
    schema = {str(key): key for key in services.ACTIONS[name].fields}
    assert form["target"] == {"device": [{"integration": DOMAIN}]}
    assert set(form["fields"]) == set(texts["fields"]) == {"config_entry_id", *schema}
    assert texts["name"]
    assert texts["description"].endswith(".")
    for field, text in texts["fields"].items():
        assert set(text) == {"name", "description"}
        (selector,) = form["fields"][field]["selector"]
        assert selector in ("config_entry", "boolean", "text")
    for field, key in schema.items():
        assert form["fields"][field].get("required", False) is isinstance(key, vol.Required)
        default = None if key.default is vol.UNDEFINED else key.default()
        assert form["fields"][field].get("default") is default


# Triggers and conditions

FORMS: Final = {
    "triggers": load_yaml(FOLDER / "triggers.yaml"),
    "conditions": load_yaml(FOLDER / "conditions.yaml"),
}
BEHAVIOR_FIELD: Final = {vol.Required("behavior", default="any"): str}
FIELDS: Final[dict[tuple[str, str], dict[vol.Marker, Any]]] = {
    **{("triggers", name): limit.ALARM_FIELDS for name in trigger.TRIGGERS},
    ("conditions", "is_over_limit"): BEHAVIOR_FIELD | limit.LIMIT_FIELDS,
    ("conditions", "is_measuring"): BEHAVIOR_FIELD,
}
# What the forms choose from.
CHOICES: Final = {
    "quantity": set(LEVEL_KEYS),
    "direction": {direction.value for direction in Direction},
    "weekday": set(WEEKDAYS),
}


def form_of(kind: str, name: str) -> dict[str, Any]:
    """Return the form of a trigger or condition."""
    forms = FORMS[kind]
    assert isinstance(forms, dict)
    form: dict[str, Any] = forms[name]
    return form


@pytest.mark.parametrize(
    ("kind", "names"),
    [("triggers", trigger.TRIGGERS), ("conditions", condition.CONDITIONS)],
    ids=["triggers", "conditions"],
)
def test_automation_elements(kind: str, names: dict[str, Any]) -> None:
    """Each trigger and condition has its texts, its icon and its form, and nothing else has."""
    forms = FORMS[kind]
    assert isinstance(forms, dict)
    shown = {name for name in forms if not name.startswith(".")}
    assert set(TEXTS[kind]) == set(ICONS[kind]) == shown == set(names)
    assert all(set(icon) == {kind.removesuffix("s")} for icon in ICONS[kind].values())


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=lambda part: part)
def test_automation_fields(kind: str, name: str) -> None:
    """Each field has a name, an explanation and a selector; what the form fills in is valid."""
    form, texts = form_of(kind, name), TEXTS[kind][name]
    schema = {str(key): key for key in FIELDS[kind, name]}
    assert all(part["integration"] == DOMAIN for part in form["target"]["entity"])
    assert set(form["fields"]) == set(texts["fields"]) == set(schema)
    assert texts["name"]
    assert texts["description"].endswith(".")
    assert all(set(text) == {"name", "description"} for text in texts["fields"].values())
    filled = {
        field: shown["default"] for field, shown in form["fields"].items() if "default" in shown
    }
    validated = vol.Schema(FIELDS[kind, name])(filled)
    for field, key in schema.items():
        required = form["fields"][field].get("required", False)
        assert required is isinstance(key, vol.Required), field
        if key.default is not vol.UNDEFINED and field in filled:
            by_default = vol.Schema({key: FIELDS[kind, name][key]})({})
            assert validated[field] == by_default[field], field


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=lambda part: part)
def test_choices(kind: str, name: str) -> None:
    """Everything that is valid can be chosen, and each choice has a text."""
    for field, shown in form_of(kind, name)["fields"].items():
        ((selector, details),) = shown["selector"].items()
        if selector == "select":
            texts = TEXTS["selector"][details["translation_key"]]["options"]
            assert set(details["options"]) == set(texts) == CHOICES[field]
        elif selector == "choose":
            texts = TEXTS["selector"][details["translation_key"]]["choices"]
            assert set(details["choices"]) == set(texts) == {"number", "entity"}


def test_no_selector_too_many() -> None:
    """Each text of a choice is the text of one that is offered."""
    assert set(TEXTS["selector"]) == set(CHOICES) | {"limit"}


def test_events() -> None:
    """Each type of the event has a text."""
    texts = TEXTS["entity"]["event"]["exceedance"]["state_attributes"]["event_type"]["state"]
    assert set(texts) == set(event.EXCEEDANCE.event_types or ())


# The browser's part

SCRIPT: Final = "".join(path.read_text("utf-8") for path in (FOLDER / "frontend").glob("*.js"))


def test_texts_of_the_card() -> None:
    """Each text of the live card is used, and each that is used is there."""
    words = set(re.findall(r"\w+", SCRIPT))
    states = {f"is_{state.value}" for state in ConnectionState} | {*MeasurementState}
    texts = {key.removeprefix("card_") for key in TEXTS["common"] if key.startswith("card_")}
    options = {f"option_{name}" for name in re.findall(r'name: "(\w+)",\s', SCRIPT)}
    assert texts <= words | states | options
    assert set(re.findall(r'_text\("(\w+)"', SCRIPT)) <= texts
    assert options <= texts
    assert states - {"is_connected"} <= texts


def test_texts_of_the_dashboard() -> None:
    """Each text of the dashboard is used, and each that is used is there."""
    common = TEXTS["common"]
    texts = {key.removeprefix("dashboard_") for key in common if key.startswith("dashboard_")}
    used = set(re.findall(r'\bsay\("(\w+)"', SCRIPT))
    schema = (FOLDER / "frontend/strategy-editor.js").read_text("utf-8")
    options = {f"option_{name}" for name in re.findall(r'field\("(\w+)"', schema)}
    assert texts == used | options | {f"{option}_help" for option in options}


# Repairs


def test_every_issue_has_texts() -> None:
    """Each issue has its texts, as Home Assistant has them: a description, or a form that mends."""
    assert set(TEXTS["issues"]) == {issue.key for issue in repairs.ISSUES}
    for issue in repairs.ISSUES:
        assert set(TEXTS["issues"][issue.key]) == {
            "title",
            "fix_flow" if issue.flow else "description",
        }


@pytest.mark.parametrize("issue", repairs.ISSUES, ids=lambda issue: issue.key)
def test_issue_placeholders(issue: repairs.Issue) -> None:
    """The texts of an issue name the meter, and leave open only what is given."""
    given = {"meter", *issue.placeholders_fn(Mock(data=NOTHING_KNOWN))}
    texts = TEXTS["issues"][issue.key]
    assert placeholders(texts["title"]) == {"meter"}
    if issue.flow is None:
        assert placeholders(texts["description"]) == given
        return
    flow = texts["fix_flow"]
    for step in flow["step"].values():
        assert step["title"]
        assert placeholders(step["description"]) == given
    for text in flow["error"].values():
        assert {"meter"} <= placeholders(text) <= given | {"error"}
    assert placeholders(flow["abort"]["not_loaded"]) == {"meter"}


@pytest.mark.parametrize(
    "issue", [issue for issue in repairs.ISSUES if issue.flow], ids=lambda issue: issue.key
)
def test_fix_flow_has_texts(issue: repairs.Issue) -> None:
    """Each form, field, error and end of a flow that mends has its text, and nothing else has."""
    assert issue.flow
    flow = issue.flow(issue, Mock())
    assert isinstance(flow, repairs.FixFlow)
    texts = TEXTS["issues"][issue.key]["fix_flow"]
    (step,) = texts["step"].values()
    assert set(texts["step"]) == {flow.step_id}
    fields = {str(key) for key in flow.schema.schema}
    assert set(step.get("data", {})) == set(step.get("data_description", {})) == fields
    assert set(texts["error"]) == (
        {"ftp_unreachable", "ftp_login", "ftp_failed"}
        if isinstance(flow, repairs.LoginFlow)
        else {*repairs.COMMAND_ERRORS.values()}
    )
    aborts = {constant(words["reason"]) for _, words in calls("repairs.py") if "reason" in words}
    assert set(texts["abort"]) == aborts


def test_every_failed_command_is_explained() -> None:
    """Each error that a command of a fix flow can end in has its text in the form."""
    by_kind = {key for kind, key in errors._KEYS.items() if not issubclass(kind, FtpError)}
    (explain,) = (
        node
        for node in ast.walk(SOURCES["control.py"])
        if isinstance(node, ast.FunctionDef) and node.name == "_explanation"
    )
    by_state = {constant(node) for node in ast.walk(explain)} & TEXTS["exceptions"].keys()
    otherwise = {"standby", "not_done", "not_taken"}
    assert set(repairs.COMMAND_ERRORS) == by_kind | by_state | otherwise


# Exceptions


def test_errors_of_the_meter_have_texts() -> None:
    """Each error that set-up can end in says what to do and at which address."""
    for key in {key for kind, key in errors._KEYS.items() if not issubclass(kind, FtpError)}:
        text = TEXTS["exceptions"][key]["message"]
        assert {"host", "port"} <= placeholders(text) <= ALWAYS_GIVEN | {"error"}, key


def raised() -> Iterator[tuple[str, set[str]]]:
    """Return the keys of errors about a meter that stand in the sources, with what they give."""
    for call, words in calls():
        name = call.func.id if isinstance(call.func, ast.Name) else None
        if name in {"translated", "refused"} and (key := constant(call.args[1])) is not None:
            yield key, ALWAYS_GIVEN | words.keys()


def test_errors_about_a_meter_have_texts() -> None:
    """Each error that is raised by its key has its text and gives what that leaves open."""
    found = list(raised())
    assert len(found) > 5
    for key, given in found:
        assert placeholders(TEXTS["exceptions"][key]["message"]) <= given, key


def test_exceptions_in_the_code_have_texts() -> None:
    """Each error that is raised by its key has its text and gives what that leaves open."""
    for call, words in calls():
        if (
            "translation_domain" not in words
            or (key := constant(words.get("translation_key"))) is None
        ):
            continue
        given = words.get("translation_placeholders")
        text = TEXTS["exceptions"][key]["message"]
        if given is None or isinstance(given, ast.Dict):
            assert placeholders(text) == (keys_of(given) if given else set()), ast.dump(call)


def test_no_exception_too_many() -> None:
    """Each text for an error is the text of one that is raised."""
    assert set(TEXTS["exceptions"]) <= constants()


# Style


@pytest.mark.parametrize(("path", "text"), ALL_TEXTS, ids=[".".join(path) for path, _ in ALL_TEXTS])
def test_style(path: tuple[str, ...], text: str) -> None:
    """Home Assistant's rules for texts, and ours."""
    assert text == text.strip()
    assert text
    assert "  " not in text
    assert not re.search(r"[–—…“”‘’]|<[^>]*>|\w://|\[%key:|'\{\w+\}'", text)  # noqa: RUF001 - meant
    for key in path:
        assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*[a-z0-9]", key), key
    is_prose = path[-1] in ("description", "message") or {
        "data_description",
        "error",
        "abort",
    } & set(path[:-1])
    assert text.endswith(".") == bool(is_prose)
    assert text[0].isupper() or text[0].isdigit() or text[0] == "{"


# The integration's other files


def test_manifest() -> None:
    """Home Assistant's order of keys: domain, name, then by the alphabet; and what it must have."""
    keys = list(MANIFEST)
    assert keys == ["domain", "name", *sorted(keys[2:])]
    assert MANIFEST["domain"] == DOMAIN == FOLDER.name
    assert MANIFEST["name"] == TEXTS["title"]
    assert MANIFEST["config_flow"] is True
    pinned = (FOLDER.parents[1] / "requirements_test.txt").read_text()
    for requirement in MANIFEST["requirements"]:
        assert f"\n{requirement.partition('>=')[0]}==" in pinned
    assert re.fullmatch(r"\d+\.\d+\.\d+", MANIFEST["version"])
    for link in ("documentation", "issue_tracker"):
        assert MANIFEST[link].startswith("https://")
    assert all(owner.startswith("@") for owner in MANIFEST["codeowners"])
    assert MANIFEST["dhcp"] == [{"macaddress": "001050*"}, {"registered_devices": True}]


def test_manifest_names_what_is_used() -> None:
    """A component of Home Assistant that is imported is a platform, its helper, or a dependency."""
    declared = {*MANIFEST["dependencies"], *MANIFEST.get("after_dependencies", ())}
    # What is an entity's platform, or always there, Home Assistant lets everybody use.
    offered = {*Platform, "persistent_notification", *(Path(name).stem for name in SOURCES)}
    for name, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                used = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                used = [alias.name for alias in node.names]
            else:
                continue
            for module in used:
                if module.startswith("homeassistant.components."):
                    assert module.split(".")[2] in declared | offered, f"{name}: {module}"


# As in every integration of Home Assistant 2026.10.
RULES: Final = {
    "bronze": """
        action-setup appropriate-polling brands common-modules config-flow-test-coverage
        config-flow dependency-transparency docs-actions docs-conditions
        docs-high-level-description docs-installation-instructions docs-removal-instructions
        docs-triggers entity-event-setup entity-unique-id has-entity-name runtime-data
        test-before-configure test-before-setup unique-config-entry
    """,
    "silver": """
        action-exceptions config-entry-unloading docs-configuration-parameters
        docs-installation-parameters entity-unavailable integration-owner log-when-unavailable
        parallel-updates reauthentication-flow test-coverage
    """,
    "gold": """
        devices diagnostics discovery-update-info discovery docs-data-update docs-examples
        docs-known-limitations docs-supported-devices docs-supported-functions
        docs-troubleshooting docs-use-cases dynamic-devices entity-category entity-device-class
        entity-disabled-by-default entity-translations exception-translations icon-translations
        reconfiguration-flow repair-issues stale-devices
    """,
    "platinum": "async-dependency inject-websession strict-typing",
}


def test_quality_scale() -> None:
    """Each rule is answered for; what is not simply done says why."""
    scale = load_yaml(FOLDER / "quality_scale.yaml")
    assert isinstance(scale, dict)
    rules = scale["rules"]
    assert list(rules) == [rule for tier in RULES.values() for rule in tier.split()]
    for rule, answer in rules.items():
        status = answer if isinstance(answer, str) else answer["status"]
        assert status in ("done", "todo", "exempt"), rule
        if status != "done":
            assert answer["comment"].strip().endswith("."), rule
