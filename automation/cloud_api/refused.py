"""What a cloud's API answers when it does not do what it was asked."""


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
