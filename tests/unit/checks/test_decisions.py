"""What the numbers and the patterns mean: without any cloud."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automation.checks import aws_quotas, azure_actions, quota
from automation.checks.azure_actions import Granted
from automation.checks.finding import CREDENTIALS, LOG_IN, QUOTA, Finding, State, of_refusal, worst
from automation.checks.gcp import metric
from automation.checks.hiding import Hiding
from automation.checks.quota import Quota
from automation.cloud_api.refused import Refused
from automation.errors import Kind
from components import catalog

NUMBERS = st.integers(min_value=0, max_value=10_000)
NAMES = st.lists(
    st.sampled_from(["Microsoft.Compute", "virtualMachines", "disks", "write", "delete", "*"]), min_size=1, max_size=4
).map("/".join)


def made(limit: float, used: float, needed: int) -> Quota:
    return Quota("Spot", "r1", limit, used, needed, "vCPUs", "ask for more")


@given(limit=NUMBERS, used=NUMBERS, needed=st.integers(min_value=1, max_value=500))
def test_a_quota_has_room_exactly_where_what_is_left_is_enough(limit: int, used: int, needed: int) -> None:
    one = made(limit, used, needed)
    assert one.is_short == (limit - used < needed)
    assert one.is_too_low == (limit < needed)
    assert bool(quota.why_not([one])) == one.is_short
    state = quota.finding("aws", "m", [one]).state
    assert (state is State.MISSING) == one.is_short


def test_a_quota_without_a_limit_has_room() -> None:
    assert not made(-1, 500, 8).is_short


def test_a_quota_that_is_too_low_is_told_with_all_three_numbers_and_how_more_is_asked_for() -> None:
    found = quota.finding("azure", "a machine", [made(100, 0, 36), made(3, 1, 36)])
    assert (found.state, found.kind, found.hint) == (State.MISSING, Kind.QUOTA, "ask for more")
    assert found.message == "a machine: Spot in r1: 36 vCPUs needed, 1 of 3 used"


def test_where_no_quota_is_known_nothing_is_claimed() -> None:
    assert quota.finding("aws", "m", []).state is State.UNKNOWN
    assert quota.why_not([]) == ""


@pytest.mark.parametrize(
    ("instance_type", "spot", "code"),
    [
        ("g6.2xlarge", True, "L-3819A6DF"),
        ("g6.2xlarge", False, "L-DB2E81BA"),
        ("gr6.4xlarge", True, "L-3819A6DF"),
        ("p4d.24xlarge", True, "L-7212CCBC"),
        ("p5en.48xlarge", True, "L-C4BD4855"),
        ("p5.48xlarge", False, "L-417A185B"),
        ("p6-b200.48xlarge", True, None),
        ("p6-b200.48xlarge", False, None),
        ("m7i.large", True, None),
    ],
)
def test_each_family_of_aws_is_counted_by_its_own_quota(instance_type: str, spot: bool, code: str | None) -> None:
    found = aws_quotas.of(instance_type, spot=spot)
    assert (found and found[0]) == code


@pytest.mark.parametrize(
    ("gpu", "spot", "name"),
    [
        ("L4", True, "PREEMPTIBLE_NVIDIA_L4_GPUS"),
        ("A100-80", False, "NVIDIA_A100_80GB_GPUS"),
        ("RTX-PRO-6000", True, ""),
    ],
)
def test_each_gpu_of_gcp_is_counted_by_its_own_quota(gpu: str, spot: bool, name: str) -> None:
    assert metric(gpu, spot=spot) == name
    assert catalog.gpu(gpu).name == gpu


@pytest.mark.parametrize(
    ("actions", "not_actions", "allowed"),
    [
        (["*"], [], True),
        (["Microsoft.Compute/*"], [], True),
        (["microsoft.compute/virtualmachines/*"], [], True),
        (["*/write"], [], True),
        (["Microsoft.Compute/*/write"], [], True),
        (["Microsoft.Compute/virtualMachines/read"], [], False),
        (["Microsoft.Network/*"], [], False),
        (["*"], ["Microsoft.Compute/*"], False),
        (["*"], ["Microsoft.Authorization/*/Write"], True),
        (["MicrosoftxCompute/virtualMachines/write"], [], False),
        ([], [], False),
    ],
)
def test_a_role_allows_what_its_actions_name_and_its_not_actions_do_not(
    actions: list[str], not_actions: list[str], allowed: bool
) -> None:
    role = Granted.read({"actions": actions, "notActions": not_actions})
    assert role.allows("Microsoft.Compute/virtualMachines/write") == allowed


@given(one=NAMES, other=NAMES, action=NAMES.filter(lambda name: "*" not in name))
def test_what_one_role_leaves_out_another_one_grants(one: str, other: str, action: str) -> None:
    without = Granted(("*",), (one,))
    assert azure_actions.missing([action], [Granted((other,)), Granted(("*",))]) == []
    assert azure_actions.missing([action], [without]) == ([] if without.allows(action) else [action])
    assert azure_actions.missing([action], []) == [action]


@pytest.mark.parametrize(
    ("error", "state", "kind"),
    [
        (Refused("no_credentials", "none"), State.MISSING, Kind.CREDENTIALS),
        (Refused("ExpiredToken", "old", 403), State.MISSING, Kind.CREDENTIALS),
        (Refused("whatever", "who?", 401), State.MISSING, Kind.CREDENTIALS),
        (Refused("RequestLimitExceeded", "slow down", 503), State.UNKNOWN, Kind.THROTTLED),
        (Refused("TooMany", "slow down", 429), State.UNKNOWN, Kind.THROTTLED),
        (Refused("unreachable", "nobody"), State.UNKNOWN, None),
        (Refused("AccessDeniedException", "no", 403), State.UNKNOWN, None),
    ],
)
@pytest.mark.parametrize("provider", LOG_IN)
def test_a_look_up_that_is_refused_stands_in_the_way_only_where_a_launch_would_be_refused_too(
    provider: str, error: Refused, state: State, kind: Kind | None
) -> None:
    found = of_refusal(provider, QUOTA, error)
    assert (found.state, found.kind) == (state, kind)


def test_credentials_that_nobody_could_verify_are_not_called_good() -> None:
    assert of_refusal("aws", CREDENTIALS, Refused("unreachable", "nobody")).kind is Kind.UNKNOWN


def test_the_exit_code_is_that_of_what_has_to_be_repaired_first() -> None:
    kinds = [Kind.THROTTLED, Kind.QUOTA, Kind.CONFIGURATION, Kind.CREDENTIALS]
    findings = [Finding("aws", QUOTA, State.MISSING, "", kind=kind) for kind in kinds]
    for number in range(1, len(findings) + 1):
        assert worst(findings[:number]) is kinds[number - 1]
    assert worst([Finding("aws", QUOTA, State.UNKNOWN, "")]) is None


@given(secret=st.text(alphabet="abcXYZ0123456789/+", min_size=6, max_size=40), before=st.text(), after=st.text())
def test_no_key_is_left_in_what_is_told(secret: str, before: str, after: str) -> None:
    key_file = '{"type": "service_account", "private_key": "first line\\nsecond line"}'
    told = Hiding([secret, key_file, "abc"]).text(f"{before}{secret}{after} second line")
    assert secret not in told.replace("[secret]", "")
    assert "second line" not in told
