"""Real database servers, started for a test or a demonstration and gone afterwards.

No Docker: the servers come from the machine (PATH, Debian's packages) or from PyPI wheels. Each speaks TLS with a
certificate of a CA made on the spot and has an administrator with the rights that RDS gives, and no more.
"""
