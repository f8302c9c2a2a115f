"""What each cloud says before it takes a machine back, asked for as the clouds say, and not believed blindly."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from boot import notices
from boot.metadata import Metadata, MetadataSilent
from boot.notices import Aws, Azure, Gcp, Notice, Unreadable
from hypothesis import given
from hypothesis import strategies as st

from tests.clouds.metadata_service import MetadataService, event, served

NOW = 1_800_000_000.0


@pytest.fixture
def service() -> Iterator[MetadataService]:
    with served() as made:
        yield made


@pytest.fixture
def aws(service: MetadataService) -> Aws:
    return Aws(Metadata(service.url), lambda: NOW)


@pytest.fixture
def azure(service: MetadataService) -> Azure:
    return Azure(Metadata(service.url), lambda: NOW)


@pytest.fixture
def gcp(service: MetadataService) -> Gcp:
    return Gcp(Metadata(service.url), lambda: NOW)


def test_ec2_has_no_notice_until_it_has_one_and_says_when_it_begins(service: MetadataService, aws: Aws) -> None:
    assert aws.look() is None
    service.action = '{"action": "terminate", "time": "2027-01-15T08:02:00Z"}'
    assert aws.look() == Notice("interruption", "terminate", NOW, NOW + 120)


def test_a_rebalance_recommendation_is_a_warning_that_an_interruption_outranks(
    service: MetadataService, aws: Aws
) -> None:
    service.recommend_rebalance()
    assert aws.look() == Notice("rebalance", "rebalance", NOW, None)
    service.interrupt_aws()
    found = aws.look()
    assert found is not None
    assert found.kind == "interruption"


def test_one_token_serves_until_ec2_refuses_it_and_then_there_is_a_new_one(service: MetadataService, aws: Aws) -> None:
    aws.look()
    aws.look()
    assert sum(method == "PUT" for method, _ in service.asked) == 1
    service.tokens.clear()
    service.interrupt_aws()
    assert aws.look() is not None
    assert sum(method == "PUT" for method, _ in service.asked) == 2


def test_no_proxy_of_the_environment_answers_for_another_machine(
    aws: Aws, service: MetadataService, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert aws.look() is None
    assert len(service.asked) == 3


@pytest.mark.parametrize("text", ["", "terminate", "[]", "{}", '{"action": "terminate"}', '{"action": 1, "time": "x"}'])
def test_what_is_no_notice_of_ec2_is_none(service: MetadataService, aws: Aws, text: str) -> None:
    service.action = text
    with pytest.raises(Unreadable):
        aws.look()


def test_azure_announces_a_preemption_among_other_events(service: MetadataService, azure: Azure) -> None:
    assert azure.look() is None
    service.events = [event("Reboot", "Fri, 15 Jan 2027 07:00:00 GMT"), event("Freeze", "")]
    assert azure.look() is None
    service.events.append(event("Preempt", "Fri, 15 Jan 2027 08:00:30 GMT"))
    assert azure.look() == Notice("interruption", "preempt", NOW, NOW + 30)


def test_a_preemption_of_azures_that_has_started_leaves_no_time(service: MetadataService, azure: Azure) -> None:
    service.events = [event("Preempt", "", "Started")]
    found = azure.look()
    assert found is not None
    assert found.deadline == NOW


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"Events": {}}', '{"Events": [1]}'])
def test_what_are_no_events_of_azure_are_none(service: MetadataService, azure: Azure, text: str) -> None:
    service.events = text
    with pytest.raises(Unreadable):
        azure.look()


def test_a_time_of_azures_that_is_none_is_not_taken_for_one(service: MetadataService, azure: Azure) -> None:
    service.events = [event("Preempt", "soon")]
    with pytest.raises(Unreadable):
        azure.look()


def test_compute_engine_answers_the_hanging_question_at_the_moment_of_preemption(
    service: MetadataService, gcp: Gcp
) -> None:
    assert gcp.look() is None
    found: list[Notice | None] = []
    asking = threading.Thread(target=lambda: found.append(gcp.look()))
    asking.start()
    until(lambda: len(service.asked) == 2)
    assert found == []
    service.preempt_gcp()
    asking.join(5)
    assert found == [Notice("interruption", "preempted", NOW, NOW + 30)]
    assert "wait_for_change=true" in service.asked[1][1]


def test_a_preemption_between_two_questions_is_not_missed(service: MetadataService, gcp: Gcp) -> None:
    assert gcp.look() is None
    service.preempt_gcp()
    assert gcp.look() is not None


def test_a_look_at_once_does_not_hang(service: MetadataService, gcp: Gcp) -> None:
    assert gcp.look() is None
    assert gcp.look(at_once=True) is None
    assert service.asked[1] == ("GET", "/computeMetadata/v1/instance/preempted")


def test_what_is_neither_true_nor_false_is_no_preemption_and_hides_none(service: MetadataService, gcp: Gcp) -> None:
    service.set_preempted("<html>")
    with pytest.raises(Unreadable):
        gcp.look()
    service.set_preempted("TRUE")
    assert gcp.look() is not None


@pytest.mark.parametrize("status", ["400", "404", "410", "429", "500", "503"])
@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_a_refusal_is_no_notice_and_the_next_look_is_a_new_one(
    request: pytest.FixtureRequest, service: MetadataService, cloud: str, status: str
) -> None:
    source = request.getfixturevalue(cloud)
    service.faults.append(status)
    with pytest.raises(Unreadable, match=status):
        source.look()
    assert source.look() is None


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_a_service_that_does_not_answer_is_given_up(
    request: pytest.FixtureRequest, service: MetadataService, cloud: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "_SECONDS", 0.1)
    monkeypatch.setattr(notices, "_AZURE_FIRST_SECONDS", 0.1)
    source = request.getfixturevalue(cloud)
    service.faults.append("hang")
    with pytest.raises(MetadataSilent):
        source.look()
    assert source.look() is None


def test_nobody_at_the_address_is_no_notice() -> None:
    with pytest.raises(MetadataSilent):
        Aws(Metadata("http://127.0.0.1:9")).look()


@given(text=st.text(max_size=200))
def test_no_text_of_a_cloud_breaks_the_one_who_reads_it(text: str) -> None:
    for read in (notices.aws_interruption, notices.aws_rebalance, notices.azure_preempt):
        with contextlib.suppress(Unreadable):
            read(text, NOW)


def until(look: Callable[[], bool]) -> None:
    limit = time.monotonic() + 10
    while not look():
        assert time.monotonic() < limit
        time.sleep(0.01)
