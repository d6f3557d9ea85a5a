"""``make verify-aws``: runs the suites against real services, in your AWS account, and reports what differs.

``offers`` says what is made for each engine and what that costs, ``stack`` makes it, ``kit`` packs the function that
looks, ``account`` deploys, calls and removes, ``rehearsal`` does the same without AWS, ``runner`` goes through all of
it, ``report`` prints what differs. What runs in the function is ``inside``.
"""
