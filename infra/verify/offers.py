"""What is created for each engine: the smallest server that AWS offers, its licence, and what it costs.

Prices are list prices of on-demand use in us-east-1, in dollars for an hour, as they were found on the date below;
if none was found, none is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

PRICED_ON = date(2026, 11, 28)
# A secret costs $0.40 a month, a GB of gp3 $0.115 a month, in proportion for a part of a month.
_HOURS_A_MONTH = 730
_SECRET, _GIGABYTE = 0.40 / _HOURS_A_MONTH, 0.115 / _HOURS_A_MONTH


@dataclass(frozen=True)
class Offer:
    """A server that AWS offers.

    Args:
        name: the value for ``--engine``.
        title: AWS's name for it.
        engine: the engine of its rotation function.
        size: its instance class, or capacity.
        price: dollars for an hour of it; None: not known.
        page: the page with its price.
        minutes: about how long all of it takes, for people.
        gigabytes: its storage, where that is paid apart.
        licence: what is to be known of its licence.
        licensed: whether it takes ids of a licence of one's own.
        availability_zones: in how many of them its subnets must lie.
    """

    name: str
    title: str
    engine: str
    size: str
    price: float | None
    page: str
    minutes: int = 40
    gigabytes: int = 20
    licence: str = "none is needed"
    licensed: bool = False
    availability_zones: int = 2

    @property
    def endpoints(self) -> int:
        """In how many zones the endpoint of Secrets Manager is."""
        return self.availability_zones

    def known_cost(self, secrets: int) -> float | None:
        """Dollars for an hour, without the endpoint and calls; None: the server's price is not known.

        Args:
            secrets: how many there are.
        """
        return None if self.price is None else self.price + self.gigabytes * _GIGABYTE + secrets * _SECRET


_RDS = "https://aws.amazon.com/rds/{}/pricing/"
_AURORA = "https://aws.amazon.com/rds/aurora/pricing/"
ENDPOINT_PAGE = "https://aws.amazon.com/privatelink/pricing/"
OFFERS = {
    offer.name: offer
    for offer in (
        Offer("postgres", "RDS for PostgreSQL", "postgres", "db.t4g.micro", 0.016, _RDS.format("postgresql")),
        Offer("mysql", "RDS for MySQL", "mysql", "db.t4g.micro", 0.016, _RDS.format("mysql")),
        Offer("mariadb", "RDS for MariaDB", "mariadb", "db.t4g.micro", 0.016, _RDS.format("mariadb")),
        Offer(
            "oracle",
            "RDS for Oracle, Standard Edition 2",
            "oracle",
            "db.t3.small",
            None,
            _RDS.format("oracle"),
            minutes=70,
            licence="included in the price (Standard Edition 2)",
        ),
        Offer(
            "sqlserver",
            "RDS for SQL Server, Express Edition",
            "sqlserver",
            "db.t3.small",
            None,
            _RDS.format("sqlserver"),
            minutes=60,
            licence="included in the price (Express Edition)",
        ),
        Offer(
            "db2",
            "RDS for Db2, Standard Edition",
            "db2",
            "db.t3.small",
            None,
            _RDS.format("db2"),
            minutes=70,
            licence="your own: --ibm-site-id and --ibm-customer-id of your IBM Passport Advantage",
            licensed=True,
        ),
        Offer("aurora-postgresql", "Aurora PostgreSQL", "postgres", "db.t4g.medium", None, _AURORA, gigabytes=0),
        Offer("aurora-mysql", "Aurora MySQL", "mysql", "db.t4g.medium", None, _AURORA, gigabytes=0),
        Offer(
            "documentdb",
            "DocumentDB",
            "mongo",
            "db.t4g.medium",
            None,
            "https://aws.amazon.com/documentdb/pricing/",
            gigabytes=0,
        ),
        Offer(
            "redshift",
            "Redshift Serverless",
            "redshift",
            "4 RPU",
            1.50,
            "https://aws.amazon.com/redshift/pricing/",
            gigabytes=0,
            availability_zones=3,
        ),
    )
}
"""Each by its name."""
