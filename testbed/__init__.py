"""The project's test bed: real Kubernetes and Prometheus processes without containers.

The operator must be tested against a real API server and a real Prometheus, which developer machines and CI runners
rarely have available. This package builds the pinned binaries from their Go modules (`testbed.install`), runs them as
supervised child processes (`testbed.process`, `testbed.services`) and replaces the one part that needs containers, the
kubelet (`testbed.pods` simulates pods and serves their cAdvisor series). Results that depend on this replacement are
labelled *simulated* wherever they are shown.
"""
