"""Finds what could make the next rotation fail, and what it would do, without changing anything.

``finding`` is one result. ``answer`` answers the events ``check`` and ``plan`` in a function. ``database``, ``way`` and
``careful`` check a database secret from inside, ``outside`` asks AWS. A rotation imports none of them.
"""
