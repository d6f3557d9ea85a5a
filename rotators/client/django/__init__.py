"""Databases of Django: persistent connections, and its pool of psycopg 3.

::

    DATABASES = {
        "default": {
            "ENGINE": "rotators.client.django.postgresql",  # or rotators.client.django.mysql
            "NAME": "shop",
            "OPTIONS": {"secret": Secret("prod/app"), "sslmode": "verify-full", "sslrootcert": "/etc/ssl/rds.pem"},
        }
    }

``OPTIONS["secret"]`` is a :class:`rotators.client.Secret`, or the id of one. Host and port come from the secret where
the settings name none. https://docs.djangoproject.com/en/stable/ref/databases/
"""
