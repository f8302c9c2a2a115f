import pytest
from hypothesis import given
from hypothesis import strategies as st

from automation import cloud_errors, errors
from automation.errors import Kind
from provider.resource import Refused
from provider.status import Stage

ROWS = [(provider, row) for provider in cloud_errors.PROVIDERS for row in cloud_errors.table(provider)]


@pytest.mark.parametrize(("provider", "row"), ROWS, ids=[f"{provider}-{row.code}" for provider, row in ROWS])
def test_every_answer_of_a_cloud_is_known_by_a_real_reports_words(provider: str, row: cloud_errors.Row) -> None:
    found = cloud_errors.find(row.example)
    assert found is not None
    assert found[0] == row, "a row before it takes its text"
    failure = errors.classify(row.example, Stage.REQUEST, "dev-machine")
    assert (failure.kind.title, failure.scope, failure.hint) == (row.kind, row.scope, row.advice)
    assert failure.raw == row.example
    assert (row.scope is cloud_errors.Scope.NONE) == (row.seconds == 0)


def test_the_exact_code_is_kept() -> None:
    text = "Quota 'PREEMPTIBLE_NVIDIA_L4_GPUS' exceeded.  Limit: 0.0 in region us-central1."
    assert errors.classify(text, Stage.REQUEST).code == "PREEMPTIBLE_NVIDIA_L4_GPUS"


def test_a_missing_role_is_no_lack_of_capacity() -> None:
    (row,) = [row for row in cloud_errors.table("aws") if "ServiceLinkedRole" in row.code]
    assert errors.classify(row.example, Stage.REQUEST).kind is Kind.CREDENTIALS


@pytest.mark.parametrize(
    ("kind", "code", "text"),
    [
        (
            Kind.CONFIGURATION,
            "validating_stack_config",
            "error: validating stack config: Stack 'dev' is missing configuration value 'liftoff:model'",
        ),
        (Kind.CREDENTIALS, "incorrect_passphrase", "error: could not deserialize deployment: incorrect passphrase"),
        (
            Kind.UNKNOWN,
            "provider_died",
            'connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:33985: connect: '
            'connection refused"',
        ),
    ],
)
def test_the_engines_words_are_sorted_by_what_to_do_next(kind: Kind, code: str, text: str) -> None:
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
