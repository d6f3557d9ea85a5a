"""Real database servers, started for a test or a demonstration and removed afterwards.

No Docker: the servers are installed on the machine (PATH, Debian's packages) or come from PyPI wheels. Each uses TLS
with a certificate of a new CA, and has an administrator with exactly the privileges that RDS gives.
"""
