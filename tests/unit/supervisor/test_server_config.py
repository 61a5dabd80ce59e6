# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration precedence of the stand-in (facts/rke2.md 4.5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.supervisor import config
from lab.supervisor.distro import K3S, RKE2


def write(directory: Path, main: str, **parts: str) -> Path:
    path = directory / "config.yaml"
    path.write_text(main)
    (directory / "config.yaml.d").mkdir()
    for name, text in parts.items():
        (directory / "config.yaml.d" / f"{name}.yaml").write_text(text)
    return path


def test_later_files_win_and_plus_appends(tmp_path: Path) -> None:
    path = write(tmp_path, "token: a\ntls-san: [one]\n", x10="token: b\ntls-san+: [two]\n", x20="token: c\n")
    merged = config.merge(RKE2, "server", [], config.read_files(path), {})
    assert (merged.token, merged.all("tls-san")) == ("c", ("one", "two"))


def test_command_line_over_files_over_environment(tmp_path: Path) -> None:
    files = config.read_files(write(tmp_path, "token: file\ncluster-reset: false\n"))
    env = {"RKE2_TOKEN": "env", "RKE2_NODE_NAME": "from-env"}
    merged = config.merge(RKE2, "server", ["--token=cli", "--cluster-reset"], files, env)
    assert (merged.token, merged.node_name, merged.flag("cluster-reset")) == ("cli", "from-env", True)


def test_an_empty_server_on_the_command_line_overrides_the_file(tmp_path: Path) -> None:
    files = config.read_files(write(tmp_path, "server: https://10.89.0.11:9345\n"))
    assert config.merge(RKE2, "server", ["--server="], files, {}).server == ""


def test_unknown_keys_warn_in_the_real_words(tmp_path: Path) -> None:
    files = config.read_files(write(tmp_path, "nonsense: 1\n"))
    assert config.merge(K3S, "server", [], files, {}).warnings == (
        "Unknown flag --nonsense found in config.yaml, skipping",)


def test_an_agent_does_not_know_the_servers_flags(tmp_path: Path) -> None:
    files = config.read_files(write(tmp_path, "cluster-init: true\nserver: https://n1:6443/\n"))
    merged = config.merge(K3S, "agent", [], files, {})
    assert (merged.server, len(merged.warnings)) == ("https://n1:6443", 1)


def test_unknown_flag_and_missing_value_are_usage_errors() -> None:
    with pytest.raises(config.UsageError, match="flag provided but not defined: -bogus"):
        config.merge(K3S, "server", ["--bogus"], {}, {})
    with pytest.raises(config.UsageError, match="needs an argument"):
        config.merge(K3S, "server", ["--token"], {}, {})


def test_config_flag_brings_the_directory_beside_that_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RKE2_TOKEN", raising=False)
    path = write(tmp_path, "token: a\n", x="etcd-s3: false\nnode-ip: 10.0.0.7,fd00::7\n")
    merged = config.load(RKE2, "server", [f"--config={path}", "-t", "b"])
    assert (merged.token, merged.node_ip, merged.flag("etcd-s3")) == ("b", "10.0.0.7", False)


def test_token_file_is_the_token_when_there_is_no_other(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("from-file\n")
    merged = config.merge(K3S, "server", [f"--token-file={tmp_path / 't'}"], {}, {})
    assert merged.token == "from-file"
