"""Amazon's API through boto3, with the credentials that the provider `aws` uses."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.loaders import Loader

from automation.cloud_api.refused import Refused

QUICK = Config(
    connect_timeout=5,
    read_timeout=20,
    retries={"max_attempts": 2, "mode": "standard"},
    # Some questions are asked side by side.
    max_pool_connections=32,
)
"""For questions that a person waits for; times in seconds."""


_NO_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    ProfileNotFound,
    # A login by SSO that has run out.
    SSOError,
    TokenRetrievalError,
)


class _Models(Loader):
    """The descriptions of Amazon's services, read once: those of EC2 alone take 40 MiB in each session otherwise."""

    @property
    def search_paths(self) -> list[str]:
        """Where they are; whoever adds a place, as each session does, adds it for itself."""
        return list(super().search_paths)


_MODELS: Final = _Models(include_default_search_paths=True)


def session() -> boto3.Session:
    """Return a session of the credentials in the environment, a profile or the instance's role."""
    made = botocore.session.get_session()
    made.register_component("data_loader", _MODELS)
    return boto3.Session(botocore_session=made)


@contextmanager
def answers() -> Iterator[None]:
    """Turn what boto3 raises into `Refused`.

    Raises:
        Refused: AWS refused, or could not be asked.
    """
    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        raise Refused(told.get("Code", "Unknown"), told.get("Message", str(error)), status) from error
    except _NO_CREDENTIALS as error:
        raise Refused("no_credentials", str(error)) from error
    except BotoCoreError as error:
        raise Refused("unreachable", str(error)) from error
