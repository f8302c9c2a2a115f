"""The page's pure modules, as the browser runs them."""

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.page


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("duration(0.9)", "0 s"),
        ("duration(125)", "2 min 05 s"),
        ("duration(3 * 3600 + 61)", "3 h 01 min"),
        ("duration(50 * 3600)", "2 d 2 h"),
        ("percent(99.96)", "99.9 %"),
        ("wholePercent(99.9)", "99 %"),
        ("price(0)", "free"),
        ("price(0.0913)", "$0.091/h"),
        ("price(113.9328)", "$113.93/h"),
        ("cost(0.004)", "under $0.01"),
        ("roughly(20)", "less than a minute"),
        ("roughly(181)", "about 3 min"),
        ("parameters(8030261248)", "8 B"),
        ("ago('2026-01-01T00:00:00Z', Date.parse('2026-01-01T00:02:30Z'))", "2 min ago"),
        ("place({provider: 'gcp', region: 'us-east4', zone: 'us-east4-a'})", "Google Cloud · us-east4 · us-east4-a"),
        ("place({provider: 'local', region: '', zone: ''})", "This host"),
        ("sourceName('https://github.com/skypilot-org/skypilot-catalog/blob/x/vms.csv')", "skypilot-catalog"),
    ],
)
def test_words_for_numbers(visitor: Page, call: str, words: str) -> None:
    visitor.goto("/launch")
    assert visitor.evaluate(f"import('/assets/format.js').then((format) => format.{call})") == words


def _after(page: Page, launch: str, event: str) -> dict[str, object]:
    page.goto("/launch")
    answer = page.evaluate(f"import('/assets/launch_state.js').then(({{ after }}) => after({launch}, {event}))")
    assert isinstance(answer, dict)
    return answer


def test_an_event_that_the_last_answer_includes_changes_nothing(visitor: Page) -> None:
    old = "{id: 7, type: 'status', data: {stage: 'Starting vLLM', percentage: 90, message: '', at: ''}}"
    assert _after(visitor, "{event_id: 7, percentage: 25}", old) == {"event_id": 7, "percentage": 25}
    assert _after(visitor, "{event_id: 6, percentage: 25}", old)["percentage"] == 90


def test_a_stage_that_is_tried_again_has_a_span_of_its_own(visitor: Page) -> None:
    launch = "{timeline: [{stage: 'Requesting spot instance', started_at: 'a', ended_at: 'b'}]}"
    event = "{id: 1, type: 'status', data: {stage: 'Requesting spot instance', percentage: 25, message: '', at: 'c'}}"
    assert _after(visitor, launch, event)["timeline"] == [
        {"stage": "Requesting spot instance", "started_at": "a", "ended_at": "b"},
        {"stage": "Requesting spot instance", "started_at": "c", "ended_at": None},
    ]
