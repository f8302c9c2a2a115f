"""From nothing to an answered completion on a real machine, with every stage seen, and back to nothing."""

import json
import os
import ssl
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from boot import services

from .conftest import Desk, Finished

pytestmark = pytest.mark.machine

STAGES = [
    (10, "Validating configuration"),
    (25, "Requesting spot instance"),
    (45, "Provisioning instance"),
    (65, "Installing dependencies"),
    (80, "Loading model from R2"),
    (90, "Starting vLLM"),
    (100, "Registering node"),
]


def _client(outputs: dict[str, Any], key: str | None = None) -> httpx.Client:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=outputs["certificate"])
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.Client(verify=context, base_url=outputs["endpoint"], headers=headers, timeout=60, trust_env=False)


def test_it_ends_with_a_node_that_is_registered(launched: tuple[Desk, Finished]) -> None:
    _, launch = launched
    assert launch.code == 0, launch.text


def test_every_stage_is_seen_in_order_and_the_percentage_never_falls(launched: tuple[Desk, Finished]) -> None:
    _, launch = launched
    seen = [(record["percent"], record["stage"]) for record in launch.records if record["type"] == "status"]
    assert list(dict.fromkeys(stage for _, stage in seen)) == [title for _, title in STAGES]
    assert all(before <= after for (before, _), (after, _) in pairwise(seen))
    first = {stage: percent for percent, stage in reversed(seen)}
    for (start, title), (following, _) in pairwise(STAGES):
        assert start <= first[title] < following
    assert seen[-1] == STAGES[-1]


def test_the_endpoint_answers_a_completion(launched: tuple[Desk, Finished]) -> None:
    desk, _ = launched
    outputs = desk.outputs()
    with _client(outputs, outputs["apiKey"]) as client:
        answer = client.post("/v1/completions", json={"model": "tiny-llama", "prompt": "Hello", "max_tokens": 4})
        chat = client.post(
            "/v1/chat/completions",
            json={"model": "tiny-llama", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4},
        )
    assert answer.json()["usage"]["completion_tokens"] > 0
    assert chat.json()["choices"][0]["message"]["role"] == "assistant"


def test_vllms_own_metrics_tell_how_much_it_has_to_do(launched: tuple[Desk, Finished]) -> None:
    outputs = launched[0].outputs()
    with _client(outputs, outputs["apiKey"]) as client:
        assert "vllm:num_requests_running" in client.get("/metrics").text


@pytest.mark.parametrize("route", ["/v1/models", "/health", "/metrics", "/v1/completions"])
@pytest.mark.parametrize("key", [None, "wrong"])
def test_no_route_answers_without_the_key(launched: tuple[Desk, Finished], route: str, key: str | None) -> None:
    with _client(launched[0].outputs(), key) as client:
        assert client.get(route).status_code == httpx.codes.UNAUTHORIZED


@pytest.mark.parametrize("route", ["/tokenize", "/invocations", "/docs", "/pause", "/version"])
def test_a_route_that_is_none_of_openais_is_closed_even_with_the_key(
    launched: tuple[Desk, Finished], route: str
) -> None:
    outputs = launched[0].outputs()
    with _client(outputs, outputs["apiKey"]) as client:
        assert client.get(route).status_code == httpx.codes.NOT_FOUND
        assert client.post(route, json={}).status_code == httpx.codes.NOT_FOUND


def test_plain_http_is_not_spoken(launched: tuple[Desk, Finished]) -> None:
    url = launched[0].outputs()["endpoint"].replace("https:", "http:")
    with httpx.Client(trust_env=False, timeout=10) as client:
        try:
            assert client.get(f"{url}/v1/models").status_code == httpx.codes.BAD_REQUEST
        except httpx.TransportError:
            return


def test_nothing_secret_stands_in_plain_text_anywhere(launched: tuple[Desk, Finished]) -> None:
    desk, launch = launched
    outputs = desk.outputs()
    state = Path(desk.environment["LIFTOFF_STATE"])
    keys = Path(desk.environment["LIFTOFF_KEYS"])
    secrets = {outputs["apiKey"]}
    exported = desk.pulumi("stack", "export", "--stack", desk.stack, "--show-secrets").out
    secrets |= {part.split('"')[0] for part in exported.split("X-Amz-Signature=")[1:]}
    secrets |= {(keys / name).read_text().strip() for name in ("passphrase",)}
    secrets |= {"BEGIN PRIVATE KEY"}
    assert len(secrets) >= 5
    processes = subprocess.run(["ps", "axeww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    arguments = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert "vllm" in processes
    # The state of the machines is the machine itself: its disk holds its own keys, readable by root alone.
    files = [
        path for path in state.rglob("*") if path.is_file() and not path.is_symlink() and "machines" not in path.parts
    ]
    assert any(".pulumi" in str(path) for path in files)
    for secret in secrets:
        assert secret not in launch.text
        assert secret not in arguments
        for path in files:
            assert secret.encode() not in path.read_bytes(), path
    for machine in state.rglob("machines"):
        assert (machine.stat().st_mode & 0o077) == 0 or all((p.stat().st_mode & 0o077) == 0 for p in machine.iterdir())


def _inside(desk: Desk, *command: str, text: str = "", user: int = 0) -> "subprocess.CompletedProcess[str]":
    """Run a program in the machine, as a user of it."""
    (machine,) = [record for record in desk.run("local", "list", "--json").records if record["name"] == desk.stack]
    enter = ["nsenter", "--target", str(machine["pid"]), "--all"]
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    return subprocess.run(
        [*enter, *become, *command], input=text, capture_output=True, text=True, check=False, timeout=120
    )


def test_nobody_but_root_reads_the_nodes_keys_on_the_node(launched: tuple[Desk, Finished]) -> None:
    desk, _ = launched
    exported = desk.pulumi("stack", "export", "--stack", desk.stack, "--show-secrets").out
    signatures = {part.split('"')[0] for part in exported.split("X-Amz-Signature=")[1:]}
    # Through standard input: the list of processes would show them.
    secrets = "\n".join([desk.outputs()["apiKey"], "BEGIN PRIVATE KEY", *signatures])
    folders = "/etc /var /run /tmp /srv /home /root /usr/local"
    look = f"grep -rlsF -f - {folders} /proc/[0-9]*/environ"
    seen_by_root = _inside(desk, "sh", "-c", look, text=secrets).stdout.split()
    assert {"/etc/liftoff/boot.json", "/etc/liftoff/proxy/key.pem", "/etc/liftoff/vllm.env"} <= set(seen_by_root)
    assert any(path.endswith("environ") for path in seen_by_root), "vLLM has its key from its environment"
    assert _inside(desk, "sh", "-c", look, text=secrets, user=65534).stdout == ""
    arguments = _inside(desk, "sh", "-c", "grep -lsF -f - /proc/[0-9]*/cmdline", text=secrets)
    assert arguments.stdout == ""


def test_whatever_is_written_into_a_unit_reaches_its_program_as_it_is(launched: tuple[Desk, Finished]) -> None:
    """With the machine's own systemd: what a user sets for vLLM are arguments of its unit."""
    desk, _ = launched
    words = [
        "plain",
        "a b",
        "'",
        '"',
        "\\",
        "\\n",
        "a\nb",
        "\r",
        "\t",
        "$HOME",
        "${HOME}",
        "$$",
        "%i",
        "%%",
        "%",
        ";",
        "",
        "#",
    ]
    words += [
        "-",
        "@",
        "!",
        "+x",
        "\x01\x1b\x7f",
        "é\x85\u2028",
        "a;b",
        "\\x41",
        "`id`",
        "$(id)",
        " ",
        "[Service]\nUser=root",
    ]
    program = "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ['WORD']]))"
    given = " ".join(services.unit_argument(word) for word in ["/usr/bin/python3", "-c", program, *words])
    unit = "[Service]\nType=oneshot\nEnvironmentFile=/run/echo.env\nStandardOutput=file:/run/echo.out\n"
    unit += f"ExecStart={given}\n"
    value = "\n".join(words)
    for path, text in (("system/echo.service", unit), ("../echo.env", services.environment_line("WORD", value))):
        assert _inside(desk, "sh", "-c", f"cat > /run/systemd/{path}", text=text).returncode == 0
    started = _inside(desk, "sh", "-c", "systemctl daemon-reload && systemctl start echo.service; cat /run/echo.out")
    assert json.loads(started.stdout) == [words, value], started.stderr


def test_a_preview_after_a_launch_shows_no_change(launched: tuple[Desk, Finished]) -> None:
    desk, _ = launched
    done = desk.pulumi("preview", "--stack", desk.stack, "--expect-no-changes", "--non-interactive")
    assert done.code == 0, done.text


def test_pulumi_up_by_hand_changes_nothing(launched: tuple[Desk, Finished]) -> None:
    desk, _ = launched
    done = desk.pulumi("up", "--yes", "--stack", desk.stack, "--expect-no-changes", "--non-interactive")
    assert done.code == 0, done.text


def test_more_memory_is_an_update_and_no_replacement(launched: tuple[Desk, Finished]) -> None:
    desk, _ = launched
    before = desk.outputs()["apiKey"]
    done = desk.launch(memoryMiB="9216")
    assert done.code == 0, done.text
    assert desk.outputs()["apiKey"] == before


def test_a_refresh_sees_that_a_machine_has_gone_and_up_makes_it_again(launched: tuple[Desk, Finished]) -> None:
    desk, _ = launched
    listed = desk.run("local", "list", "--json")
    (machine,) = [record for record in listed.records if record["name"] == desk.stack]
    os.kill(int(machine["pid"]), 9)
    refreshed = desk.pulumi("refresh", "--yes", "--stack", desk.stack, "--non-interactive")
    assert refreshed.code == 0, refreshed.text
    preview = desk.pulumi("preview", "--stack", desk.stack, "--non-interactive")
    assert "LocalMachine" in preview.text
    assert "create" in preview.text


def test_destroy_leaves_no_machine_no_mount_no_process_and_no_object(launched: tuple[Desk, Finished]) -> None:
    desk, _ = launched
    exported = json.loads(desk.pulumi("stack", "export", "--stack", desk.stack).out)["deployment"]["resources"]
    (run_id,) = [resource["id"] for resource in exported if resource["type"] == "liftoff:index:BootSession"]
    done = desk.run("destroy", "--stack", desk.stack, "--yes")
    assert done.code == 0, done.text
    state = desk.environment["LIFTOFF_STATE"]
    assert state not in Path("/proc/self/mounts").read_text()
    assert desk.stack not in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert state not in subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert not [path for path in Path(state, "machines").glob("*") if path.is_dir()]
    cache = Path(desk.environment.get("LIFTOFF_CACHE", Path.home() / ".cache" / "liftoff"))
    assert not list(cache.glob(f"storage/data/liftoff/sessions/{run_id}/*"))


def test_without_a_machine_plain_processes_serve_the_same_and_leave_nothing(desk: Desk) -> None:
    launch = desk.launch(isolation="process")
    assert launch.code == 0, launch.text
    outputs = desk.outputs()
    with _client(outputs, outputs["apiKey"]) as client:
        answer = client.post("/v1/completions", json={"model": "tiny-llama", "prompt": "Hello", "max_tokens": 4})
        assert client.get("/tokenize").status_code == httpx.codes.NOT_FOUND
    assert answer.json()["usage"]["completion_tokens"] > 0
    done = desk.run("destroy", "--stack", desk.stack, "--yes")
    assert done.code == 0, done.text
    state = desk.environment["LIFTOFF_STATE"]
    assert state not in subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert not [path for path in Path(state, "machines").glob("*") if path.is_dir()]
