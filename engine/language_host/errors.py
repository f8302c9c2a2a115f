"""What the language host tells a user when it can't go on."""


class HostError(Exception):
    """A request can't be carried out; the message is written for the person at `pulumi`."""
