"""What a cloud's API answers when it does not do what it was asked."""

from typing import Final

_PASSING_STATUSES: Final = frozenset({429, 500, 502, 503, 504})
_PASSING_CODES: Final = frozenset(
    # EC2 tells its limits with 400 or with 503: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    {"unreachable", "InternalError", "RequestLimitExceeded", "ServiceUnavailable", "Throttling", "Unavailable"}
)


class Refused(Exception):  # noqa: N818 - named after what happened
    """A cloud's API refused a request, or could not be asked.

    Attributes:
        code: the cloud's own word; `no_credentials` where there are none, `unreachable` where nobody answered.
        status: the HTTP status; 0 where there was no answer.
    """

    def __init__(self, code: str, message: str, status: int = 0) -> None:
        self.code = code
        self.status = status
        super().__init__(message)

    @property
    def passes(self) -> bool:
        """Whether it may be over in a moment."""
        return self.status in _PASSING_STATUSES or self.code in _PASSING_CODES
