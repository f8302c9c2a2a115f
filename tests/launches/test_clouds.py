"""The program at AWS, Azure and GCP, over the real engine: up, preview, update, replace, destroy, and failover."""

from pathlib import Path

import pytest

from tests.clouds import errors

from .conftest import MACHINES, NATIVE, PLACES, Site, last

pytestmark = pytest.mark.engine

STAGES = [
    "Validating configuration",
    "Requesting spot instance",
    "Provisioning instance",
    "Installing dependencies",
    "Loading model from R2",
    "Starting vLLM",
    "Registering node",
]


@pytest.mark.parametrize("provider", ["aws", "azure", "gcp"])
def test_a_node_comes_is_changed_replaced_and_goes(site: Site, provider: str) -> None:
    launched = site.launch(provider=provider, **PLACES[provider])
    assert launched.code == 0, launched.text
    seen = [record["stage"] for record in launched.records if record["type"] == "status"]
    assert list(dict.fromkeys(seen)) == STAGES
    (first,) = site.machines(provider)
    assert first.tags["liftoff-stack"] == site.desk.stack

    stack = ("--stack", site.desk.stack, "--non-interactive")
    again = site.desk.pulumi("preview", "--expect-no-changes", *stack)
    assert again.code == 0, again.text

    changed = site.launch(provider=provider, owner="ml-team")
    assert changed.code == 0, changed.text
    (same,) = site.machines(provider)
    assert (same.id, same.tags["liftoff-owner"]) == (first.id, "ml-team")

    replaced = site.launch(provider=provider, lifetimeSeconds="7200")
    assert replaced.code == 0, replaced.text
    (second,) = site.machines(provider)
    assert second.id != first.id or second.created_at > first.created_at

    done = site.desk.run("destroy", "--stack", site.desk.stack, "--yes")
    assert done.code == 0, done.text
    assert site.clouds.truth.find() == []


def test_no_key_stands_in_plain_text_in_what_a_launch_at_a_cloud_leaves(site: Site) -> None:
    state = Path(site.desk.environment["LIFTOFF_STATE"])
    # What GitHub Actions is told is looked through, too.
    summary, step_outputs = state / "summary.md", state / "step-outputs"
    site.desk.environment.update(GITHUB_STEP_SUMMARY=str(summary), GITHUB_OUTPUT=str(step_outputs))
    launched = site.launch(provider="azure", **PLACES["azure"])
    assert launched.code == 0, launched.text
    (node,) = site.nodes.values()
    hidden = (node.settings["api_key"], node.settings["tls_key"].splitlines()[1], "X-Amz-Signature=")
    assert all(line.startswith("{") for line in launched.out.splitlines())
    assert f"{site.desk.stack}` answers after" in summary.read_text()
    assert f"https://{node.settings['server_name']}" in step_outputs.read_text()
    files = [path for path in state.rglob("*") if path.is_file()]
    for text in hidden:
        assert text not in launched.text
        assert [path for path in files if text.encode() in path.read_bytes()] == []


def test_a_plan_goes_on_until_an_offer_answers_and_leaves_nothing_else(site: Site) -> None:
    machine = MACHINES["aws"]
    for kind in ("capacity", "quota", "spot_price"):
        site.clouds.faults.add("aws", machine, error=errors.text("aws", kind))
    site.clouds.faults.add("aws", machine, error=errors.text("aws", "throttled"), times=3)
    site.fails = ["serve_failed"]
    choice = ("--provider", "aws", "--instance-type", "g6.2xlarge")
    regions = [part for region in ("us-east-1", "us-east-2", "us-west-2") for part in ("--region", region)]
    launched = site.launch(*choice, *regions)
    assert launched.code == 0, launched.text
    plan = last(launched, "plan")
    kinds = [
        attempt["failure"] and attempt["failure"]["kind"] for attempt in plan["attempts"] if not attempt["skipped"]
    ]
    assert kinds == ["capacity", "quota", "capacity", *["throttled"] * 3, "boot", None]
    places = {(attempt["offer"]["region"], attempt["offer"]["zone"]) for attempt in plan["attempts"]}
    assert len(places) >= 6
    assert len(site.machines("aws")) == 1
    assert len(site.clouds.truth.find(NATIVE["aws"], "aws:ec2/vpc:Vpc")) == 1
    done = site.desk.run("destroy", "--stack", site.desk.stack, "--yes")
    assert done.code == 0, done.text
    assert site.clouds.truth.find() == []


def test_a_machine_that_azure_could_not_allocate_is_gone_before_the_next_offer(site: Site) -> None:
    text = errors.text("azure-native", "capacity_allocation")
    site.clouds.faults.add("azure-native", MACHINES["azure"], error=text)
    choice = ("--provider", "azure", "--instance-type", PLACES["azure"]["instanceType"])
    launched = site.launch(*choice, "--region", "eastus", "--region", "westus2")
    assert launched.code == 0, launched.text
    first, second = last(launched, "plan")["attempts"]
    assert (first["failure"]["kind"], second["failure"]) == ("capacity", None)
    (left,) = site.machines("azure")
    assert left.state == "ready"


def test_a_preview_imports_the_sdk_of_its_own_cloud_only(site: Site) -> None:
    values = {**site.config, **PLACES["azure"], "provider": "azure"}
    options: list[str] = []
    for key, value in values.items():
        options += ["--plaintext", f"{key if ':' in key else f'liftoff:{key}'}={value}"]
    done = site.desk.pulumi("config", "set-all", "--path", "--stack", site.desk.stack, *options)
    assert done.code == 0, done.text
    site.desk.environment["PYTHONPROFILEIMPORTTIME"] = "1"
    shown = site.desk.pulumi("preview", "--json", "--stack", site.desk.stack, "--non-interactive")
    assert shown.code == 0, shown.text
    imported = [line.rpartition("|")[2].strip() for line in shown.text.splitlines() if "import time:" in line]
    packages = {name.partition(".")[0] for name in imported}
    assert packages.isdisjoint({"pulumi_aws", "pulumi_gcp"})
    assert "pulumi_azure_native" in packages


def test_a_plan_passes_over_what_the_quota_does_not_allow_and_makes_nothing_for_it(site: Site) -> None:
    for family in ("LowPriorityCores", "Total Regional Cores"):
        site.clouds.market.quotas["azure-native", "eastus", family] = 3
    choice = ("--provider", "azure", "--provider", "gcp", "--instance-type", PLACES["azure"]["instanceType"])
    del site.desk.environment["GOOGLE_OAUTH_ACCESS_TOKEN"]
    launched = site.launch(*choice, "--region", "eastus", "--region", "westus2")
    assert launched.code == 0, launched.text
    attempts = {one["offer"]["region"]: one for one in last(launched, "plan")["attempts"]}
    assert "36 vCPUs needed, 0 of 3 used" in attempts["eastus"]["skipped"]
    assert (attempts["westus2"]["skipped"], attempts["westus2"]["failure"]) == ("", None)
    assert [machine.region for machine in site.machines("azure")] == ["westus2"]


def test_a_launch_that_lacks_credentials_or_the_bucket_ends_before_anything_is_made(site: Site) -> None:
    wrong = {**site.config, "weights": f"{site.config['weights']}-of-nobody"}
    unread = site.desk.run("check", "--stack", site.desk.stack, "--provider", "gcp", "--json")
    assert unread.code == 13, unread.text
    lacking = site.launch(provider="gcp", **{**PLACES["gcp"], "weights": wrong["weights"]})
    assert (lacking.code, last(lacking, "error")["code"]) == (13, "check_bucket"), lacking.text
    site.desk.environment["ARM_CLIENT_SECRET"] = "a-wrong-client-secret"
    refused = site.launch(provider="azure", **PLACES["azure"])
    assert (refused.code, last(refused, "error")["kind"]) == (12, "credentials"), refused.text
    assert "a-wrong-client-secret" not in refused.text
    assert site.clouds.truth.find() == []


@pytest.mark.parametrize("provider", ["azure", "gcp"])
def test_what_check_finds_ready_is_launched(site: Site, provider: str) -> None:
    values = {**site.config, **PLACES[provider], "provider": provider}
    options: list[str] = []
    for key, value in values.items():
        options += ["--plaintext", f"{key if ':' in key else f'liftoff:{key}'}={value}"]
    done = site.desk.pulumi("config", "set-all", "--path", "--stack", site.desk.stack, *options)
    assert done.code == 0, done.text
    checked = site.desk.run("check", "--stack", site.desk.stack, "--provider", provider, "--json")
    assert checked.code == 0, checked.text
    assert {one["state"] for one in checked.records if one["type"] == "finding"} == {"ok"}
    launched = site.desk.run("launch", "--stack", site.desk.stack, "--json", "--yes")
    assert launched.code == 0, launched.text
