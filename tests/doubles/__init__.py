"""Doubles of servers that can't be installed here, at the border of their drivers.

A double keeps a catalogue, refuses what the real server refuses, and fails on a statement it does not know. What it
takes is also parsed by a grammar that is not ours, so that a slip can't be right in both.
"""
