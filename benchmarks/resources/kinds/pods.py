"""Pods with several containers, init containers, native sidecars, and resources of the pod as a whole."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.graphs.draws import Rng
from benchmarks.resources.law import CPU, GI, MEMORY, MI, Container, Cpu, Flow, Memory, Role, Step
from benchmarks.resources.manifests import JOB
from benchmarks.resources.plant import (
    FAILURES,
    MONEY,
    Kind,
    Plant,
    between,
    excess,
    fitted,
    flow,
    healthy,
    killed_twice,
    whole,
)


def _pod(rng: Rng, name: str, *containers: Container, **law: object) -> Flow:
    """A CronJob with one pod of these containers."""
    step = Step(JOB, containers, seconds=between(rng, 600, 3000), **law)  # type: ignore[arg-type]
    hours = int(rng.choice([3, 4, 6, 8]))
    return replace(flow(rng, name, (step,)), engine="cronjob", every=hours * 3600.0)


def _work(rng: Rng, name: str = "main", role: Role = Role.MAIN) -> Container:
    mean, usual = between(rng, 0.3, 2.0), whole(between(rng, 0.3, 3.0) * GI)
    return fitted(Container(name, role, cpu=Cpu(((1.0, mean),)), memory=Memory(usual)))


def _large(rng: Rng, container: Container) -> Container:
    times = float(rng.uniform(3, 6))
    own = container.requests
    return container.asking(**{CPU: round(own[CPU] * times, 2), MEMORY: whole(own[MEMORY] * times)})


def two_containers(rng: Rng, name: str) -> Plant:
    """One of two containers that work side by side requests a multiple of its use."""
    right = _work(rng, "second")
    return excess(_pod(rng, name, _work(rng), _large(rng, right)), JOB, "second", right.requests)


def native_sidecar(rng: Rng, name: str) -> Plant:
    """A native sidecar requests a multiple of its use."""
    right = fitted(Container("proxy", Role.NATIVE, cpu=Cpu(((1.0, 0.05),)), memory=Memory(60 * MI)))
    large = right.asking(
        **{CPU: round(float(rng.uniform(0.6, 1.5)), 2), MEMORY: whole(float(rng.uniform(0.7, 2)) * GI)}
    )
    return excess(_pod(rng, name, _work(rng), large), JOB, "proxy", right.requests)


def native_sidecar_fits(rng: Rng, name: str) -> Plant:
    """A native sidecar and a container that request what they need."""
    side = fitted(Container("proxy", Role.NATIVE, cpu=Cpu(((1.0, 0.15),)), memory=Memory(150 * MI)))
    return healthy(_pod(rng, name, _work(rng), side))


def _setup(cpu: float, memory: float) -> Container:
    """An init container that uses what it requests, for half a minute."""
    return Container(
        "setup", Role.INIT, {CPU: round(cpu, 2), MEMORY: whole(memory)}, cpu=Cpu(((1.0, 0.8 * cpu),)),
        memory=Memory(0.75 * memory), seconds=40.0,
    )  # fmt: skip


def init_reserves_as_much(rng: Rng, name: str) -> Plant:
    """A container requests three to six times its use; but an init container needs as much, and pods keep that for their
    whole life: a lower request saves nothing."""
    large = _large(rng, _work(rng))
    return healthy(_pod(rng, name, large, _setup(large.requests[CPU] * 1.02, large.requests[MEMORY] * 1.02)))


def init_reserves_a_part(rng: Rng, name: str) -> Plant:
    """A container requests three to six times its use, an init container needs half of that: the saving ends there."""
    right = _work(rng)
    large = _large(rng, right)
    now = _pod(rng, name, large, _setup(large.requests[CPU] / 2, large.requests[MEMORY] / 2))
    return excess(now, JOB, "main", right.requests)


def init_requests_too_much(rng: Rng, name: str) -> Plant:
    """An init container requests three to six times its use, and more than the container after it, which fits: pods keep
    that for their whole life."""
    work = _work(rng)
    right = _setup(work.requests[CPU] * 0.8, work.requests[MEMORY] * 0.8)
    return excess(_pod(rng, name, work, _large(rng, right)), JOB, "setup", right.requests)


def init_beside_a_native_sidecar(rng: Rng, name: str) -> Plant:
    """A native sidecar requests a multiple of its use, before an init container whose requests count on top of it."""
    right = fitted(Container("proxy", Role.NATIVE, cpu=Cpu(((1.0, 0.05),)), memory=Memory(60 * MI)))
    large = right.asking(**{CPU: 1.0, MEMORY: GI})
    main = _work(rng)
    now = _pod(rng, name, main, large, _setup(main.requests[CPU] * 1.5, main.requests[MEMORY] * 1.5))
    return excess(now, JOB, "proxy", right.requests)


def _level(flow_: Flow, **amounts: float) -> Flow:
    """The workflow with requests of its pod as a whole."""
    step = flow_.step(JOB)
    return flow_.having(replace(step, requests=amounts))


def _bare(container: Container) -> Container:
    return replace(container, requests={}, limits={})


def pod_level_over(rng: Rng, name: str) -> Plant:
    """The pod as a whole requests a multiple of what its two containers use."""
    first, second = _work(rng), _work(rng, "second")
    mean, usual = first.cpu.mean + second.cpu.mean, first.memory.usual + second.memory.usual
    times = float(rng.uniform(3, 6))
    now = _pod(rng, name, _bare(first), _bare(second))
    large = _level(now, **{CPU: round(times * mean, 2), MEMORY: whole(times * usual)})
    fixed = _level(now, **{CPU: round(mean / 0.7, 2), MEMORY: whole(usual / 0.72)})
    return Plant(large, fixed, ("right-size",), JOB, "pod", MONEY)


def pod_level_fits(rng: Rng, name: str) -> Plant:
    """The pod as a whole requests what its two containers need together; one of them also declares a large limit."""
    first, second = _work(rng), _work(rng, "second")
    mean, usual = first.cpu.mean + second.cpu.mean, first.memory.usual + second.memory.usual
    now = _pod(rng, name, _bare(first), _bare(second).limited(**{MEMORY: whole(3 * usual), CPU: 8.0}))
    own = replace(now.step(JOB).container("second"), requests={CPU: 0.1, MEMORY: 64 * MI})
    now = now.having(now.step(JOB).having("second", own))
    return healthy(_level(now, **{CPU: round(mean / 0.72, 2), MEMORY: whole(usual / 0.72)}))


def pod_level_killed(rng: Rng, name: str) -> Plant:
    """The memory limit of the pod as a whole kills a quarter of the runs."""
    first = replace(_work(rng), memory=Memory(whole(between(rng, 0.5, 2.0) * GI), spread=0.12, alike=False))
    second = _work(rng, "second")
    need = first.memory.usual + 0.9 * second.memory.usual
    now = _pod(rng, name, _bare(first), _bare(second))

    def limited(amount: float) -> Flow:
        step = now.step(JOB)
        asked = {CPU: round((first.cpu.mean + second.cpu.mean) / 0.75, 2), MEMORY: whole(amount)}
        return now.having(replace(step, requests=asked, limits={MEMORY: whole(amount)}))

    also = ("failing-step", "retry-policy", "objective-at-risk")
    return Plant(
        limited(1.06 * need), limited(2.0 * need), ("memory-request",), JOB, "pod", FAILURES, also=also,
        shown=killed_twice(JOB),
    )  # fmt: skip


def second_container_killed(rng: Rng, name: str) -> Plant:
    """The second of two containers is killed for lack of memory in a fifth of the runs."""
    own = replace(_work(rng, "second"), memory=Memory(whole(between(rng, 0.3, 2.0) * GI), spread=0.1, alike=False))
    limit = whole(1.08 * own.memory.usual)
    now = _pod(rng, name, _work(rng), own.asking(**{MEMORY: limit}).limited(**{MEMORY: limit}))
    enough = own.asking(**{MEMORY: 2 * limit}).limited(**{MEMORY: 2 * limit})
    fixed = now.having(now.step(JOB).having("second", enough))
    also = ("failing-step", "retry-policy", "objective-at-risk")
    return Plant(now, fixed, ("memory-request",), JOB, "second", FAILURES, also=also, shown=killed_twice(JOB))


KINDS: tuple[Kind, ...] = (
    two_containers, native_sidecar, native_sidecar_fits, init_reserves_as_much, init_reserves_a_part,
    init_requests_too_much, init_beside_a_native_sidecar, pod_level_over, pod_level_fits, pod_level_killed,
    second_container_killed,
)  # fmt: skip
