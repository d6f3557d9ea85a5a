"""What the engines without a server here take for true, each with the page that says so.

An engine joins with a module of its own, which has ``BELIEFS`` and ``exercise``, and its name in ``test_beliefs.py``.
"""
