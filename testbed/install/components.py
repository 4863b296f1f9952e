"""The pinned components of the test bed: command, module, version and build flags.

One table, so that a version changes in one place (here and in `modules/<name>/go.mod`; a unit test keeps the two
consistent).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from testbed.install.archives import Archive, given

MODULES_DIR = Path(__file__).resolve().parents[1] / "modules"

KUBERNETES_VERSION = "1.35.4"


def _kubernetes_ldflags(version: str) -> tuple[str, ...]:
    """Version stamps of a Kubernetes binary: without them a server reports v0.0.0 and fails a chart's kubeVersion."""
    major, minor, _ = version.split(".")
    stamps = []
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        stamps += [
            f"-X {package}.gitVersion=v{version}",
            f"-X {package}.gitMajor={major}",
            f"-X {package}.gitMinor={minor}",
        ]
    return tuple(stamps)


@dataclass(frozen=True, slots=True)
class Component:
    """One binary.

    `module` is the directory below `modules/` with its go.mod and go.sum; `package` the upstream command; `version` the
    version the binary reports; `version_command` the arguments that print that version (empty: it cannot print it, so a
    binary on PATH is never used); `cache_gb` the build cache in GB that it needs in addition to the components before
    it, `seconds` the duration of a cold build on two cores (both are only used for messages and checks). `archive`
    contains the sources of a component that has no module here; if `package` begins with `./`, its sources are below
    `module`, if there is one. With both, they are added to those of the archive.
    """

    name: str
    module: str
    package: str
    version: str
    version_command: tuple[str, ...]
    cache_gb: float
    seconds: int
    ldflags: tuple[str, ...] = ()
    tags: str = ""
    archive: Archive | None = None

    @property
    def module_dir(self) -> Path:
        return MODULES_DIR / self.module

    @property
    def minor(self) -> str:
        """Major and minor version, which must match for a binary on PATH to be used."""
        return ".".join(self.version.split(".")[:2])

    @property
    def own_sources(self) -> list[Path]:
        """The Go files of a command that is part of this project."""
        own = bool(self.module) and self.package.startswith("./")
        return sorted((self.module_dir / self.package).glob("*.go")) if own else []

    def accepts(self, version_output: str) -> bool:
        """Whether the reported version has the pinned minor version."""
        version = parse_version(version_output)
        return version is not None and ".".join(version.split(".")[:2]) == self.minor


def parse_version(text: str) -> str | None:
    """The first `major.minor.patch` in the version output of a binary; None if there is none."""
    match = re.search(r"\bv?(\d+\.\d+\.\d+)", text)
    return match.group(1) if match else None


def _kubernetes(name: str, version_command: tuple[str, ...], cache_gb: float, seconds: int) -> Component:
    return Component(
        name=name,
        module=name,
        package=f"k8s.io/kubernetes/cmd/{name}",
        version=KUBERNETES_VERSION,
        version_command=version_command,
        cache_gb=cache_gb,
        seconds=seconds,
        ldflags=_kubernetes_ldflags(KUBERNETES_VERSION),
    )


def _prometheus(name: str, cache_gb: float, seconds: int) -> Component:
    return Component(
        name=name,
        module="prometheus",
        package=f"github.com/prometheus/prometheus/cmd/{name}",
        version="3.15.0",
        version_command=("--version",),
        cache_gb=cache_gb,
        seconds=seconds,
        ldflags=("-X github.com/prometheus/common/version.Version=3.15.0",),
        # Service discovery links the client libraries of all clouds; the test bed only needs static targets.
        tags="remove_all_sd",
    )


_HELM = "helm.sh/helm/v3"

# In build order: the demo and most tests need only the first five.
COMPONENTS: tuple[Component, ...] = (
    Component("etcd", "etcd", "go.etcd.io/etcd/server/v3", "3.6.16", ("--version",), 0.6, 25),
    _kubernetes("kube-apiserver", ("--version",), 2.2, 240),
    _kubernetes("kubectl", ("version", "--client"), 0.5, 30),
    _prometheus("prometheus", 1.6, 110),
    _prometheus("promtool", 0.3, 20),
    # Writes histories of millions of series (benchmarks/scale/fleet.py); promtool loads all others.
    Component("history-load", "prometheus", "./load", "3.15.0", (), 0.1, 20, tags="remove_all_sd"),
    _kubernetes("kube-controller-manager", ("--version",), 0.7, 45),
    _kubernetes("kube-scheduler", ("--version",), 0.4, 30),
    Component("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok", "0.8.0", ("--version",), 0.8, 70),
    Component(
        "kube-state-metrics",
        "kube-state-metrics",
        "k8s.io/kube-state-metrics/v2",
        "2.19.1",
        ("version",),
        0.8,
        60,
        ldflags=("-X github.com/prometheus/common/version.Version=v2.19.1",),
    ),
    Component(
        "helm",
        "helm",
        f"{_HELM}/cmd/helm",
        "3.22.0",
        ("version", "--short"),
        0.8,
        90,
        ldflags=(
            f"-X {_HELM}/internal/version.version=v3.22.0",
            # The cluster version of `helm template`; Helm's default is far too old for a chart.
            f"-X {_HELM}/pkg/chartutil.k8sVersionMajor=1",
            f"-X {_HELM}/pkg/chartutil.k8sVersionMinor=35",
            f"-X {_HELM}/pkg/lint/rules.k8sVersionMajor=1",
            f"-X {_HELM}/pkg/lint/rules.k8sVersionMinor=35",
        ),
    ),
    Component(
        "argo-workflow-controller",
        "argo-workflow-controller",
        "github.com/argoproj/argo-workflows/v3/cmd/workflow-controller",
        "3.7.3",
        ("version",),
        2.0,
        160,
        ldflags=("-X github.com/argoproj/argo-workflows/v3.version=v3.7.3",),
    ),
    # What `argo retry` does to a Workflow, with its own functions.
    Component("argo-retry", "argo-workflow-controller", "./retry", "3.7.3", (), 0.1, 20),
    Component(
        "tekton-controller",
        "tekton-controller",
        "github.com/tektoncd/pipeline/cmd/controller",
        "1.15.0",
        (),
        2.0,
        150,
    ),
    Component("jobset-controller", "jobset-controller", "sigs.k8s.io/jobset", "0.11.0", (), 0.8, 90),
    Component(
        "kuberay-operator", "kuberay-operator", "github.com/ray-project/kuberay/ray-operator", "1.6.0", (), 0.9, 120
    ),
    # For one test each: installation of the plugin, and login in front of the dashboard.
    Component(
        "krew",
        "krew",
        "sigs.k8s.io/krew/cmd/krew",
        "0.5.0",
        ("version",),
        0.4,
        40,
        ldflags=("-X sigs.k8s.io/krew/internal/version.gitTag=v0.5.0",),
    ),
    Component(
        "oauth2-proxy",
        "oauth2-proxy",
        "github.com/oauth2-proxy/oauth2-proxy/v7",
        "7.15.2",
        ("--version",),
        0.7,
        80,
        ldflags=("-X github.com/oauth2-proxy/oauth2-proxy/v7/pkg/version.VERSION=v7.15.2",),
    ),
)

# Only in a bed with the newest engines: Tekton's webhook, and the newest JobSet. The table above has the newest Tekton
# release that the Go module proxy serves.
NEWEST: tuple[Component, ...] = (
    Component("tekton-webhook", "tekton-webhook", "github.com/tektoncd/pipeline/cmd/webhook", "1.15.0", (), 1.2, 120),
    Component("jobset-controller-newest", "jobset-newest", "sigs.k8s.io/jobset", "0.12.0", (), 0.9, 100),
)

# Only for the benchmark of queues (benchmarks/queues), which no tier of tests runs.
QUEUES: tuple[Component, ...] = (
    Component("kueue-controller", "kueue-controller", "sigs.k8s.io/kueue/cmd/kueue", "0.17.0", (), 2.0, 240),
)

ARGO_V4 = "argo-workflow-controller-v4"
ARGO_VERSIONS = {"v3": "argo-workflow-controller", "v4": ARGO_V4}
ARGO_RETRY = {"argo-workflow-controller": "argo-retry", ARGO_V4: "argo-retry-v4"}
_ARGO_ARCHIVE = Archive(
    "ARGO_V4_ARCHIVE",
    "9d599d59d674bf19abbd56db6a5c35e8bf2c136fc02498b04f18bd0525f7009a",
    "the source archive of tag v4.1.2 of https://github.com/argoproj/argo-workflows",
)

# Not part of any group, because these archives are optional.
FROM_ARCHIVES: tuple[Component, ...] = (
    Component(
        ARGO_V4,
        "",
        "./cmd/workflow-controller",
        "4.1.2",
        ("version",),
        2.4,
        260,
        ldflags=("-X github.com/argoproj/argo-workflows/v4.version=v4.1.2",),
        archive=_ARGO_ARCHIVE,
    ),
    Component("argo-retry-v4", "argo-v4", "./retry", "4.1.2", (), 0.1, 20, archive=_ARGO_ARCHIVE),
)

BY_NAME: dict[str, Component] = {
    component.name: component for component in (*COMPONENTS, *NEWEST, *QUEUES, *FROM_ARCHIVES)
}

# Group names that `python -m testbed build` accepts besides component names.
GROUPS: dict[str, tuple[str, ...]] = {
    "demo": ("etcd", "kube-apiserver", "kubectl", "prometheus", "promtool"),
    "cluster": (
        "etcd",
        "kube-apiserver",
        "kubectl",
        "prometheus",
        "promtool",
        "history-load",
        "kube-controller-manager",
        "kube-scheduler",
        "kwok",
        "kube-state-metrics",
    ),
    "chart": ("etcd", "kube-apiserver", "kubectl", "helm", "oauth2-proxy"),
    "engines": tuple(c.name for c in COMPONENTS if c.name not in ("helm", "history-load", "krew", "oauth2-proxy")),
    "newest": tuple(c.name for c in NEWEST),
    "queues": tuple(c.name for c in QUEUES),
    "all": tuple(c.name for c in COMPONENTS),
}


def expand(names: list[str]) -> list[str]:
    """Expand component and group names to component names, in build order; raises ValueError with the unknown names."""
    wanted: set[str] = set()
    for name in names:
        if name in GROUPS:
            wanted.update(GROUPS[name])
        elif name in BY_NAME:
            wanted.add(name)
        else:
            known = ", ".join([*GROUPS, *BY_NAME])
            raise ValueError(f"unknown component {name!r}; known groups and components: {known}")
    return [name for name in BY_NAME if name in wanted]


def archives_given() -> tuple[str, ...]:
    """Components whose archives the user provides: they are built together with all others."""
    return tuple(c.name for c in FROM_ARCHIVES if c.archive is not None and given(c.archive) is not None)
