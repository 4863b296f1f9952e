"""Discrete-event simulation of chains of pods on a graph of steps, without runs or what-ifs: durations in, makespan out."""
