"""Which quota counts an instance type of AWS. Pure."""

import re
from typing import Final

SPOT: Final = (
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-limits.html links each name to its code.
    (re.compile(r"(?:gr?|vt)\d"), "L-3819A6DF", "All G and VT Spot Instance Requests"),
    (re.compile(r"p[234]"), "L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests"),
    (re.compile(r"p5"), "L-C4BD4855", "All P5 Spot Instance Requests"),
)
ON_DEMAND: Final = (
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html#ec2-on-demand-instances-limits
    (re.compile(r"(?:gr?|vt)\d"), "L-DB2E81BA", "Running On-Demand G and VT instances"),
    (re.compile(r"p[2345]"), "L-417A185B", "Running On-Demand P instances"),
)
"""P6 is in neither: reports contradict each other on which quota counts it."""


def of(instance_type: str, *, spot: bool) -> tuple[str, str] | None:
    """Return a quota's code and name, or None where it is not known which one counts the type."""
    table = SPOT if spot else ON_DEMAND
    return next(((code, name) for pattern, code, name in table if pattern.match(instance_type)), None)
