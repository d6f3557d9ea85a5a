"""Random schedules of rotations and faults: ``python -m chaos``, or ``make chaos``.

A schedule is drawn from a seed: rotations, what happens meanwhile, and at which instants. It is run on one engine with
one strategy. Then all is well again, Secrets Manager repeats what it repeats, and a verdict is given.
"""
