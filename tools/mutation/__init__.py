"""Mutation testing with mutmut: which modules, by which tests, and which mutants may survive (``make mutate``)."""
