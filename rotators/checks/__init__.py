"""What could make the next rotation fail, and what it would do: looked at, and never changed.

``finding`` is one answer; ``answer`` is what a function says to the events ``check`` and ``plan``; ``database``,
``way`` and ``careful`` look at a database secret from inside; ``outside`` asks AWS. A rotation imports none of them.
"""
