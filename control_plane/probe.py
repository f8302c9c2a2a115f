"""Asks a node how it is, over TLS with its own certificate and its API key."""

from dataclasses import dataclass
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from provider.node_client import NodeClient, NodeSilent

_SECONDS: Final = 15.0
"""For one answer: a node that drips would hold up the round of all nodes."""
_MOST_BYTES: Final = 4 << 20
_WAITING: Final = frozenset({"vllm:num_requests_running", "vllm:num_requests_waiting"})
_DONE: Final = "vllm:request_success_total"
"""vLLM's own metrics: https://docs.vllm.ai/en/latest/usage/metrics/"""


@dataclass(frozen=True)
class Health:
    """What a node answered.

    Attributes:
        problem: what is wrong; empty where it is healthy.
        requests: how many it works on; None where it does not say.
        done: how many it has answered since its start; None where it does not say.
    """

    problem: str
    requests: float | None = None
    done: float | None = None


class Probe:
    """One node's health."""

    def __init__(self, endpoint: str, certificate: str, api_key: str) -> None:
        self._node = NodeClient(endpoint, certificate, api_key)

    def ask(self) -> Health:
        """Ask once."""
        try:
            answer = self._node.ask("GET", "/health", seconds=_SECONDS, most_bytes=_MOST_BYTES)
            if answer.status != httpx.codes.OK:
                return Health(f"/health answers {answer.status}")
            metrics = self._node.ask("GET", "/metrics", seconds=_SECONDS, most_bytes=_MOST_BYTES)
        except NodeSilent as silent:
            return Health(str(silent))
        return _read(metrics.text) if metrics.status == httpx.codes.OK else Health("")


def _read(text: str) -> Health:
    waiting = done = 0.0
    told = False
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name in _WAITING:
                    waiting, told = waiting + sample.value, True
                elif sample.name == _DONE:
                    done, told = done + sample.value, True
    except Exception:  # noqa: BLE001 - the parser raises many things at what is no metric; the node serves all the same
        return Health("")
    return Health("", waiting, done) if told else Health("")
