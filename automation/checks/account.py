"""What checks ask of a cloud's account, and how one is opened with the credentials that the provider uses."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from automation.checks.finding import Finding
from automation.checks.machine import Machine
from automation.checks.quota import Quota
from automation.cloud_api.refused import Refused


class Account(Protocol):
    """One cloud, as its credentials open it. Every method raises `Refused` when the cloud can't be asked."""

    def who(self) -> Finding:
        """Return whose credentials they are; asks the cloud whether they work."""

    def rights(self, machine: Machine) -> tuple[Finding, ...]:
        """Return what a launch of this machine may not do, and what has to be switched on first."""

    def quotas(self, machine: Machine) -> tuple[Quota, ...]:
        """Return the quotas that count this machine; none where it is not known which do."""


def connect(provider: str, environment: Mapping[str, str], region: str = "") -> Account:
    """Return a cloud's account.

    Args:
        provider: `aws`, `azure` or `gcp`.
        environment: the variables that the provider reads.
        region: where it is asked who it is; AWS only.

    Raises:
        Refused: there are no credentials.
    """
    # Each SDK takes a quarter of a second to import, and most stacks use one cloud.
    if provider == "aws":
        from automation.checks.aws import AwsAccount

        return AwsAccount(region or "us-east-1")
    if provider == "azure":
        from automation.checks.azure import AzureAccount
        from automation.cloud_api.azure import Azure

        return AzureAccount(Azure.connect(environment))
    from automation.checks.gcp import GcpAccount
    from automation.cloud_api.gcp import Gcp

    return GcpAccount(Gcp.connect(environment=environment))


@contextmanager
def understood() -> Iterator[None]:
    """Turn the failure to read an answer into a refusal, so that it is told as unknown and ends nothing.

    Raises:
        Refused: the answer was not understood.
    """
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise Refused("not_understood", f"the answer is not as it is documented ({type(error).__name__})") from error
