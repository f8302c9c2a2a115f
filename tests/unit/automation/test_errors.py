import pytest
from hypothesis import given
from hypothesis import strategies as st

from automation import errors
from automation.errors import Kind
from provider.resource import Refused
from provider.status import Stage


@pytest.mark.parametrize(
    ("kind", "code", "text"),
    [
        # The vendors' own words, from their error references and from issues of their Pulumi and Terraform providers.
        (
            Kind.CAPACITY,
            "InsufficientInstanceCapacity",
            "creating EC2 Instance: operation error EC2: RunInstances, https response error StatusCode: 500, api error "
            "InsufficientInstanceCapacity: There is no Spot capacity available that matches your request.",
        ),
        (
            Kind.QUOTA,
            "MaxSpotInstanceCountExceeded",
            "api error MaxSpotInstanceCountExceeded: Max spot instance count exceeded",
        ),
        (
            Kind.CREDENTIALS,
            "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
            "api error AuthFailure.ServiceLinkedRoleCreationNotPermitted: The provided credentials do not have "
            "permission to create the service-linked role for EC2 Spot Instances.",
        ),
        (Kind.CREDENTIALS, "UnauthorizedOperation", "api error UnauthorizedOperation: You are not authorized"),
        (Kind.THROTTLED, "RequestLimitExceeded", "api error RequestLimitExceeded: Request limit exceeded."),
        (
            Kind.CONFIGURATION,
            "Unsupported",
            "api error Unsupported: Your requested instance type (g6.xlarge) is not supported in your requested "
            "Availability Zone (us-east-1e).",
        ),
        (
            Kind.CAPACITY,
            "SkuNotAvailable",
            'Code="SkuNotAvailable" Message="The requested size is currently not available in location eastus."',
        ),
        (
            Kind.CONFIGURATION,
            "SkuNotAvailable",
            'Code="SkuNotAvailable" Message="The requested VM size is restricted in this region."',
        ),
        (
            Kind.QUOTA,
            "OperationNotAllowed",
            'Code="OperationNotAllowed" Message="Operation could not be completed as it results in exceeding approved '
            'LowPriorityCores quota."',
        ),
        (
            Kind.QUOTA,
            "PREEMPTIBLE_NVIDIA_L4_GPUS",
            "googleapi: Error 403: Quota 'PREEMPTIBLE_NVIDIA_L4_GPUS' exceeded. Limit: 0.0 in region us-central1.",
        ),
        (
            Kind.CAPACITY,
            "capacity",
            "The zone 'projects/p/zones/us-c1-a' does not have enough resources available to fulfill the request.",
        ),
        (Kind.THROTTLED, "throttled", "Error 403: Quota exceeded for quota metric 'Queries' and limit 'per minute'"),
        (
            Kind.CONFIGURATION,
            "validating_stack_config",
            "error: validating stack config: Stack 'dev' is missing configuration value 'liftoff:model'",
        ),
        (Kind.CREDENTIALS, "incorrect_passphrase", "error: could not deserialize deployment: incorrect passphrase"),
    ],
)
def test_a_clouds_words_are_sorted_by_what_to_do_next(kind: Kind, code: str, text: str) -> None:
    failure = errors.classify(text, Stage.REQUEST, "dev-machine")
    assert (failure.kind, failure.code, failure.resource) == (kind, code, "dev-machine")
    assert failure.hint
    assert failure.raw == text


def test_what_our_plugin_refuses_comes_back_whole() -> None:
    refused = Refused(
        "boot", "serve_failed", "serve: vLLM ended", hint="read the lines", log=("one", "  two", "ValueError: [x/y] z")
    )
    failure = errors.classify(str(refused), Stage.SERVE, "dev-readiness")
    assert (failure.kind, failure.code) == (Kind.BOOT, "serve_failed")
    assert failure.message == "serve: vLLM ended"
    assert failure.hint == "read the lines"
    assert failure.log == ("one", "  two", "ValueError: [x/y] z")


def test_a_message_of_several_lines_is_kept_before_its_hint() -> None:
    failure = errors.classify("[configuration/x] first\nsecond\nhint: do it", Stage.VALIDATE)
    assert (failure.message, failure.hint) == ("first\nsecond", "do it")


def test_the_engines_words_around_ours_do_not_hide_them() -> None:
    text = "rpc error: code = Unknown desc = [credentials/storage_denied] could not read x\nhint: check the keys"
    failure = errors.classify(text, Stage.REQUEST)
    assert (failure.kind, failure.code, failure.message) == (Kind.CREDENTIALS, "storage_denied", "could not read x")


def test_an_operation_that_was_cancelled_is_no_failure_of_a_cloud() -> None:
    refused = Refused("unknown", "cancelled", "the update was cancelled", hint="again")
    assert errors.classify(str(refused), Stage.REQUEST).kind is Kind.CANCELLED


def test_a_programs_traceback_is_told_with_its_last_frame_alone() -> None:
    text = (
        "error: Program failed with an unhandled exception:\nTraceback (most recent call last):\n"
        '  File "/p/__main__.py", line 8, in <module>\n    asked = settings.load()\n            ^^^^^^^^^^^^^^^\n'
        "components.settings.SettingsRefused: liftoff:model: given nothing; allowed: a name"
    )
    failure = errors.classify(text, Stage.VALIDATE)
    assert failure.kind is Kind.CONFIGURATION
    assert failure.message.splitlines() == [
        "error: Program failed with an unhandled exception:",
        "components.settings.SettingsRefused: liftoff:model: given nothing; allowed: a name",
        'File "/p/__main__.py", line 8, in <module>',
    ]


@given(st.text())
def test_any_text_is_classified_and_kept(text: str) -> None:
    failure = errors.classify(text, Stage.REQUEST)
    assert failure.raw == text
    assert failure.message
    assert failure.retryable == failure.kind.retryable


def test_each_kind_has_an_exit_code_of_its_own() -> None:
    codes = [kind.exit_code for kind in Kind]
    assert len(set(codes)) == len(codes)
    assert 2 not in codes, "2 is a wrong use of the command line"
