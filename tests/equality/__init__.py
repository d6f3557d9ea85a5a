"""Whether the second user can do exactly what the first one can: shown by what both are allowed and refused.

An engine joins with a world here (:class:`equality.base.World`) and its entry in ``test_equality.py``.
"""
