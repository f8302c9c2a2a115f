"""Amazon's API through boto3, with the credentials that the provider `aws` uses."""

from collections.abc import Iterator
from contextlib import contextmanager

import boto3
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


def session() -> boto3.Session:
    """Return a session of the credentials in the environment, a profile or the instance's role."""
    return boto3.Session()


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
