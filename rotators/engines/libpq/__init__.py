"""What PostgreSQL and Redshift share: ``login`` over libpq, ``connection`` runs statements, ``session`` is the base."""
