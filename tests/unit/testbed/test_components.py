"""The table of components and the wrapper modules have to say the same."""

from __future__ import annotations

import re

import pytest

from testbed.install.components import (
    BY_NAME,
    COMPONENTS,
    FROM_ARCHIVES,
    GROUPS,
    NEWEST,
    QUEUES,
    Component,
    expand,
    parse_version,
)


@pytest.mark.parametrize("component", (*COMPONENTS, *NEWEST, *QUEUES), ids=lambda c: c.name)
def test_the_wrapper_module_pins_the_tabled_version_and_command(component: Component) -> None:
    text = (component.module_dir / "go.mod").read_text()
    tools = re.findall(r"^(?:tool |\t)(\S+)$", text, re.M)
    assert component.package in tools or component.own_sources
    pins = dict(re.findall(r"^\t(\S+) v(\S+?)(?: // indirect)?$", text, re.M))
    # The module is the longest required path that the package lies in.
    packages = tools if component.own_sources else [component.package]
    module = max((path for path in pins if any(f"{p}/".startswith(f"{path}/") for p in packages)), key=len)
    # Prometheus 3.x tags its Go module v0.3xx: 3.15.0 is v0.315.0.
    expected = "0.315.0" if component.module == "prometheus" else component.version
    assert pins[module] == expected
    assert (component.module_dir / "go.sum").stat().st_size > 0


def test_no_wrapper_module_is_unused() -> None:
    used = {component.module_dir for component in (*COMPONENTS, *NEWEST, *QUEUES, *FROM_ARCHIVES) if component.module}
    assert {path for path in COMPONENTS[0].module_dir.parent.iterdir() if path.is_dir()} == used


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("etcd Version: 3.6.16\nGit SHA: x\nGo Version: go1.26.8", "3.6.16"),
        ("Kubernetes v1.35.4", "1.35.4"),
        ("Client Version: v1.32.4-dispatcher\nKustomize Version: v5.5.0", "1.32.4"),
        ("prometheus, version 3.15.0 (branch: , revision: unknown)", "3.15.0"),
        ("kube-state-metrics, version v2.19.1 (branch: )", "2.19.1"),
        ("command not found", None),
    ],
)
def test_versions_are_read_from_what_binaries_print(text: str, version: str | None) -> None:
    assert parse_version(text) == version


def test_only_the_pinned_minor_version_is_accepted() -> None:
    kubectl = BY_NAME["kubectl"]
    assert kubectl.accepts("Client Version: v1.35.9")
    assert not kubectl.accepts("Client Version: v1.32.4-dispatcher")
    assert not kubectl.accepts("Client Version: v1.3.5")
    assert not kubectl.accepts("")


def test_groups_expand_in_build_order_without_duplicates() -> None:
    assert expand(["demo", "kubectl", "helm"]) == [
        *("etcd", "kube-apiserver", "kubectl", "prometheus", "promtool", "helm"),
    ]
    assert expand(["all"]) == [component.name for component in COMPONENTS]
    assert all(name in BY_NAME for names in GROUPS.values() for name in names)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown component 'etc'.*etcd"):
        expand(["etc"])
