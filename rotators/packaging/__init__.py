"""What is deployed, as zip files: the functions and their layers, made without Docker and without AWS.

``platforms`` says for what, ``locks`` what is installed, ``wheels`` and ``bytecode`` make a folder of it, ``archive``
a zip file that is the same wherever it is made, ``cache`` keeps it, ``trust`` checks CA certificates, ``custom`` reads
somebody's own rotator, and ``bundles`` puts all of them together: the one module that the CDK app and the command ask.
"""
