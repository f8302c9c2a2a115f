"""What a check found: one line for a person, and what it means for the exit code."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from automation.cloud_api.refused import Refused
from automation.errors import Kind

CREDENTIALS: Final = "credentials"
PERMISSIONS: Final = "permissions"
QUOTA: Final = "quota"
SERVICES: Final = "services"
SPOT_ROLE: Final = "spot role"
BUCKET: Final = "bucket"
MAILBOX: Final = "mailbox"
STORAGE: Final = "storage"
"""Stands where a cloud's name does, for findings on the bucket."""


class State(StrEnum):
    """How a check ended. `unknown` is what could not be looked up, `skipped` what there was no reason to look up."""

    OK = "ok"
    MISSING = "missing"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        provider: the cloud, or `storage`.
        subject: what was looked up, such as `credentials` or `quota`.
        state: how it ended.
        message: what was found.
        hint: what to do next; empty where there is nothing to do.
        kind: the sort of failure that a launch would end with; None where it stands in no launch's way.
    """

    provider: str
    subject: str
    state: State
    message: str
    hint: str = ""
    kind: Kind | None = None


_WORST_FIRST: Final = (Kind.CREDENTIALS, Kind.CONFIGURATION, Kind.QUOTA, Kind.THROTTLED, Kind.UNKNOWN)
"""Without credentials nothing else is known; a setting is quicker to change than a quota; throttling passes."""


def worst(findings: Iterable[Finding]) -> Kind | None:
    """Return the kind that says most about what to do first, or None where nothing stands in the way."""
    kinds = {finding.kind for finding in findings}
    return next((kind for kind in _WORST_FIRST if kind in kinds), None)


_REJECTED: Final = frozenset(
    {
        # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html#CommonErrors and STS's own.
        *("AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch"),
        *("ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidToken", "OptInRequired"),
        # https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors
        *("InvalidAuthenticationToken", "ExpiredAuthenticationToken", "InvalidAuthenticationTokenTenant"),
        *("invalid_client", "unauthorized_client", "invalid_grant", "SubscriptionNotFound"),
        # https://cloud.google.com/apis/design/errors#error_model
        "UNAUTHENTICATED",
    }
)
_THROTTLED: Final = frozenset(
    {
        *("RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequests", "TooManyRequestsException"),
        *("OperationNotAllowedTooManyRequests", "RESOURCE_EXHAUSTED", "rateLimitExceeded"),
    }
)
_ABSENT: Final = frozenset({"no_credentials", "no_project", "no_subscription"})
UNREACHABLE: Final = frozenset({"unreachable", "time_limit"})
NOT_ASKED: Final = _ABSENT | UNREACHABLE
"""Codes of refusals that are no cloud's answer."""


def has_no_credentials(error: Refused) -> bool:
    """Tell whether nobody was asked, since there is nothing to ask with."""
    return error.code in _ABSENT


def rejects_credentials(error: Refused) -> bool:
    """Tell whether a cloud does not take the credentials themselves, whatever they are used for."""
    return error.code in _REJECTED or error.status == 401


def is_throttled(error: Refused) -> bool:
    """Tell whether a cloud asks to be asked less often."""
    return error.code in _THROTTLED or error.status == 429


def of_refusal(provider: str, subject: str, error: Refused) -> Finding:
    """Return what a cloud's refusal of a look-up means: mostly that the matter is not known."""
    told = _first_line(error)
    if has_no_credentials(error):
        return Finding(provider, subject, State.MISSING, f"no credentials: {told}", LOG_IN[provider], Kind.CREDENTIALS)
    if rejects_credentials(error):
        text = f"the credentials are refused: {told}"
        return Finding(provider, subject, State.MISSING, text, LOG_IN[provider], Kind.CREDENTIALS)
    if is_throttled(error):
        hint = "wait a minute and run the same command again"
        return Finding(provider, subject, State.UNKNOWN, f"asked too often: {told}", hint, Kind.THROTTLED)
    # A launch may do without knowing a quota; credentials that nobody could verify are nothing to rest on.
    kind = Kind.UNKNOWN if subject == CREDENTIALS else None
    if error.code in UNREACHABLE:
        hint = "look at the network and the proxy"
        return Finding(provider, subject, State.UNKNOWN, f"nobody answered: {told}", hint, kind)
    return Finding(provider, subject, State.UNKNOWN, f"could not be looked up: {told}", "", kind)


LOG_IN: Final = {
    "aws": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (docs/clouds.md)",
    "azure": "az login, or set ARM_CLIENT_ID, ARM_CLIENT_SECRET, ARM_TENANT_ID, ARM_SUBSCRIPTION_ID (docs/clouds.md)",
    "gcp": "gcloud auth application-default login, or set GOOGLE_CREDENTIALS; and gcp:project (docs/clouds.md)",
}
"""How each cloud is given credentials."""


def _first_line(error: Refused) -> str:
    lines = str(error).strip().splitlines()
    told = lines[0][:300] if lines else "without a word"
    return told if error.code in NOT_ASKED else f"{error.code}: {told}"
