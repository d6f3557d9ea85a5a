"""What the configuration must know of each engine. The drivers are not imported for it: a test compares the two."""

from __future__ import annotations

PORTS = {
    "postgres": 5432,
    "mysql": 3306,
    "mariadb": 3306,
    "oracle": 1521,
    "sqlserver": 1433,
    "db2": 50000,
    "mongo": 27017,
    "redshift": 5439,
}
# Engines of which some version keeps two passwords for a user.
TWO_PASSWORDS = frozenset({"mysql", "mariadb", "oracle"})
# Engines whose certificates are signed by a public CA, which a function's operating system trusts, and not by RDS's:
# https://docs.aws.amazon.com/redshift/latest/mgmt/connecting-ssl-support.html
PUBLIC_CA = frozenset({"redshift"})
# Engines of which no user changes its own password.
BY_THE_ADMIN = frozenset({"db2"})
# Where 32 characters, the default, are too many: a database link takes 30.
LONGEST_PASSWORD = {"oracle": 30}
