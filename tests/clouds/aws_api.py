"""AWS's API over HTTP: moto's server, which the emulated plugin keeps in step with its truth.

An instance that the plugin makes is also one there, with its id, tags, zone and state; so whoever asks the API finds
what the plugin made, and nothing else. An address is there, too, and of a network what has tags; images are not.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from unittest import mock

import httpx
from moto.core.utils import camelcase_to_underscores
from moto.ec2.exceptions import DependencyViolationError, DryRunClientError, EC2ClientError, InvalidAllocationIdError
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.instances import InstanceState
from moto.ec2.responses import EC2Response
from moto.server import ThreadedMotoServer
from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.models import ServiceQuotasBackend
from moto.ssm.models import Parameter, SimpleSystemManagerBackend

from tests.clouds.aws import Aws
from tests.clouds.aws_rules import ACCOUNT, ADDRESS, DEEP_LEARNING, GROUP, INSTANCE, SUBNET, is_spot
from tests.clouds.cloud import Refused, World
from tests.clouds.truth import Record, digest

_UNLIMITED: Final = 10_000.0
_QUOTAS: Final = {
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-limits.html and ec2-on-demand-instances.html; the
    # market counts all of P as one.
    "L-3819A6DF": ("All G and VT Spot Instance Requests", "g-spot"),
    "L-7212CCBC": ("All P4, P3 and P2 Spot Instance Requests", "p-spot"),
    "L-C4BD4855": ("All P5 Spot Instance Requests", "p-spot"),
    "L-DB2E81BA": ("Running On-Demand G and VT instances", "g-on-demand"),
    "L-417A185B": ("Running On-Demand P instances", "p-on-demand"),
}
_PARTS: Final = {
    "aws:ec2/vpc:Vpc": "vpc",
    SUBNET: "subnet",
    GROUP: "security-group",
    "aws:ec2/internetGateway:InternetGateway": "internet-gateway",
    "aws:ec2/routeTable:RouteTable": "route-table",
}
_STATES: Final = {"creating": ("pending", 0), "ready": ("running", 16), "stopped": ("stopped", 80)}


class UnavailableError(EC2ClientError):
    # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    code = "Unavailable"
    message = "The server is overloaded and can't handle the request."


@dataclass(frozen=True)
class AwsApi:
    """The server's address, and credentials that it takes."""

    url: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which boto3 finds it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "emulated",
            "AWS_SECRET_ACCESS_KEY": "emulated-secret-key",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def served(world: World) -> Iterator[AwsApi]:
    """Serve AWS's API for the emulated clouds, for the time of the block; moto's state is this process's, and reset."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    with ExitStack() as patches:
        for patch in _from_market(world):
            patches.enter_context(patch)
        server.start()
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        httpx.post(f"{url}/moto-api/reset", trust_env=False).raise_for_status()
        for record in world.truth.find("aws", INSTANCE):
            _follow("Create", record)
        world.truth.watchers.append(_follow)
        try:
            yield AwsApi(url)
        finally:
            world.truth.watchers.remove(_follow)
            server.stop()


def _follow(method: str, record: Record) -> None:
    """Do to moto's instance what was done to the plugin's."""
    if record.provider != "aws" or record.token != INSTANCE:
        return
    backend: Any = ec2_backends[ACCOUNT][record.region]
    if method == "Create":
        zone = record.outputs.get("availabilityZone")
        # It gives each instance an id of its own making.
        with mock.patch("moto.ec2.models.instances.random_instance_id", return_value=record.id):
            backend.run_instances(
                record.inputs.get("ami", ""),
                1,
                None,
                [],
                instance_type=record.inputs["instanceType"],
                is_instance_type_default=False,
                region_name=record.region,
                placement=zone,
                tags={"instance": dict(record.tags)},
                instance_market_options={"MarketType": "spot"} if is_spot(record.inputs) else None,
            )
    elif method in {"Delete", "Evict", "Forget"}:
        backend.terminate_instances([record.id])
        return
    instance = backend.get_instance(record.id)
    if method == "Update":
        backend.delete_tags([record.id], {tag["key"]: tag["value"] for tag in instance.get_tags()})
        backend.create_tags([record.id], dict(record.tags))
    instance._state = InstanceState(*_STATES.get(record.state, ("running", 16)))


def _address(world: World, backend: EC2Backend, record: Record) -> Any:
    found: Any = backend.allocate_address("vpc", str(record.outputs["publicIp"]))
    found.id = found.allocation_id = record.id
    found.add_tags(dict(record.tags))
    users = world.truth.users("aws", {record.id}, but=record.id)
    found.association_id = users[0].id if users else None
    return found


def _would_have_succeeded() -> None:
    raise DryRunClientError


def _from_market(world: World) -> Iterator[Any]:
    """Let moto answer what it does not know: EC2's quotas and dry runs, and the images of AWS's own parameters."""

    def quota(backend: ServiceQuotasBackend, service_code: str, quota_code: str) -> dict[str, Any]:
        if service_code != "ec2" or quota_code not in _QUOTAS:
            raise NoSuchResource
        name, family = _QUOTAS[quota_code]
        limit = world.market.quotas.get(("aws", backend.region_name, family), _UNLIMITED)
        return {"ServiceCode": "ec2", "QuotaCode": quota_code, "QuotaName": name, "Value": float(limit)}

    original = SimpleSystemManagerBackend.get_parameter

    def parameter(backend: SimpleSystemManagerBackend, name: str) -> Parameter | None:
        if name not in DEEP_LEARNING:
            return original(backend, name)
        make: Any = Parameter
        image = f"ami-{digest(backend.region_name, name)}"
        found: Parameter = make(ACCOUNT, name, image, "String", None, None, None, 1767225600.0, 1, "aws:ec2:image")
        return found

    authorize = EC2Response._authenticate_and_authorize_normal_action

    def authorize_dry_run(response: EC2Response, resource: str = "*") -> None:
        """End a dry run once it is known to be allowed, as EC2 does: moto knows dry runs of some actions only."""
        authorize(response, resource)
        if response._get_param("DryRun"):
            setattr(response, camelcase_to_underscores(response._get_action()), _would_have_succeeded)

    reservations = EC2Backend.all_reservations

    def listed(backend: EC2Backend, filters: Any = None) -> Any:
        """Leave out what the listing does not have yet; an id that is asked for by name is looked up elsewhere."""
        if world.refuses_listings:
            raise UnavailableError
        hidden = {record.id for record in world.truth.find("aws", INSTANCE) if not world.is_listed(record)}
        found = reservations(backend, filters)
        return [one for one in found if not hidden.intersection(instance.id for instance in one.instances)]

    terminate = EC2Backend.terminate_instances

    def terminate_in_truth(backend: EC2Backend, instance_ids: list[str]) -> Any:
        """Let what the API terminates go from the truth, too, which then tells moto of it."""
        for instance_id in instance_ids:
            if world.truth.get("aws", instance_id) is not None:
                Aws(world).delete(instance_id)
        return terminate(backend, instance_ids)

    describe_addresses = EC2Backend.describe_addresses

    def describe_truth(backend: EC2Backend, *given: Any, **named: Any) -> Any:
        """Tell of the addresses that the plugin has made."""
        found = [one for one in world.truth.find("aws", ADDRESS) if one.region == backend.region_name]
        backend.addresses = [_address(world, backend, record) for record in found]
        return describe_addresses(backend, *given, **named)

    def release(backend: EC2Backend, address: str | None = None, allocation_id: str | None = None) -> None:
        """Let an address that the API releases go from the truth."""
        if world.truth.get("aws", str(allocation_id)) is None:
            raise InvalidAllocationIdError([str(allocation_id)])
        Aws(world).delete(str(allocation_id))

    own_tags = EC2Backend.describe_tags

    def describe_tags(backend: EC2Backend, filters: Any = None) -> list[dict[str, str]]:
        """Tell of the tags of networks that the plugin has made; moto itself asks by id."""
        if "resource-type" not in (filters or {}):
            return own_tags(backend, filters)
        return [
            {"Key": key, "ResourceId": record.id, "ResourceType": _PARTS[record.token], "Value": value}
            for record in world.truth.find("aws")
            if record.region == backend.region_name and _PARTS.get(record.token) in filters["resource-type"]
            for key, value in record.tags.items()
            if key in filters["key"] and value in filters["value"]
        ]

    def gateways(backend: EC2Backend, internet_gateway_ids: list[str], filters: Any = None) -> list[dict[str, Any]]:
        """Tell to which networks gateways are attached."""
        found = [one for one in map(partial(world.truth.get, "aws"), internet_gateway_ids) if one is not None]
        return [
            {"InternetGatewayId": one.id, "Attachments": [{"State": "available", "VpcId": one.inputs["vpcId"]}]}
            for one in found
        ]

    def delete_in_truth(backend: EC2Backend, name: str | None = None, group_id: str | None = None) -> None:
        """Let a part of a network that the API deletes go from the truth."""
        id_ = str(group_id or name)
        try:
            Aws(world).delete(id_)
        except Refused as error:
            raise DependencyViolationError(str(error)) from error

    yield mock.patch.object(EC2Backend, "describe_tags", describe_tags)
    yield mock.patch.object(EC2Backend, "describe_internet_gateways", gateways)
    # Here a gateway is attached as long as it is there.
    yield mock.patch.object(EC2Backend, "detach_internet_gateway", return_value=None)
    for kind in _PARTS.values():
        yield mock.patch.object(EC2Backend, f"delete_{kind.replace('-', '_')}", delete_in_truth)
    yield mock.patch.object(EC2Backend, "describe_addresses", describe_truth)
    yield mock.patch.object(EC2Backend, "release_address", release)
    yield mock.patch.object(EC2Backend, "describe_instances", listed)
    yield mock.patch.object(EC2Backend, "terminate_instances", terminate_in_truth)
    yield mock.patch.object(EC2Response, "_authenticate_and_authorize_normal_action", authorize_dry_run)
    yield mock.patch.object(ServiceQuotasBackend, "get_service_quota", quota)
    yield mock.patch.object(SimpleSystemManagerBackend, "get_parameter", parameter)
