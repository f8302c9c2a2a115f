"""The provider `aws`: an EC2 instance with a GPU, its network and its address."""

import re
from typing import Final

import pulumi
import pulumi_aws as aws
from pulumi import ResourceOptions
from pulumi_aws import ec2

from components import cuda, user_data
from components.cloud import Boot, Machine, Site, own_storage
from components.settings import AwsSettings
from components.tags import of_machine, tags

_PORT: Final = 443
_NETWORK: Final = "10.20.0.0/16"

_IMAGE: Final = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
"""Ubuntu 24.04, whose Python vLLM runs on, with NVIDIA's open driver: https://docs.aws.amazon.com/dlami/latest/devguide/find-dlami-id.html"""

_ATTEMPTS: Final = 2
"""The provider waits up to 50 minutes for capacity unless it may try only so often:
https://github.com/hashicorp/terraform-provider-aws/issues/38133"""

_ZONE_ID: Final = re.compile(r"-az(?P<number>\d+)$")
_DISK_MIBPS: Final = 500
"""Paid throughput of the disk; the default of 125 MiB/s would take two minutes to write the weights of an 8B model."""


def subnet_of(zone: str) -> str:
    """Return the subnet of a zone, by its name, its id, or an empty text where EC2 chooses.

    Each has its own: a node that moves on within its network gets the new one before the old one has gone.
    """
    by_id = _ZONE_ID.search(zone)
    number = 100 + int(by_id["number"]) if by_id else ord(zone[-1]) - ord("a") + 1 if zone else 0
    return f"10.20.{number}.0/24"


class AwsCloud:
    """A network with a security group, an Elastic IP, and the machine, all under a provider of their own."""

    def __init__(self, settings: AwsSettings) -> None:
        self._settings = settings
        self.region = settings.region
        self.instance_type = settings.instance_type
        self.price_per_hour = settings.catalog_price
        self.serving = cuda.serving(settings)
        self.machine_key = f"{settings.region}/{settings.zone}/{settings.instance_type}/{settings.spot}"

    @property
    def user_data_limit(self) -> str:
        """Return a key of `user_data.LIMITS`."""
        return "aws"

    def site(self, opts: ResourceOptions) -> Site:
        """Declare the network, the security group and the address."""
        settings = self._settings
        self._provider = aws.Provider(
            f"{settings.name}-aws",
            region=settings.region,
            max_retries=_ATTEMPTS,
            opts=ResourceOptions(parent=opts.parent),
        )
        opts = self._own(opts)
        network = self._network(opts)
        self._group = ec2.SecurityGroup(
            f"{settings.name}-group",
            description="Liftoff: the endpoint, from those who may reach it",
            vpc_id=network,
            ingress=self._ingress(),
            egress=[
                ec2.SecurityGroupEgressArgs(protocol="-1", from_port=0, to_port=0, cidr_blocks=["0.0.0.0/0"]),
            ],
            tags=tags(settings),
            opts=opts,
        )
        self._address = ec2.Eip(f"{settings.name}-address", domain="vpc", tags=tags(settings), opts=opts)
        return Site(self._address.public_ip, pulumi.Output.from_input(_PORT), own_storage(settings))

    def _own(self, opts: ResourceOptions) -> ResourceOptions:
        return ResourceOptions.merge(opts, ResourceOptions(provider=self._provider))

    def _network(self, opts: ResourceOptions) -> pulumi.Input[str]:
        settings = self._settings
        if settings.subnet:
            self._subnet: pulumi.Input[str] = settings.subnet
            asked = pulumi.InvokeOptions(provider=self._provider)
            return ec2.get_subnet_output(id=settings.subnet, opts=asked).vpc_id
        network = ec2.Vpc(
            f"{settings.name}-network",
            cidr_block=_NETWORK,
            enable_dns_hostnames=True,
            tags=tags(settings),
            opts=opts,
        )
        gateway = ec2.InternetGateway(f"{settings.name}-gateway", vpc_id=network.id, tags=tags(settings), opts=opts)
        by_id = bool(_ZONE_ID.search(settings.zone))
        subnet = ec2.Subnet(
            f"{settings.name}-subnet",
            vpc_id=network.id,
            cidr_block=subnet_of(settings.zone),
            # A zone's id is the same for every account, its name is not.
            availability_zone=settings.zone if settings.zone and not by_id else None,
            availability_zone_id=settings.zone if by_id else None,
            tags=tags(settings),
            opts=opts,
        )
        routes = ec2.RouteTable(
            f"{settings.name}-routes",
            vpc_id=network.id,
            routes=[ec2.RouteTableRouteArgs(cidr_block="0.0.0.0/0", gateway_id=gateway.id)],
            tags=tags(settings),
            opts=opts,
        )
        ec2.RouteTableAssociation(
            f"{settings.name}-subnet-routes", subnet_id=subnet.id, route_table_id=routes.id, opts=opts
        )
        self._subnet = subnet.id
        return network.id

    def _ingress(self) -> list[ec2.SecurityGroupIngressArgs]:
        settings = self._settings
        allowed = ((_PORT, settings.allowed_cidrs, "endpoint"), (22, settings.ssh_allowed_cidrs, "ssh"))
        return [
            ec2.SecurityGroupIngressArgs(
                description=what,
                protocol="tcp",
                from_port=port,
                to_port=port,
                cidr_blocks=[str(cidr) for cidr in cidrs if cidr.version == 4],
                ipv6_cidr_blocks=[str(cidr) for cidr in cidrs if cidr.version == 6],
            )
            for port, cidrs, what in allowed
            if cidrs
        ]

    def machine(self, boot: Boot, opts: ResourceOptions) -> Machine:
        """Declare the instance. It has no role: the node needs none of the account's rights."""
        settings = self._settings
        opts = self._own(opts)
        marks = of_machine(settings, boot)
        asked = pulumi.InvokeOptions(provider=self._provider)
        instance = ec2.Instance(
            f"{settings.name}-machine",
            ami=aws.ssm.get_parameter_output(name=_IMAGE, opts=asked).value,
            instance_type=settings.instance_type,
            subnet_id=self._subnet,
            vpc_security_group_ids=[self._group.id],
            # It has to reach the bucket before its Elastic IP is associated.
            associate_public_ip_address=True,
            key_name=self._key_name(opts),
            instance_market_options=self._market(),
            # A shutdown from inside ends the machine and its bill.
            instance_initiated_shutdown_behavior="terminate",
            metadata_options=ec2.InstanceMetadataOptionsArgs(
                http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
            ),
            root_block_device=ec2.InstanceRootBlockDeviceArgs(
                encrypted=True,
                volume_type="gp3",
                volume_size=settings.disk_gib,
                throughput=_DISK_MIBPS,
                # At least 4 a MiB/s: https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html
                iops=_DISK_MIBPS * 8,
                delete_on_termination=True,
            ),
            user_data_base64=boot.user_data.apply(lambda document: user_data.encoded(document, "aws")),
            user_data_replace_on_change=True,
            tags=marks,
            volume_tags=marks,
            opts=ResourceOptions.merge(
                opts,
                ResourceOptions(
                    # The parameter names another image every few weeks: no reason to replace a node that serves.
                    ignore_changes=["ami"],
                    # Two machines can't have one address, nor need quota for two.
                    delete_before_replace=True,
                ),
            ),
        )
        association = ec2.EipAssociation(
            f"{settings.name}-address-of-machine",
            instance_id=instance.id,
            allocation_id=self._address.allocation_id,
            opts=opts,
        )
        # The endpoint can be asked only once the address is the machine's.
        return Machine(association.instance_id, instance.id, 0.0)

    def _key_name(self, opts: ResourceOptions) -> pulumi.Output[str] | None:
        settings = self._settings
        if not settings.ssh_public_key:
            return None
        key = ec2.KeyPair(f"{settings.name}-key", public_key=settings.ssh_public_key, tags=tags(settings), opts=opts)
        return key.key_name

    def _market(self) -> ec2.InstanceInstanceMarketOptionsArgs | None:
        """Return how spot capacity is asked for; only a persistent request can be stopped when it is interrupted.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/interruption-behavior.html
        """
        settings = self._settings
        if not settings.spot:
            return None
        stopped = settings.on_eviction == "stop"
        return ec2.InstanceInstanceMarketOptionsArgs(
            market_type="spot",
            spot_options=ec2.InstanceInstanceMarketOptionsSpotOptionsArgs(
                spot_instance_type="persistent" if stopped else "one-time",
                instance_interruption_behavior="stop" if stopped else "terminate",
                max_price=f"{settings.max_price_per_hour:.4f}" if settings.max_price_per_hour else None,
            ),
        )
