"""One Lambda handler per engine, named as the secret's ``engine``."""
