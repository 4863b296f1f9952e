"""The project's own test bed: real Kubernetes and Prometheus processes without containers.

The operator is worth what it does against a real API server and a real Prometheus, and a developer's machine
or a CI runner rarely has a cluster left. This package builds the pinned binaries from their Go modules
(`testbed.build`), runs them as supervised child processes (`testbed.process`, `testbed.controlplane`,
`testbed.prometheus`) and stands in for the one part that cannot run without containers, the kubelet
(`testbed.kwok` plays pods, `testbed.exporter` serves their cAdvisor series). What rests on that stand-in is
called *simulated* wherever it is shown.
"""
