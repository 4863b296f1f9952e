"""Releases of the chart, and the objects they leave behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from tests.support.chart.bed import CHART, Bed

LASTING = {"sim/duration": "100000"}  # the simulated container keeps running


def left_behind(bed: Bed) -> list[str]:
    """All objects of the cluster with the release's label."""
    kinds = "deploy,cm,secret,svc,sa,pvc,role,rolebinding,clusterrole,clusterrolebinding,networkpolicy,pod,lease"
    more = "validatingadmissionpolicy,validatingadmissionpolicybinding,servicemonitor,prometheusrule"
    out = bed.cluster.kubectl("get", f"{kinds},{more}", "-A", "-l", "app.kubernetes.io/instance=cm", "-o", "name")
    return out.split()


def newer_chart(directory: Path) -> Path:
    """A later release: one additional field in one kind, and a later version."""
    chart = directory / "concertmaster"
    shutil.copytree(CHART, chart)
    file = chart / "templates" / "crds" / "workflowprofiles.concertmaster.dev.yaml"
    text = file.read_text()
    mark = "          spec:\n"
    head, found, tail = text.partition(mark)
    assert found
    before, properties, after = tail.partition("            properties:\n")
    assert properties
    added = "              nextYear:\n                type: string\n                maxLength: 10\n"
    file.write_text(head + found + before + properties + added + after)
    meta = yaml.safe_load((chart / "Chart.yaml").read_text()) | {"version": "0.2.0", "appVersion": "0.2.0"}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(meta))
    return chart
