"""ModelNode: a model, served on a machine of its own behind an endpoint that has answered."""

from typing import Any

import pulumi

from components import user_data
from components.cloud import Cloud, Site
from components.liftoff_resources import BootSession, Readiness
from components.local import LocalCloud
from components.settings import Settings
from provider import node_program


class ModelNode(pulumi.ComponentResource):
    """Network, boot session, machine and readiness of one node.

    Attributes:
        endpoint: the base URL of the OpenAI-compatible API.
        region: where the machine is.
        instance_type: the provider's name for its size.
        price_per_hour: USD/hour.
        expires_at: when the node ends itself, RFC 3339 in UTC.
        api_key: the bearer token of every route; a secret.
        certificate: PEM of the node's own certificate, to be pinned by clients.
        timeline: when each phase of the boot began and ended.
    """

    endpoint: pulumi.Output[str]
    region: pulumi.Output[str]
    instance_type: pulumi.Output[str]
    price_per_hour: pulumi.Output[float]
    expires_at: pulumi.Output[str]
    api_key: pulumi.Output[str]
    certificate: pulumi.Output[str]
    timeline: pulumi.Output[list[dict[str, Any]]]

    def __init__(self, name: str, settings: Settings, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("liftoff:index:ModelNode", name, {}, opts)
        cloud: Cloud = LocalCloud(settings)
        site = cloud.site(self._child())
        session = BootSession(
            f"{name}-session",
            {
                "storage": site.storage,
                "weights": settings.weights,
                "server_names": [site.address],
                "lifetime_seconds": settings.lifetime_seconds,
                "boot_deadline_seconds": settings.boot_deadline_seconds,
                "requirements": cloud.serving.requirements,
                "program_sha256": node_program.digest(),
            },
            self._child(),
        )
        document = _user_data(settings, cloud, site, session)
        machine = cloud.machine(document, self._child())
        endpoint = pulumi.Output.format("https://{0}:{1}", site.address, site.port)
        readiness = Readiness(
            f"{name}-readiness",
            {
                "storage": site.storage,
                "run_id": session.run_id,
                "machine_id": machine.machine_id,
                "booted_at": machine.booted_at,
                "endpoint": endpoint,
                "tls_certificate": session.tls_certificate,
                "api_key": session.api_key,
                "model": settings.model,
                "deadline_seconds": settings.boot_deadline_seconds,
            },
            self._child(),
        )
        # The endpoint is worth telling only once it answers.
        self.endpoint = pulumi.Output.all(endpoint, readiness.ready_at).apply(lambda known: str(known[0]))
        self.region = pulumi.Output.from_input(cloud.region)
        self.instance_type = pulumi.Output.from_input(cloud.instance_type)
        self.price_per_hour = pulumi.Output.from_input(cloud.price_per_hour)
        self.expires_at = session.expires_at
        self.api_key = pulumi.Output.secret(session.api_key)
        self.certificate = session.tls_certificate
        self.timeline = readiness.timeline
        self.register_outputs(
            {
                "endpoint": self.endpoint,
                "region": self.region,
                "instanceType": self.instance_type,
                "pricePerHour": self.price_per_hour,
                "expiresAt": self.expires_at,
                "apiKey": self.api_key,
                "certificate": self.certificate,
                "timeline": self.timeline,
            }
        )

    def _child(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self)


def _user_data(settings: Settings, cloud: Cloud, site: Site, session: BootSession) -> pulumi.Output[str]:
    """Return the cloud-config document; a secret, since it holds the node's keys."""

    def render(known: dict[str, Any]) -> str:
        return user_data.render(
            user_data.BootSettings(
                run_id=known["run_id"],
                mailbox_url=known["mailbox_url"],
                session_url=known["session_url"],
                session_sha256=known["session_sha256"],
                storage_ca=known["storage"].get("caCertificate"),
                model=settings.model,
                max_model_len=settings.max_model_len or None,
                vllm_arguments=(*cloud.serving.arguments, *settings.vllm_arguments),
                vllm_environment=dict(cloud.serving.environment),
                packages=cloud.serving.packages,
                boot_deadline_seconds=settings.boot_deadline_seconds,
                expires_at=known["expires_at"],
                port=int(known["port"]),
                server_name=known["address"],
                api_key=known["api_key"],
                tls_certificate=known["tls_certificate"],
                tls_key=known["tls_key"],
            )
        )

    return pulumi.Output.secret(
        pulumi.Output.all(
            run_id=session.run_id,
            mailbox_url=session.mailbox_url,
            session_url=session.session_url,
            session_sha256=session.session_sha256,
            expires_at=session.expires_at,
            api_key=session.api_key,
            tls_certificate=session.tls_certificate,
            tls_key=session.tls_key,
            storage=site.storage,
            address=site.address,
            port=site.port,
        ).apply(render)
    )
