"""Where a page of launches ends, as text that goes over the wire and back."""

import base64
import binascii


def write(at: float, launch_id: str) -> str:
    """Return the place of a launch in the order by creation."""
    return base64.urlsafe_b64encode(f"{at!r} {launch_id}".encode()).decode()


def read(text: str) -> tuple[float, str]:
    """Return the place that a text holds.

    Raises:
        ValueError: it holds none.
    """
    try:
        at, launch_id = base64.urlsafe_b64decode(text.encode()).decode().split(" ", 1)
        return float(at), launch_id
    except (ValueError, binascii.Error, UnicodeError) as error:
        raise ValueError(text) from error
