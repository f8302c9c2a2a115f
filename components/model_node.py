"""ModelNode: a model, served on a machine of its own behind an endpoint that has answered."""

from collections.abc import Mapping
from typing import Any

import pulumi

from components import user_data
from components.cloud import Boot, Cloud, Site
from components.liftoff_resources import BootSession, Readiness
from components.settings import AwsSettings, AzureSettings, CloudSettings, LocalSettings, Settings
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
        cloud = _cloud(settings)
        _check_user_data(settings, cloud)
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
                "machine_key": cloud.machine_key,
            },
            self._child(),
        )
        boot = Boot(
            _user_data(settings, cloud, site, session),
            session.run_id,
            session.expires_at,
            settings.lifetime_seconds,
            session.sealed_ssh_key,
        )
        machine = cloud.machine(boot, self._child())
        endpoint = pulumi.Output.format("https://{0}:{1}", site.address, site.port)
        readiness = Readiness(
            f"{name}-readiness",
            {
                "storage": site.storage,
                "run_id": session.run_id,
                "machine_id": machine.machine_id,
                "instance_id": machine.instance_id,
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


def _cloud(settings: Settings) -> Cloud:
    """Return the provider; each one's SDK is imported only when it is used."""
    if isinstance(settings, LocalSettings):
        from components.local import LocalCloud

        return LocalCloud(settings)
    if isinstance(settings, AwsSettings):
        from components.aws import AwsCloud

        return AwsCloud(settings)
    if isinstance(settings, AzureSettings):
        from components.azure import AzureCloud

        return AzureCloud(settings)
    from components.gcp import GcpCloud

    return GcpCloud(settings)


def _check_user_data(settings: Settings, cloud: Cloud) -> None:
    """Refuse what a cloud would not take before anything is made: the session's texts are always about as long.

    Raises:
        UserDataTooLong: with the sizes in bytes.
    """
    if cloud.user_data_limit is not None:
        document = user_data.render(_boot_settings(settings, cloud, user_data.longest_session()))
        user_data.check_size(user_data.compressed(document), cloud.user_data_limit)


def _user_data(settings: Settings, cloud: Cloud, site: Site, session: BootSession) -> pulumi.Output[str]:
    """Return the cloud-config document; a secret, since it holds the node's keys."""

    def render(known: dict[str, Any]) -> str:
        return user_data.render(_boot_settings(settings, cloud, known))

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


def _boot_settings(settings: Settings, cloud: Cloud, known: Mapping[str, Any]) -> user_data.BootSettings:
    return user_data.BootSettings(
        run_id=known["run_id"],
        mailbox_url=known["mailbox_url"],
        session_url=known["session_url"],
        session_sha256=known["session_sha256"],
        storage_ca=known["storage"].get("caCertificate"),
        provider=settings.provider,
        gpu_driver=settings.machine_type.driver if isinstance(settings, CloudSettings) else None,
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
