"""Manifests that change within the window: what was right before it says little about today."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.graphs.draws import Rng
from benchmarks.resources.law import CPU, GI, MEMORY, MI, Container, Cpu, Flow, Memory, Role, Step
from benchmarks.resources.plant import (
    FAILURES,
    MINUTES,
    Kind,
    Plant,
    between,
    changed,
    excess,
    fitted,
    flow,
    healthy,
    killed_twice,
    ran,
    shortage,
    since,
    whole,
)


def _work(rng: Rng, **law: object) -> Container:
    """A container of any size, well sized."""
    mean, usual = between(rng, 0.3, 3.0), whole(between(rng, 0.3, 4.0) * GI)
    made = Container(cpu=Cpu(((1.0, mean),)), memory=Memory(usual, spread=float(rng.choice([0.02, 0.06]))))
    return fitted(replace(made, **law))  # type: ignore[arg-type]


def _steps(rng: Rng, work: Container) -> tuple[Step, ...]:
    return Step("load"), Step("work", (work,), seconds=between(rng, 300, 3000), spread=float(rng.choice([0.05, 0.3])))


def _drawn(rng: Rng, name: str, work: Container) -> Flow:
    return flow(rng, name, _steps(rng, work))


def _until(rng: Rng, now: Flow, work: Container | None, least: float = 3.0, most: float = 9.0) -> Flow:
    """The workflow whose step ``work`` had another container until some days before the end; None: it had no such step."""
    own = now.step("work")
    steps = [s for s in now.steps if s is not own] if work is None else [
        own.having("main", work) if s is own else s for s in now.steps
    ]  # fmt: skip
    return replace(changed(rng, now, *steps), changed=float(rng.uniform(least, most)))


def _times(container: Container, cpu: float, memory: float) -> Container:
    """The container with requests so many times as large."""
    own = container.requests
    return container.asking(**{CPU: round(own[CPU] * cpu, 2), MEMORY: whole(own[MEMORY] * memory)})


def request_raised(rng: Rng, name: str) -> Plant:
    """Requests that were right were raised to a multiple within the window."""
    right = _work(rng)
    large = _times(right, float(rng.uniform(2.5, 6)), float(rng.uniform(2, 5)))
    now = _until(rng, _drawn(rng, name, large), right)
    return replace(excess(now, "work", "main", right.requests), shown=since(now.changed))


def request_lowered(rng: Rng, name: str) -> Plant:
    """Requests of a multiple were lowered to the right ones within the window."""
    right = _work(rng)
    return healthy(_until(rng, _drawn(rng, name, right), _times(right, float(rng.uniform(3, 6)), 4.0)))


def request_lowered_partly(rng: Rng, name: str) -> Plant:
    """Requests of ten times the use were lowered to four times the use within the window."""
    right = _work(rng)
    now = _until(rng, _drawn(rng, name, _times(right, 4.0, 4.0)), _times(right, 10.0, 10.0))
    return replace(excess(now, "work", "main", right.requests), shown=since(now.changed))


def cpu_limit_added(rng: Rng, name: str) -> Plant:
    """A CPU limit of half of the use was added within the window."""
    right = _work(rng)
    limit = round(right.cpu.mean * float(rng.uniform(0.4, 0.7)), 1) or 0.1
    bound = replace(right.limited(**{CPU: limit}), requests={**right.requests, CPU: min(limit, right.requests[CPU])})
    now = _until(rng, _drawn(rng, name, bound), right)
    return replace(
        shortage(now, "work", "main", right, ("cpu-request",), MINUTES), also=("degradation",), shown=since(now.changed)
    )


def cpu_limit_removed(rng: Rng, name: str) -> Plant:
    """A CPU limit of half of the use was removed within the window."""
    right = _work(rng)
    limit = right.cpu.mean * 0.5
    bound = replace(right.limited(**{CPU: limit}), requests={**right.requests, CPU: limit})
    return healthy(_until(rng, _drawn(rng, name, right), bound))


def memory_limit_removed(rng: Rng, name: str) -> Plant:
    """A memory limit that killed one run in four was removed within the window."""
    right = _work(rng)
    bound = right.limited(**{MEMORY: whole(1.03 * right.memory.usual)})
    bound = bound.asking(**{MEMORY: bound.limits[MEMORY]})
    return healthy(_until(rng, _drawn(rng, name, right), bound))


def memory_limit_raised(rng: Rng, name: str) -> Plant:
    """A memory limit that killed a third of the runs was raised in the middle of the window, to one that kills a tenth."""
    usual = whole(between(rng, 0.5, 4.0) * GI)
    own = replace(_work(rng), memory=Memory(usual, spread=0.15, alike=False))

    def limited(times: float) -> Container:
        return own.asking(**{MEMORY: whole(times * usual)}).limited(**{MEMORY: whole(times * usual)})

    now = _until(rng, flow(rng, name, _steps(rng, limited(1.2)), 28, 120), limited(1.05), 5.0, 8.0)
    plant = shortage(now, "work", "main", limited(2.0), ("memory-request",), FAILURES)
    return replace(plant, also=("failing-step", "retry-policy", "objective-at-risk"), shown=killed_twice("work"))


def memory_limit_added(rng: Rng, name: str) -> Plant:
    """A memory limit that kills a quarter of the runs was added within the window."""
    own = replace(_work(rng), memory=Memory(whole(between(rng, 0.5, 4.0) * GI), spread=0.1, alike=False))
    limit = whole(1.07 * own.memory.usual)
    bound = own.asking(**{MEMORY: limit}).limited(**{MEMORY: limit})
    now = _until(rng, _drawn(rng, name, bound), own.asking(**{MEMORY: whole(1.4 * own.memory.usual)}))
    enough = bound.asking(**{MEMORY: 2 * limit}).limited(**{MEMORY: 2 * limit})
    plant = shortage(now, "work", "main", enough, ("memory-request",), FAILURES)
    also = ("failing-step", "retry-policy", "objective-at-risk", "degradation")
    return replace(plant, also=also, shown=killed_twice("work"))


def _sidecar(rng: Rng) -> Container:
    """A declared sidecar that requests far more than it uses."""
    small = Container(
        "proxy", Role.BESIDE, {CPU: float(rng.uniform(0.6, 1.5)), MEMORY: whole(float(rng.uniform(0.7, 2)) * GI)},
        cpu=Cpu(((1.0, 0.03),)), memory=Memory(50 * MI),
    )  # fmt: skip
    return replace(small, requests={k: round(v, 2) for k, v in small.requests.items()})


def _with(now: Flow, container: Container) -> Step:
    own = now.step("work")
    return replace(own, containers=(*own.containers, container))


def sidecar_added(rng: Rng, name: str) -> Plant:
    """A sidecar that requests far more than it uses was added to the manifest within the window."""
    now = _drawn(rng, name, _work(rng))
    side = _sidecar(rng)
    added = replace(now.having(_with(now, side)), before=now.steps, changed=float(rng.uniform(3, 9)))
    return replace(excess(added, "work", "proxy", {CPU: 0.05, MEMORY: 70 * MI}), shown=since(added.changed))


def sidecar_removed(rng: Rng, name: str) -> Plant:
    """A sidecar that requested far more than it used was removed from the manifest within the window."""
    now = _drawn(rng, name, _work(rng))
    return healthy(changed(rng, now, now.steps[0], _with(now, _sidecar(rng))))


def step_added(rng: Rng, name: str) -> Plant:
    """A step whose requests are a multiple of its use was added within the window."""
    right = _work(rng)
    now = _until(rng, _drawn(rng, name, _times(right, float(rng.uniform(3, 6)), 4.0)), None)
    plant = excess(now, "work", "main", right.requests)
    return replace(plant, shown=ran("work"), also=("degradation",))


def step_removed(rng: Rng, name: str) -> Plant:
    """A step whose requests were a multiple of its use was removed within the window."""
    drawn = _drawn(rng, name, _times(_work(rng), 5.0, 4.0))
    return healthy(changed(rng, replace(drawn, steps=drawn.steps[:1]), *drawn.steps))


def step_renamed(rng: Rng, name: str) -> Plant:
    """A step was renamed within the window, and its requests were lowered to the right ones."""
    right = _work(rng)
    now = _drawn(rng, name, right)
    old = replace(now.step("work").having("main", _times(right, 4.0, 4.0)), name="process")
    return healthy(changed(rng, now, now.steps[0], old))


def leaner_image(rng: Rng, name: str) -> Plant:
    """An image that needs a quarter of the CPU and memory came within the window; requests are those of the old one."""
    old = _work(rng)
    lean = replace(
        old, image="registry.example/work:2", cpu=Cpu(((1.0, old.cpu.mean / 4),)),
        memory=replace(old.memory, usual=old.memory.usual / 4),
    )  # fmt: skip
    now = _until(rng, _drawn(rng, name, lean), old, 6.0, 10.0)
    plant = excess(now, "work", "main", fitted(lean).requests)
    return replace(plant, shown=since(now.changed), note=f"for {now.changed:.0f} days")


def hungrier_image(rng: Rng, name: str) -> Plant:
    """An image that needs three times the memory came within the window, with requests that fit it."""
    old = _work(rng)
    new = replace(old, image="registry.example/work:2", memory=replace(old.memory, usual=3 * old.memory.usual))
    new = fitted(new)
    return healthy(_until(rng, _drawn(rng, name, new), old.asking(**new.requests)))


KINDS: tuple[Kind, ...] = (
    request_raised, request_lowered, request_lowered_partly, cpu_limit_added, cpu_limit_removed, memory_limit_added,
    memory_limit_raised, memory_limit_removed, sidecar_added, sidecar_removed, step_added, step_removed, step_renamed,
    leaner_image, hungrier_image,
)  # fmt: skip
