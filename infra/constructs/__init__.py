"""One construct a file, each of use in other CDK apps as well: none of them knows of ``rotations.yaml``."""
