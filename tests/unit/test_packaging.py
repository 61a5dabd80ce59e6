# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository keeps the promises of a collection: versions, links, documentation, argument specs, no strays."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

import requorum

ROOT = Path(__file__).resolve().parents[2]
LINK = ".collections/ansible_collections/requorum/cluster"
PLUGIN_KINDS = ("callback", "connection", "filter", "inventory", "lookup", "modules", "test", "vars")
FORBIDDEN = re.compile(
    r"""(^|/)(\.venv|\.ansible|__pycache__|recoveries|node_modules)/
      | (^|/)(id_(rsa|ed25519)|kubeconfig|\.DS_Store)$
      | \.(py[co]|retry|orig|rej|swp|key|pem|whl|tar|tgz|tar\.gz)$""",
    re.VERBOSE,
)
MEBIBYTE = 1 << 20


def tracked() -> list[str]:
    """Paths that are or would be committed."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            check=True, capture_output=True, text=True).stdout
    return sorted(path for path in listed.split("\0") if path and (ROOT / path).exists())


TRACKED = tracked()
CODE = [path for path in TRACKED if path.endswith(".py")]
PLUGINS = [path for path in CODE if re.fullmatch(rf"plugins/({'|'.join(PLUGIN_KINDS)})/[^_]\w*\.py", path)]
ACTIONS = [path for path in CODE if re.fullmatch(r"plugins/action/[^_]\w*\.py", path)]
ROLES = sorted({path.split("/")[1] for path in TRACKED if path.startswith("roles/")})
PLAYBOOKS = [path for path in TRACKED if re.fullmatch(r"(playbooks/.+|recover)\.ya?ml", path)]


def load(path: str) -> Any:
    """A YAML file of the checkout; none at all reads as empty."""
    return yaml.safe_load((ROOT / path).read_text()) or {} if (ROOT / path).exists() else {}


def documents(path: str) -> dict[str, Any]:
    """DOCUMENTATION, EXAMPLES and RETURN of a plugin, read without importing it."""
    found = {}
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper():
            name = node.targets[0].id
            if name in ("DOCUMENTATION", "EXAMPLES", "RETURN"):
                found[name] = yaml.safe_load(ast.literal_eval(node.value))
    return found


def options(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every option at any depth."""
    for name, option in (spec.get("options") or {}).items():
        yield name, option
        yield from options(option)


def test_one_version_for_the_package_and_the_collection() -> None:
    galaxy = load("galaxy.yml")
    assert requorum.__version__ == version("requorum") == galaxy["version"]
    assert f"{galaxy['namespace']}.{galaxy['name']}" == "requorum.cluster"


def test_released_changes_are_not_newer_than_the_version() -> None:
    def numbers(text: str) -> list[int]:
        return [int(part) for part in text.split(".")]

    releases = load("changelogs/changelog.yaml")["releases"]
    assert all(numbers(release) <= numbers(load("galaxy.yml")["version"]) for release in releases)


def test_the_link_makes_the_checkout_a_collection() -> None:
    link = ROOT / LINK
    assert link.is_symlink()
    assert link.readlink() == Path("../../..")
    assert link.resolve() == ROOT


def test_no_forbidden_file_is_tracked() -> None:
    fixtures = "tests/fixtures/"
    assert [path for path in TRACKED if FORBIDDEN.search(path) and not path.startswith(fixtures)] == []
    assert [path for path in TRACKED if (ROOT / path).stat().st_size > MEBIBYTE and not path.startswith(fixtures)] == []


def test_no_private_key_is_tracked() -> None:
    marker = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}")
    assert [path for path in TRACKED if (ROOT / path).is_file() and marker.search((ROOT / path).read_bytes())] == []


@pytest.mark.parametrize("path", CODE)
def test_code_names_its_licence(path: str) -> None:
    assert (ROOT / path).read_text().startswith(
        "# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)\n"
        "# SPDX-License-Identifier: GPL-3.0-or-later\n"
    )


@pytest.mark.parametrize("path", PLUGINS)
def test_plugin_is_documented(path: str) -> None:
    _, kind, file = path.split("/")
    documentation = documents(path)["DOCUMENTATION"]
    assert documentation["module" if kind == "modules" else "name"].split(".")[-1] == file.removesuffix(".py")
    assert documentation["short_description"]
    assert documentation["description"]
    assert [name for name, option in options(documentation) if not option.get("description")] == []
    if kind == "modules":
        assert documents(path)["EXAMPLES"]
        assert "RETURN" in documents(path)
        assert documentation["author"]


@pytest.mark.parametrize("path", ACTIONS)
def test_action_has_a_documented_module_of_its_name(path: str) -> None:
    assert path.replace("/action/", "/modules/") in PLUGINS


@pytest.mark.parametrize("role", ROLES)
def test_role_is_documented(role: str) -> None:
    assert (ROOT / "roles" / role / "README.md").is_file()
    specs = load(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]
    assert specs["main"]["short_description"]
    for spec in specs.values():
        assert [name for name, option in options(spec) if not (option.get("description") and option.get("type"))] == []


@pytest.mark.parametrize("role", ROLES)
def test_role_has_a_default_for_every_option(role: str) -> None:
    """What must be given has none. A default that the specs tell is the one in force."""
    specs = load(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]
    told = {name: option for spec in specs.values() for name, option in (spec.get("options") or {}).items()}
    defaults = load(f"roles/{role}/defaults/main.yml")
    assert {name for name, option in told.items() if not option.get("required")} == set(defaults)
    assert {name: defaults[name] for name in defaults if "default" in told[name]} == {
        name: option["default"] for name, option in told.items() if "default" in option
    }


@pytest.mark.parametrize("path", PLAYBOOKS)
def test_playbook_can_be_run_by_its_full_name(path: str) -> None:
    """ansible-playbook does not find requorum.cluster.NAME if the name holds a hyphen."""
    assert re.fullmatch(r"[a-z0-9_]+\.yml", Path(path).name)
