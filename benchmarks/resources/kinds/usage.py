"""Use that is hard to see: bursts, tails, modes, growth, short pods and missing samples."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.graphs.draws import Rng
from benchmarks.resources.law import CPU, DAY, GI, HOUR, MEMORY, MI, WINDOW, Container, Cpu, Memory, Step
from benchmarks.resources.plant import (
    MINUTES,
    Kind,
    Plant,
    between,
    daily,
    excess,
    fitted,
    flow,
    healthy,
    shortage,
    whole,
)


def _over(rng: Rng, name: str, memory: Memory, needed: float, *, seconds: float | None = None, **law: object) -> Plant:
    """A workflow whose step requests three to six times the memory that is ``needed``."""
    own = fitted(Container(memory=memory, cpu=Cpu(((1.0, between(rng, 0.3, 2.0)),))))
    large = own.asking(**{MEMORY: whole(float(rng.uniform(3, 6)) * needed)})
    work = Step("work", (large,), seconds=between(rng, 600, 3000) if seconds is None else seconds, spread=0.2)
    now = replace(flow(rng, name, (Step("load"), work)), **law)  # type: ignore[arg-type]
    return excess(now, "work", "main", {MEMORY: whole(needed)})


def heavy_tail(rng: Rng, name: str) -> Plant:
    """Memory with a heavy tail (Pareto), far below the request."""
    tail = float(rng.uniform(3.0, 6.0))
    usual = between(rng, 0.3, 2.0) * GI
    made = _over(rng, name, Memory(usual, tail=tail), usual * 200.0 ** (1 / tail))
    return replace(made, note=f"exponent {tail:.1f}")


def two_modes(rng: Rng, name: str) -> Plant:
    """One run in four to ten needs two to three times the usual memory."""
    usual, heavy = between(rng, 0.3, 1.5) * GI, float(rng.uniform(2, 3))
    memory = Memory(usual, often=float(rng.uniform(0.1, 0.25)), heavy=heavy)
    return _over(rng, name, memory, 1.25 * heavy * usual)


def sundays(rng: Rng, name: str) -> Plant:
    """The runs of one weekday need twice the memory."""
    usual = between(rng, 0.3, 1.5) * GI
    made = _over(rng, name, Memory(usual, weekday=int(rng.integers(0, 7)), heavy=2.0), 2.5 * usual)
    times = int(rng.choice([1, 2, 4]))
    return replace(made.under(every=DAY / times), note=f"{times} a day")


def growing(rng: Rng, name: str) -> Plant:
    """Memory grows by 1 to 3% a day, far below the request."""
    usual, growth = between(rng, 0.3, 2.0) * GI, float(rng.uniform(0.01, 0.03))
    return replace(_over(rng, name, Memory(usual, growth=growth), 1.5 * usual), note=f"{growth:.1%} a day")


def with_the_input(rng: Rng, name: str) -> Plant:
    """Memory follows an input that is recorded, far below the request; run times do as well."""
    usual, spread = between(rng, 0.3, 2.0) * GI, float(rng.choice([0.3, 0.5]))
    power = float(rng.uniform(0.5, 1.0))
    made = _over(rng, name, Memory(usual, power=power), usual * 2.7 ** (3 * spread * power))
    return made.under(input_spread=spread, inputs_known=True)


def long_steps(rng: Rng, name: str) -> Plant:
    """Steps of four to seven hours, whose failure costs as much, request a multiple of the memory they need."""
    usual = between(rng, 1, 6) * GI
    made = _over(rng, name, Memory(usual, spread=0.12), 1.4 * usual, seconds=between(rng, 15000, 24000))
    return made.under(every=8 * HOUR)


def few_runs(rng: Rng, name: str) -> Plant:
    """Five to nine runs in the window, of a step with a multiple of the memory it needs."""
    usual = between(rng, 0.5, 4) * GI
    return _over(rng, name, Memory(usual, spread=0.12), 1.4 * usual, every=WINDOW / int(rng.integers(6, 10)))


def missing_samples(rng: Rng, name: str) -> Plant:
    """A third of the pods have no samples."""
    usual = between(rng, 0.3, 2.0) * GI
    return _over(rng, name, Memory(usual, spread=0.1), 1.35 * usual, gaps=float(rng.uniform(0.2, 0.45)))


def guaranteed_cpu_bursts(rng: Rng, name: str) -> Plant:
    """A Guaranteed pod uses all of its CPU for a part of the time, and little for the rest; its memory is right."""
    full, part = float(rng.choice([2, 4, 8])), float(rng.uniform(0.1, 0.4))
    own = Container(cpu=Cpu(((part, 0.95 * full), (1 - part, 0.3)), spread=0.02), memory=Memory(GI))
    step = Step("work", (own.asking(**{CPU: full, MEMORY: whole(1.4 * GI)}).guaranteed,), seconds=1500.0)
    return healthy(flow(rng, name, (Step("load"), step)))


def guaranteed_spiky(rng: Rng, name: str) -> Plant:
    """A Guaranteed pod requests three times the CPU of its bursts, and five times the memory."""
    full, part = float(rng.choice([1, 2])), float(rng.uniform(0.1, 0.4))
    own = Container(cpu=Cpu(((part, full), (1 - part, 0.2))), memory=Memory(between(rng, 0.3, 1.5) * GI))
    large = own.asking(**{CPU: 3 * full, MEMORY: whole(5 * own.memory.usual)}).guaranteed
    step = Step("work", (large,), seconds=1500.0)
    needed = {CPU: round(1.2 * full, 2), MEMORY: whole(1.4 * own.memory.usual)}
    return excess(flow(rng, name, (Step("load"), step)), "work", "main", needed)


def guaranteed_short_peak(rng: Rng, name: str) -> Plant:
    """A Guaranteed pod needs twice its usual memory for some seconds, which samples miss; the kernel's mark shows it."""
    peak = between(rng, 0.6, 3.0) * GI
    memory = Memory(peak, seconds=float(rng.uniform(0.5, 4)), burst=float(rng.uniform(1.4, 2.2)), cache=1.0)
    own = fitted(Container(memory=memory, cpu=Cpu(((1.0, 0.8),))))
    large = own.asking(**{MEMORY: whole(float(rng.uniform(2, 3)) * peak)}).guaranteed
    step = Step("work", (large,), seconds=between(rng, 300, 3000))
    return excess(flow(rng, name, (Step("load"), step)), "work", "main", {MEMORY: whole(1.3 * peak)})


def short_pods(rng: Rng, name: str) -> Plant:
    """Pods of about a minute, with one to three samples and page cache in the kernel's mark, request too much memory."""
    usual = between(rng, 0.5, 3) * GI
    memory = Memory(usual, cache=float(rng.choice([1.0, 1.3, 2.0])))
    own = fitted(Container(memory=memory))
    step = Step("work", (own.asking(**{MEMORY: whole(float(rng.uniform(4, 7)) * usual)}),), seconds=80.0, items=12)
    return excess(daily(rng, name, (Step("load"), step), 24), "work", "main", {MEMORY: whole(1.4 * usual)})


def busy_nodes(rng: Rng, name: str) -> Plant:
    """A step requests a third of the CPU it uses, and nodes have little beyond requests: it waits for CPU."""
    cores = between(rng, 1.0, 4.0)
    own = Container(cpu=Cpu(((1.0, cores),)), requests={CPU: round(cores / 3, 2), MEMORY: 420 * MI})
    now = flow(rng, name, (Step("load"), Step("work", (own,), seconds=between(rng, 600, 2400))))
    now = replace(now, idle=(0.05 * cores, 0.35 * cores))
    return shortage(now, "work", "main", own.asking(**{CPU: round(1.1 * cores, 2)}), ("cpu-request",), MINUTES)


def busy_nodes_fixed(rng: Rng, name: str) -> Plant:
    """A CPU request of a third of the use, on busy nodes, was raised to the use within the window."""
    cores = between(rng, 1.0, 4.0)
    own = Container(cpu=Cpu(((1.0, cores),)), requests={CPU: round(1.15 * cores, 2), MEMORY: 420 * MI})
    work = Step("work", (own,), seconds=between(rng, 600, 2400))
    small = work.having("main", own.asking(**{CPU: round(cores / 3, 2)}))
    now = replace(flow(rng, name, (Step("load"), work)), idle=(0.05 * cores, 0.35 * cores))
    return healthy(replace(now, before=(Step("load"), small), changed=float(rng.uniform(3, 9))))


def seldom_busy(rng: Rng, name: str) -> Plant:
    """A step that is idle in most of six to 60 runs, and uses a multiple of that for a part of the others, requests many
    times what it usually needs; nodes have nothing beyond requests. That it waits for something may be said too."""
    cores, request = between(rng, 0.03, 0.3), float(rng.choice([1, 2, 4, 8]))
    part, often = float(rng.uniform(0.02, 0.5)), float(rng.choice([0.05, 0.1, 0.2, 0.5]))
    busy = Cpu(((part, between(rng, 0.5, request)), (1.0 - part, cores)), spread=0.2, in_runs=often)
    own = Container(cpu=busy, requests={CPU: request, MEMORY: 420 * MI})
    steps = (Step("load"), Step("work", (own,), seconds=between(rng, 300, 3000)))
    now = replace(flow(rng, name, steps, least=6, most=60), idle=(0.0, 0.0))
    made = excess(now, "work", "main", {CPU: round(1.2 * busy.mean, 3)}, note=f"busy in {often:.0%}")
    return replace(made, also=("io-bound",))


def bursts_on_busy_nodes(rng: Rng, name: str) -> Plant:
    """A step uses four cores for a fifth of the time and little for the rest, and requests six; nodes have little beyond
    requests. What it needs lies between its mean and its bursts."""
    part = float(rng.uniform(0.1, 0.3))
    own = Container(cpu=Cpu(((part, 4.0), (1 - part, 0.3))), requests={CPU: 6.0, MEMORY: 420 * MI})
    now = flow(rng, name, (Step("load"), Step("work", (own,), seconds=1500.0)))
    return excess(replace(now, idle=(0.2, 1.5)), "work", "main", {CPU: 4.2})


def throttled_phases(rng: Rng, name: str) -> Plant:
    """A CPU limit holds back the parallel phases of a step, which is idle for the rest."""
    full, part = float(rng.choice([2, 4])), float(rng.uniform(0.4, 0.7))
    limit = full * float(rng.uniform(0.35, 0.6))
    own = Container(cpu=Cpu(((part, full), (1 - part, 0.1))), requests={CPU: round(limit * 0.8, 2), MEMORY: 420 * MI})
    bound = own.limited(**{CPU: round(limit, 2)})
    now = flow(rng, name, (Step("load"), Step("work", (bound,), seconds=between(rng, 900, 2400))))
    return shortage(now, "work", "main", own.limited(**{CPU: 1.1 * full}), ("cpu-request",), MINUTES)


def throttled_between_waits(rng: Rng, name: str) -> Plant:
    """A step waits for something else than the CPU for half to nine tenths of its time, and a limit holds back what several
    threads compute in between: the kernel counts no period of the waiting."""
    full, idle = float(rng.choice([2, 4, 8])), float(rng.uniform(0.5, 0.9))
    limit = round(full * float(rng.uniform(0.15, 0.6)), 2)
    busy = (1 - idle) * limit / full  # so long without the limit
    own = Container(cpu=Cpu(((idle, 0.0), (busy, full))), requests={CPU: limit, MEMORY: 420 * MI})
    now = flow(rng, name, (Step("load"), Step("work", (own.limited(**{CPU: limit}),), seconds=between(rng, 900, 2400))))
    made = shortage(now, "work", "main", own.limited(**{CPU: 1.1 * full}), ("cpu-request",), MINUTES)
    return replace(made, also=("io-bound",), note=f"waits {idle:.0%}")


KINDS: tuple[Kind, ...] = (
    heavy_tail, two_modes, sundays, growing, with_the_input, long_steps, few_runs, missing_samples, guaranteed_cpu_bursts,
    guaranteed_spiky, guaranteed_short_peak, short_pods, busy_nodes, busy_nodes_fixed, bursts_on_busy_nodes,
    seldom_busy, throttled_phases, throttled_between_waits,
)  # fmt: skip
