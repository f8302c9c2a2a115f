"""The timeline of a boot on a real machine: install and weights side by side, against the same phases in sequence.

    uv run python -m benchmarks.boot --gib 2 --svg docs/boot.svg

Both boots start from the root file system without the serving environment, so that there is something to install;
a file of random bytes beside the tiny model stands for the size of real weights.
"""

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Final

from automation.weights import Target, push
from components import user_data
from components.local import REQUIREMENTS
from provider import node_program
from provider.boot_session import BootSession, BootSessionInputs, mailbox_key
from provider.local import machine, network, tiny_llama
from provider.local import storage as local_storage
from provider.resource import Operation
from provider.status import Mailbox
from provider.storage import Bucket, Storage

_NAME: Final = "benchmark-boot"
_DEADLINE_SECONDS: Final = 900
_COLOURS: Final = {"machine": "#8b949e", "install": "#2f81f7", "weights": "#3fb950", "serve": "#d29922"}

Span = tuple[str, float, float]
"""A phase with its beginning and end, in seconds since the machine was asked for."""


def main() -> None:
    """Print the table and write the picture."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--gib", type=float, default=2)
    parser.add_argument("--svg", type=Path)
    asked = parser.parse_args()
    with _weights(asked.gib) as (storage, uri):
        boots = {"side by side": _boot(storage, uri, []), "in sequence": _boot(storage, uri, ["--in-sequence"])}
    print(f"{asked.gib} GiB of weights, {os.cpu_count()} processors\n")
    print("| boot | machine | install | weights | serve | ready after (s) |")
    print("|---|---|---|---|---|---|")
    for name, spans in boots.items():
        cells = " | ".join(f"{first:.1f} to {last:.1f}" for _, first, last in spans)
        print(f"| {name} | {cells} | {spans[-1][2]:.1f} |")
    ratio = boots["in sequence"][-1][2] / boots["side by side"][-1][2]
    print(f"\nIn sequence it takes {ratio:.2f} times as long.")
    if asked.svg:
        asked.svg.write_text(_picture(boots))


@contextmanager
def _weights(gib: float) -> Iterator[tuple[Storage, str]]:
    network.hold_bridge(_NAME)
    held = local_storage.acquire(_NAME, "nspawn")
    storage = Storage(
        endpoint=held.endpoint,
        region=held.region,
        bucket=held.bucket,
        access_key_id=held.access_key_id,
        secret_access_key=held.secret_access_key,
        ca_certificate=held.ca_certificate,
    )
    uri = f"s3://{held.bucket}/{_NAME}"
    try:
        with tempfile.TemporaryDirectory(dir=Path.home() / ".cache") as name:
            folder = Path(name, "model")
            tiny_llama.write(folder)
            with (folder / "ballast.bin").open("wb") as file:
                for left in range(int(gib * (1 << 30)), 0, -(1 << 24)):
                    file.write(os.urandom(min(left, 1 << 24)))
            authority = Path(name, "ca.pem")
            authority.write_text(held.ca_certificate)
            target = Target(held.endpoint, held.region, held.access_key_id, held.secret_access_key, str(authority))
            push(folder, uri, target, lambda _: None)
        yield storage, uri
    finally:
        Bucket(storage).delete_below(_NAME)
        local_storage.release(_NAME)
        network.release_bridge(_NAME)


def _boot(storage: Storage, uri: str, arguments: list[str]) -> list[Span]:
    """Boot a machine and return its timeline."""
    made = network.create(_NAME, "nspawn")
    session = BootSession()
    inputs = BootSessionInputs(
        storage=storage,
        weights=uri,
        server_names=(made.address,),
        lifetime_seconds=3600,
        boot_deadline_seconds=_DEADLINE_SECONDS,
        requirements=REQUIREMENTS.read_text(),
        programSha256=node_program.digest(),
    )
    operation = Operation("", lambda _: None, lambda _: None, threading.Event())
    run_id, outputs = session.create(inputs, operation)
    document = user_data.render(
        user_data.BootSettings(
            run_id=run_id,
            mailbox_url=outputs["mailboxUrl"],
            session_url=outputs["sessionUrl"],
            session_sha256=outputs["sessionSha256"],
            storage_ca=storage.ca_certificate,
            provider="local",
            gpu_driver=None,
            model="tiny-llama",
            max_model_len=512,
            vllm_arguments=("--dtype", "float32", "--enforce-eager"),
            vllm_environment={"VLLM_CPU_KVCACHE_SPACE": "1"},
            packages=("nginx-light", "python3-venv"),
            boot_deadline_seconds=_DEADLINE_SECONDS,
            expires_at=outputs["expiresAt"],
            port=made.port,
            server_name=made.address,
            api_key=outputs["apiKey"],
            tls_certificate=outputs["tlsCertificate"],
            tls_key=outputs["tlsKey"],
        )
    ).replace("/etc/liftoff/boot.json /\n", " ".join(["/etc/liftoff/boot.json", "/", *arguments]) + "\n")
    asked = time.time()
    try:
        machine.boot(
            machine.MachineSpec(
                name=_NAME,
                user_data=document,
                isolation="nspawn",
                namespace=made.namespace,
                address=made.address,
                gateway=made.gateway,
                image="base",
                requirements="",
                memory_bytes=12 << 30,
                cpus=os.cpu_count() or 1,
            ),
            lambda _: None,
        )
        mailbox = _await_ready(Bucket(storage), run_id)
    finally:
        machine.delete(_NAME, lambda _: None)
        session.delete(run_id, inputs, outputs, operation)
        network.delete(_NAME)
    phases = [(phase.name, (phase.started_at or 0) - asked, (phase.ended_at or 0) - asked) for phase in mailbox.phases]
    return [("machine", 0.0, mailbox.started_at - asked), *phases]


def _await_ready(bucket: Bucket, run_id: str) -> Mailbox:
    while True:
        body = bucket.get(mailbox_key(run_id))
        if body is not None:
            mailbox = Mailbox.model_validate_json(body)
            if mailbox.state == "ready":
                return mailbox
            if mailbox.state == "failed":
                raise SystemExit(json.dumps(json.loads(body), indent=1))
        time.sleep(0.5)


def _picture(boots: dict[str, list[Span]]) -> str:
    """Return a Gantt chart as SVG."""
    end = max(spans[-1][2] for spans in boots.values())
    scale = 620 / end
    rows: list[str] = []
    y = 40
    for name, spans in boots.items():
        rows.append(f'<text x="10" y="{y}" font-weight="bold">{escape(name)}: {spans[-1][2]:.1f} s</text>')
        for phase, first, last in spans:
            y += 24
            rows.append(f'<text x="10" y="{y}">{phase}</text>')
            rows.append(
                f'<rect x="{100 + first * scale:.1f}" y="{y - 13}" width="{max(1.0, (last - first) * scale):.1f}" '
                f'height="17" rx="2" fill="{_COLOURS[phase]}"/>'
            )
        y += 44
    marks = "".join(
        f'<text x="{100 + second * scale:.0f}" y="{y}" fill="#57606a">{second} s</text>'
        for second in range(0, int(end) + 1, 10)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{y + 20}" '
        'font-family="sans-serif" font-size="13">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(rows)}{marks}</svg>\n'
    )


if __name__ == "__main__":
    main()
