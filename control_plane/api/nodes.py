"""The nodes that answered."""

from typing import Annotated

from fastapi import APIRouter, Path

from automation import outputs
from automation.errors import Stopped
from control_plane import told
from control_plane.api import access, shapes
from control_plane.api.access import Parts
from control_plane.api.allowed import IDENTIFIER
from control_plane.api.problems import Problem, documented

NodeId = Annotated[str, Path(max_length=200, pattern=IDENTIFIER, description="the node's id")]
router = APIRouter(prefix="/admin/nodes", tags=["nodes"])


@router.get("", dependencies=[access.reads()], responses=documented(401, 422, 429))
def listing(parts: Parts, state: shapes.NodeState | None = None) -> shapes.Nodes:
    """List the nodes, newest first."""
    return shapes.Nodes(items=[told.node_of(node) for node in parts.nodes.all(state)])


@router.get("/{node_id}", dependencies=[access.reads()], responses=documented(401, 404, 422, 429))
def node(node_id: NodeId, parts: Parts) -> shapes.Node:
    """Tell everything about a node but its key."""
    return told.node_of(parts.nodes.get(node_id))


@router.get("/{node_id}/access", dependencies=[access.changes()], responses=documented(401, 403, 404, 409, 422, 429))
def access_to(node_id: NodeId, parts: Parts) -> shapes.Access:
    """Tell how a node is asked, its key included."""
    found = parts.nodes.get(node_id)
    if found.state == "gone":
        raise _gone(node_id)
    site = parts.template.site_of(parts.launches.get(found.launch_id))
    if not site.folder.exists():
        raise _gone(node_id)
    try:
        key = site.api_key()
    except Stopped as error:
        if error.code in outputs.WITHOUT_NODE:
            raise _gone(node_id) from error
        raise
    return shapes.Access(
        endpoint=found.endpoint,
        model=found.model,
        api_key=key,
        certificate=found.certificate,
        curl=_curl(found.endpoint, found.model, key, found.certificate),
        python=_python(found.endpoint, found.model, key, found.certificate),
    )


@router.delete(
    "/{node_id}", status_code=202, dependencies=[access.changes()], responses=documented(401, 403, 404, 422, 429)
)
def terminate(node_id: NodeId, parts: Parts) -> shapes.Node:
    """Take a node down."""
    found = parts.nodes.get(node_id)
    if found.state != "gone":
        parts.nodes.set_state(node_id, "terminating", "somebody asked for it")
        parts.bell.ring(found.launch_id)
        parts.take_down(found.launch_id)
    return told.node_of(parts.nodes.get(node_id))


def _gone(node_id: str) -> Problem:
    return Problem(409, "conflict", "node_gone", f"node {node_id} has gone", "launch another one")


def _curl(endpoint: str, model: str, key: str, certificate: str) -> str:
    """Return lines for a shell that keep the key out of the list of processes."""
    return f"""cat > node.pem <<'PEM'
{certificate.strip()}
PEM
curl --config - <<'CONFIG'
url = "{endpoint}/v1/completions"
cacert = "node.pem"
header = "Authorization: Bearer {key}"
header = "Content-Type: application/json"
data = "{{\\"model\\": \\"{model}\\", \\"prompt\\": \\"Hello\\", \\"max_tokens\\": 16}}"
CONFIG"""


def _python(endpoint: str, model: str, key: str, certificate: str) -> str:
    return f'''import ssl

import httpx
from openai import OpenAI  # pip install openai

CERTIFICATE = """{certificate.strip()}"""
client = OpenAI(
    base_url="{endpoint}/v1",
    api_key="{key}",
    http_client=httpx.Client(verify=ssl.create_default_context(cadata=CERTIFICATE)),
)
print(client.completions.create(model="{model}", prompt="Hello", max_tokens=16).choices[0].text)'''
