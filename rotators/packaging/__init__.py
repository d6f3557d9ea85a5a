"""Makes the zip files to deploy, the functions and their layers, without Docker and without AWS.

``platforms`` has the target platforms, ``locks`` the locked requirements. ``wheels`` and ``bytecode`` fill a folder
with them, ``archive`` makes a reproducible zip file, ``cache`` keeps it. ``trust`` checks CA certificates, ``custom``
reads a user's own rotator. ``bundles`` combines them: the CDK app and the command use only this module.
"""
