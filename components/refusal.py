"""What can't be made as it was asked for."""


class Refusal(Exception):  # noqa: N818 - named after the decision
    """The stack's config asks for what can't be; the text is for the user, and nothing has been made."""
