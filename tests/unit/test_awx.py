# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWX as code: definitions against the modules' own options and AWX's rules, and against playbooks and variables."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2.sandbox
import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from tests.unit import awx_api, awx_collection

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "awx" / "definitions"
JSON = dict[str, Any]
MODULES = {
    "controller_execution_environments": "execution_environment",
    "controller_credential_types": "credential_type",
    "controller_credentials": "credential",
    "controller_projects": "project",
    "controller_inventories": "inventory",
    "controller_inventory_sources": "inventory_source",
    "controller_notifications": "notification_template",
    "controller_templates": "job_template",
    "controller_workflows": "workflow_job_template",
    "controller_schedules": "schedule",
}


class Loader(yaml.SafeLoader):
    """Reads Ansible's !unsafe as the text that it is."""


Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


def load(name: str) -> JSON:
    return dict(yaml.load((FOLDER / f"{name}.yml").read_text("utf-8"), Loader))


DEFINED: JSON = {}
for path in sorted(FOLDER.glob("*.yml")):
    DEFINED |= load(path.stem)
TEMPLATES: dict[str, JSON] = {each["name"]: each for each in DEFINED["controller_templates"]}
SURVEYS = {
    each["name"]: each["survey_spec"].get("spec", [])
    for each in DEFINED["controller_templates"] + DEFINED["controller_workflows"]
}
QUESTIONS = [(name, question) for name, spec in SURVEYS.items() for question in spec]
IDS = [f"{name}: {question['variable']}" for name, question in QUESTIONS]


@pytest.fixture(scope="module")
def environment() -> JSON:
    """What finds awx.awx and ansible's commands."""
    programs = str(Path(sys.executable).parent)
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith(("CONTROLLER_", "TOWER_"))},
        "ANSIBLE_COLLECTIONS_PATH": str(awx_collection.folder()),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "PATH": f"{programs}:{os.environ['PATH']}",
    }


@pytest.fixture(scope="module")
def options(environment: JSON) -> dict[str, JSON]:
    """The options of each module, as its documentation has them."""
    names = [f"awx.awx.{name}" for name in MODULES.values()]
    done = subprocess.run(
        ["ansible-doc", "-j", "-t", "module", *names], env=environment, capture_output=True, text=True, check=True
    )
    return {name.split(".")[-1]: each["doc"]["options"] for name, each in json.loads(done.stdout).items()}


def argument_spec(told: Mapping[str, JSON]) -> JSON:
    """Options of a documentation as the spec that a module checks its arguments by."""
    kept = ("type", "elements", "choices", "required", "aliases")
    return {
        name: {key: option[key] for key in kept if key in option}
        | ({"options": argument_spec(option["suboptions"])} if option.get("suboptions") else {})
        for name, option in told.items()
    }


def filled(value: Any) -> Any:
    """A definition with something in place of each template, of the type that it becomes."""
    if isinstance(value, dict):
        return {key: filled(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [filled(entry) for entry in value]
    if isinstance(value, str) and (match := re.fullmatch(r"\{\{ (requorum_awx_\w+) }}", value)):
        return DEFINED[match[1]]
    return value


@pytest.mark.parametrize("kind", MODULES)
def test_definitions_are_arguments_of_the_modules(kind: str, options: dict[str, JSON]) -> None:
    validator = ArgumentSpecValidator(argument_spec(options[MODULES[kind]]))
    assert DEFINED[kind]
    for definition in filled(DEFINED[kind]):
        assert validator.validate(definition).error_messages == [], definition["name"]


def test_all_that_is_defined_is_applied_and_removed() -> None:
    """Both playbooks read every file and name every list."""
    for playbook in ("apply", "remove"):
        [play] = yaml.safe_load((ROOT / "awx" / f"{playbook}.yml").read_text("utf-8"))
        assert sorted(play["vars_files"]) == sorted(f"definitions/{path.name}" for path in FOLDER.glob("*.yml"))
        looped = {match for task in play["tasks"] for match in re.findall(r"controller_\w+", str(task["loop"]))}
        gone = {"controller_inventory_sources"} if playbook == "remove" else set()  # they go with their inventory
        assert looped == set(MODULES) - gone
    assert {key for key in DEFINED if key.startswith("controller_")} == set(MODULES)


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_has_a_playbook_that_awx_finds(name: str) -> None:
    """AWX looks for hosts or import_playbook at the begin of a line, in folders that are no roles, tasks or dots."""
    template = TEMPLATES[name]
    text = (ROOT / template["playbook"]).read_text("utf-8")
    assert re.search(r"^\s*-?\s*(hosts|(ansible\.builtin\.)?import_playbook):", text, re.MULTILINE)
    assert template["allow_simultaneous"] is False
    assert template["use_fact_cache"] is False
    assert template["execution_environment"] == "Requorum"


def test_names_that_definitions_use_are_defined() -> None:
    names = {kind: {each["name"] for each in DEFINED[kind]} for kind in MODULES}
    for template in DEFINED["controller_templates"]:
        assert template["project"] in names["controller_projects"]
        assert template["inventory"] in names["controller_inventories"]
        assert template["execution_environment"] in names["controller_execution_environments"]
        assert set(template["credentials"]) <= names["controller_credentials"]
    for credential in DEFINED["controller_credentials"]:
        assert credential["credential_type"] in names["controller_credential_types"] | {"Machine"}
    for schedule in DEFINED["controller_schedules"]:
        assert schedule["unified_job_template"] in names["controller_templates"] | names["controller_workflows"]
        [spec] = [SURVEYS[schedule["unified_job_template"]]]
        assert not [q for q in spec if q["required"] and "default" not in q], "nobody answers a schedule's questions"
    for each in DEFINED["controller_templates"] + DEFINED["controller_workflows"]:
        used = [entry for key, entry in each.items() if key.startswith("notification_templates")]
        assert {name for entry in used for name in entry} <= names["controller_notifications"]


@pytest.mark.parametrize("workflow", DEFINED["controller_workflows"], ids=lambda each: str(each["name"]))
def test_workflow_holds_together(workflow: JSON) -> None:
    """Every node is there once, runs something that is defined, and is reached from the first one."""
    nodes = {node["identifier"]: node for node in workflow["workflow_nodes"]}
    assert len(nodes) == len(workflow["workflow_nodes"])
    ways = {
        name: [each["identifier"] for kind in node.get("related", {}).values() for each in kind]
        for name, node in nodes.items()
    }
    reached, rest = set[str](), [next(iter(nodes))]
    while rest:
        name = rest.pop()
        rest += [] if name in reached else ways[name]
        reached.add(name)
    assert reached == set(nodes)
    for node in nodes.values():
        runs = node["unified_job_template"]
        assert runs["type"] == "workflow_approval" or runs["name"] in TEMPLATES


def test_nothing_is_changed_before_an_approval() -> None:
    """Whatever asks for a confirmation in a workflow comes right after an approval, and is pinned to a plan."""
    workflow = next(each for each in DEFINED["controller_workflows"] if each["name"] == "Recover a cluster")
    nodes = {node["identifier"]: node for node in workflow["workflow_nodes"]}
    acting = [name for name, node in nodes.items() if "requorum_confirm" in asked(node["unified_job_template"]["name"])]
    assert acting == ["recover", "rollback"]
    for name in acting:
        [(before, kind)] = [
            (node, kind)
            for node in nodes.values()
            for kind, each in node.get("related", {}).items()
            if {"identifier": name} in each
        ]
        assert (before["unified_job_template"]["type"], kind) == ("workflow_approval", "success_nodes")
        assert "requorum_plan_id" in asked(nodes[name]["unified_job_template"]["name"])
    # Answers of a workflow win over what its jobs have found: it would unpin the plan.
    assert "requorum_plan_id" not in asked(workflow["name"])


def test_slices_of_a_fleet_hold_whole_clusters_and_are_put_together() -> None:
    """AWX slices hosts, and of this inventory a host is a cluster; only the last job of the workflow sees all rows."""
    sliced = [each for each in DEFINED["controller_templates"] if "job_slice_count" in each]
    assert [each["name"] for each in sliced] == ["Requorum fleet inspect"]
    [source] = [each for each in DEFINED["controller_inventory_sources"] if each["inventory"] == sliced[0]["inventory"]]
    assert DEFINED["requorum_awx_fleet_file"].endswith("requorum.yml")  # what the plugin takes
    assert source["source_path"] == "{{ requorum_awx_fleet_file }}" and source["execution_environment"] == "Requorum"
    assert sliced[0]["extra_vars"] == {"requorum_fleet_overview": False}
    merging = TEMPLATES["Requorum fleet overview"]
    assert merging["inventory"] == sliced[0]["inventory"] and "ask_inventory_on_launch" not in merging | sliced[0]
    workflow = next(each for each in DEFINED["controller_workflows"] if each["name"] == "Look at the fleet")
    first, last = workflow["workflow_nodes"]
    assert [node["unified_job_template"]["name"] for node in (first, last)] == [sliced[0]["name"], merging["name"]]
    assert first["related"] == {"always_nodes": [{"identifier": last["identifier"]}]}


def asked(template: str) -> list[str]:
    return [question["variable"] for question in SURVEYS.get(template, [])]


def documented() -> dict[str, str]:
    """Variables of docs/variables.md, each with its line."""
    text = (ROOT / "docs" / "variables.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `requorum_")]
    return {name: row for row in rows for name in re.findall(r"`(requorum_\w+)`", row.split("|")[1])}


VARIABLES = documented()


def reading(playbook: str) -> str:
    """A playbook with all that it imports, the roles that it uses and what plugins read by themselves."""
    texts, rest = [], [ROOT / playbook]
    while rest:
        text = rest.pop().read_text("utf-8")
        texts.append(text)
        rest += [ROOT / "playbooks" / name for name in re.findall(r"import_playbook: (?:playbooks/)?(\w+\.yml)", text)]
        for role in re.findall(r"(?:role|name): requorum\.cluster\.(\w+)", text):
            rest += sorted((ROOT / "roles" / role).rglob("*.yml"))
    own = ("plugins/plugin_utils/*.py", "plugins/action/*.py")
    return "\n".join(texts) + "\n".join(p.read_text("utf-8") for glob in own for p in ROOT.glob(glob))


@pytest.mark.parametrize(("name", "question"), QUESTIONS, ids=IDS)
def test_question_is_a_documented_variable_of_its_playbook(name: str, question: JSON) -> None:
    assert question["variable"] in VARIABLES
    if name in TEMPLATES:
        text = reading(TEMPLATES[name]["playbook"])
        assert question["variable"] in text or f'"{question["variable"].removeprefix("requorum_")}"' in text


@pytest.mark.parametrize(("name", "question"), QUESTIONS, ids=IDS)
def test_awx_takes_the_question(name: str, question: JSON) -> None:
    """Its own rules: fields, limits, a default of the right type and among the choices."""
    kinds = {"text": str, "textarea": str, "multiplechoice": str, "multiselect": list, "integer": int}
    assert question["question_name"] and question["question_description"]
    assert isinstance(question["required"], bool)
    default = question.get("default", kinds[question["type"]]())
    assert isinstance(default, kinds[question["type"]])
    chosen = default if isinstance(default, list) else [default]
    if question["type"] in ("multiplechoice", "multiselect"):
        assert all(isinstance(choice, str) for choice in question["choices"])
        assert set(chosen) <= set(question["choices"])
    else:
        assert isinstance(question["max"], int)
    if question["type"] == "integer":
        assert question["min"] <= default <= question["max"]
    # An optional question with limits would refuse to be left empty, and one of a fixed set has no empty answer.
    assert question["required"] or "min" not in question
    assert question["required"] or question["type"] in ("text", "textarea", "multiselect")


@pytest.mark.parametrize(("name", "question"), QUESTIONS, ids=IDS)
def test_default_is_that_of_the_variable(name: str, question: JSON) -> None:
    """What the form shows is what is done without it."""
    told = VARIABLES[question["variable"]].split("|")[2]
    default = question.get("default", "")
    if default in ("", []):
        assert "empty" in told or "`[]`" in told or "`{}`" in told or question["required"]
    else:
        assert re.search(rf"\b{default}\b", told.rsplit(";" if ";" in told else ",", 1)[-1]), told


def test_the_same_variable_is_asked_in_the_same_way() -> None:
    kinds: dict[str, set[str]] = {}
    for _name, question in QUESTIONS:
        kinds.setdefault(question["variable"], set()).add(question["type"])
    assert {name: each for name, each in kinds.items() if len(each) > 1} == {}


NOT_ASKED = {
    "requorum_cluster": "stands in the inventory; its name is typed as requorum_confirm",
    "requorum_output": "stands in the inventory: where it is mounted",
    "requorum_distro": "stands in the inventory",
    "requorum_data_dir": "stands in the inventory",
    "requorum_timeouts": "stands in the inventory",
    "requorum_token_file": "a credential",
    "requorum_kubeconfig": "a credential",
    "requorum_releases": "a file beside the inventory",
    "requorum_ca_days": "of playbooks/rotate_ca.yml, which has no template",
    "requorum_defragment_mb": "of playbooks/repair.yml, which has no template",
    "requorum_compare": "asked by Requorum verify",
    "requorum_pace": "for tests",
    "requorum_hook": "of playbooks/upgrade_nudge.yml, which has no template",
    "requorum_node": "of playbooks/upgrade_nudge.yml, which has no template",
}
SECTIONS = {
    "For every run": "Requorum recover",
    "For work on single hosts": "Requorum rejoin",
    "Backups": "Requorum backup",
    "Certificates": "Requorum rotate certificates",
    "Repairs and rollback": "Requorum rollback",
    "Pre-check of an upgrade": "Requorum precheck",
    "Upgrade of a Harvester": "Requorum upgrade",
    "Bundles of Fleet": "Requorum force sync",
}


@pytest.mark.parametrize(("section", "template"), SECTIONS.items())
def test_every_variable_that_a_user_needs_is_asked(section: str, template: str) -> None:
    """Each row of the table of docs/variables.md: the survey has it, or it has a place of its own."""
    text = (ROOT / "docs" / "variables.md").read_text("utf-8")
    table = text.split(f"## {section}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `requorum_")]
    every = {name for row in rows for name in re.findall(r"`(requorum_\w+)`", row)}
    assert every - set(NOT_ASKED) <= set(asked(template))


def test_plan_recovery_and_workflow_ask_the_same() -> None:
    recover = set(asked("Requorum recover"))
    assert set(asked("Requorum plan")) == recover - {"requorum_confirm", "requorum_plan_id"}
    assert set(asked("Recover a cluster")) == recover - {"requorum_plan_id"}


@pytest.mark.parametrize("kind", DEFINED["controller_credential_types"], ids=lambda each: str(each["name"]))
def test_secrets_are_injected_as_files_only(kind: JSON) -> None:
    """Each secret is in one file; what a job sees is its path, and nothing where the field was left empty."""
    fields = [field["id"] for field in kind["inputs"]["fields"]]
    assert all(field["secret"] for field in kind["inputs"]["fields"])
    assert kind["injectors"].keys() == {"file", "extra_vars"}
    box = jinja2.sandbox.ImmutableSandboxedEnvironment()
    paths = {field: f"/runner/env/{field}" for field in fields}
    secrets = {field: f"secret-{field}" for field in fields}
    tower = {"filename": paths}
    for field, (variable, template) in zip(fields, kind["injectors"]["extra_vars"].items(), strict=True):
        assert variable in VARIABLES
        assert box.from_string(kind["injectors"]["file"][f"template.{field}"]).render(**secrets) == secrets[field]
        assert box.from_string(template).render(tower=tower, **secrets).strip() == paths[field]
        assert box.from_string(template).render(tower=tower).strip() == ""


@pytest.mark.parametrize("event", ["started", "success", "error"])
def test_notification_is_json_with_what_a_job_found(event: str) -> None:
    """AWX renders it once with a job that has no artifacts, when it is saved; undefined fields are refused then."""
    [told] = DEFINED["controller_notifications"]
    box = jinja2.sandbox.ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)
    template = box.from_string(told["messages"][event]["body"])
    job = {"name": 'a "job"', "job_explanation": "", "artifacts": {}}
    json.loads(template.render(job=job, url="https://awx/#/jobs/1"))
    verdict = {"requorum_told_plan": {"verdict": 'says "reset"'}}
    document = json.loads(template.render(job=job | {"artifacts": verdict}, url="https://awx/#/jobs/1"))
    assert event == "started" or document["artifacts"] == verdict
    for body in told["messages"]["workflow_approval"].values():
        json.loads(box.from_string(body["body"]).render(approval_node_name='"?"', workflow_url="https://awx"))


@pytest.fixture(scope="module")
def api() -> Iterator[tuple[awx_api.Api, str]]:
    with awx_api.serving() as served:
        yield served


@pytest.fixture
def play(api: tuple[awx_api.Api, str], environment: JSON, tmp_path: Path) -> Callable[..., int]:
    """Run a playbook of awx/: how much it has changed."""
    awx, url = api
    key = tmp_path / "key"
    key.write_text("the-ssh-key\n")

    def play(name: str, *options: str) -> int:
        awx.calls.clear()
        done = subprocess.run(
            ["ansible-playbook", f"awx/{name}.yml", "-e", f"requorum_awx_ssh_key_file={key}", *options],
            cwd=ROOT, capture_output=True, text=True,
            env=environment | {"CONTROLLER_HOST": url, "CONTROLLER_OAUTH_TOKEN": awx_api.TOKEN, "ANSIBLE_NOCOLOR": "1"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "the-ssh-key" not in done.stdout + done.stderr
        return int(re.findall(r"changed=(\d+)", done.stdout)[-1])

    return play


def test_apply(api: tuple[awx_api.Api, str], play: Callable[..., int]) -> None:
    awx, _url = api
    assert play("apply") > 0
    for kind, module in MODULES.items():
        plural = f"{module.removesuffix('y')}ies" if module.endswith("y") else f"{module}s"
        if kind != "controller_credential_types":
            assert awx.names(plural) == sorted(each["name"] for each in DEFINED[kind]), kind
    machine = next(each for each in awx.kinds["credentials"].values() if each["name"] == "Requorum SSH")
    assert machine["inputs"]["ssh_key_data"] == "the-ssh-key"
    nodes = awx.kinds["workflow_job_template_nodes"]
    assert len(nodes) == sum(len(each["workflow_nodes"]) for each in DEFINED["controller_workflows"])
    assert all(node["unified_job_template"] for node in nodes.values())


@pytest.mark.slow
def test_apply_twice_and_remove(api: tuple[awx_api.Api, str], play: Callable[..., int]) -> None:
    """The second run changes nothing, a definition that was changed in AWX is put right, and all goes again."""
    awx, _url = api
    play("apply")
    assert play("apply") == 0
    assert awx.calls == []

    schedule = next(iter(awx.kinds["schedules"].values()))
    was, schedule["rrule"] = schedule["rrule"], "DTSTART;TZID=Etc/UTC:20260101T001700 RRULE:FREQ=YEARLY;INTERVAL=1"
    assert play("apply", "--start-at-task", "Apply schedules") == 1
    assert schedule["rrule"] == was

    assert play("remove") > 0
    left = {kind: awx.names(kind) for kind, each in awx.kinds.items() if each and "node" not in kind}
    sources = left.pop("inventory_sources")  # AWX takes them away with their inventory
    assert sources == ["Requorum file", "Requorum fleet file"]
    assert left == {"organizations": ["Default"], "instance_groups": ["default"], "credential_types": ["Machine"]}
