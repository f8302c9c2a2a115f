"""Asks a node how it is, over TLS with its own certificate and its API key."""

import ssl
from dataclasses import dataclass
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

_TIMEOUT: Final = httpx.Timeout(10, connect=5)
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
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=certificate)
        headers = {"Authorization": f"Bearer {api_key}"}
        self._http = httpx.Client(base_url=endpoint, verify=context, headers=headers, timeout=_TIMEOUT, trust_env=False)

    def ask(self) -> Health:
        """Ask once."""
        try:
            answer = self._http.get("/health")
            if answer.status_code != httpx.codes.OK:
                return Health(f"/health answers {answer.status_code}")
            metrics = self._http.get("/metrics")
        except httpx.HTTPError as error:
            return Health(f"{type(error).__name__}: {error}")
        return _read(metrics.text) if metrics.status_code == httpx.codes.OK else Health("")

    def close(self) -> None:
        """End its connections."""
        self._http.close()


def _read(text: str) -> Health:
    waiting = done = 0.0
    told = False
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in _WAITING:
                waiting, told = waiting + sample.value, True
            elif sample.name == _DONE:
                done, told = done + sample.value, True
    return Health("", waiting, done) if told else Health("")
