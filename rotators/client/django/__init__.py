"""Django's databases: persistent connections, and Django's pool for psycopg 3.

::

    DATABASES = {
        "default": {
            "ENGINE": "rotators.client.django.postgresql",  # or rotators.client.django.mysql
            "NAME": "shop",
            "OPTIONS": {"secret": Secret("prod/app"), "sslmode": "verify-full", "sslrootcert": "/etc/ssl/rds.pem"},
        }
    }

``OPTIONS["secret"]`` is a :class:`rotators.client.Secret` or a secret's id. Host and port come from the secret if the
settings do not name them. https://docs.djangoproject.com/en/stable/ref/databases/
"""
