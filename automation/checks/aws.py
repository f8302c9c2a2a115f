"""AWS: who asks, which calls a dry run refuses, and the vCPU quotas."""

import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from automation.checks import aws_quotas, side_by_side
from automation.checks.finding import (
    CREDENTIALS,
    NOT_ASKED,
    PERMISSIONS,
    SPOT_ROLE,
    Finding,
    State,
    is_throttled,
    of_refusal,
    rejects_credentials,
)
from automation.checks.machine import Machine
from automation.checks.quota import Quota
from automation.cloud_api import aws as api
from automation.cloud_api.refused import Refused
from automation.errors import Kind
from components import catalog

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_service_quotas import ServiceQuotasClient

_IMAGE: Final = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
"""The image that components/aws.py boots; a test holds the two together."""
_ROLE: Final = "AWSServiceRoleForEC2Spot"
"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/service-linked-roles-spot-instance-requests.html"""
_MADE_UP: Final = "0123456789abcdef0"
"""An id that nothing has: a dry run changes nothing, and whoever may not do it is mostly told so first."""

Probe = Callable[[], object]


class AwsAccount:
    """The account of the credentials that boto3 finds."""

    def __init__(self, region: str) -> None:
        self._region = region
        with api.answers():
            # A profile that is not there is found out here.
            self._session = api.session()
        self._clients: dict[tuple[str, str], Any] = {}
        # A session makes one client at a time: https://docs.aws.amazon.com/boto3/latest/guide/session.html#multithreading-or-multiprocessing-with-sessions
        self._lock = threading.Lock()
        self._used: dict[str, list[tuple[str, int, bool]]] = {}

    def who(self) -> Finding:
        """Return whose credentials they are."""
        with api.answers():
            found = self._client("sts", self._region).get_caller_identity()
        return Finding("aws", CREDENTIALS, State.OK, f"{found['Arn']} in account {found['Account']}")

    def rights(self, machine: Machine) -> tuple[Finding, ...]:
        """Return what a dry run of each call refuses, and whether spot machines may be asked for at all."""
        role = (self._spot_role(),) if machine.spot else ()
        return (*self._permissions(machine), *role)

    def quotas(self, machine: Machine) -> tuple[Quota, ...]:
        """Return the quota of the type's family."""
        known = aws_quotas.of(machine.kind.name, spot=machine.spot)
        if known is None:
            return ()
        code, name = known
        used = sum(
            vcpus
            for type_, vcpus, spot in self._instances(machine.region)
            if spot == machine.spot and aws_quotas.of(type_, spot=spot) == known
        )
        raised_by = (
            f"aws service-quotas request-service-quota-increase --service-code ec2 --quota-code {code} "
            f"--region {machine.region} --desired-value {used + machine.kind.vcpus}; or take another type or region"
        )
        limit = self._limit(machine.region, code)
        return (Quota(f"{name} ({code})", machine.region, limit, used, machine.kind.vcpus, "vCPUs", raised_by),)

    def _client(self, service: str, region: str) -> Any:  # noqa: ANN401 - each service has a type of its own
        with self._lock:
            if (service, region) not in self._clients:
                make: Any = self._session.client
                self._clients[service, region] = make(service, region_name=region, config=api.QUICK)
            return self._clients[service, region]

    def _limit(self, region: str, code: str) -> float:
        client: ServiceQuotasClient = self._client("service-quotas", region)
        try:
            with api.answers():
                return client.get_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]["Value"]
        except Refused as error:
            # What was never raised has no value of its own: https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html
            if error.code != "NoSuchResourceException":
                raise
        with api.answers():
            return client.get_aws_default_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]["Value"]

    def _instances(self, region: str) -> list[tuple[str, int, bool]]:
        """Return type, vCPUs and market of each instance that counts; spot requests that wait are not among them."""
        if region not in self._used:
            client: EC2Client = self._client("ec2", region)
            states = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
            with api.answers():
                pages: Any = client.get_paginator("describe_instances").paginate(Filters=states)  # type: ignore[arg-type]
                self._used[region] = [
                    (item["InstanceType"], _vcpus(item), item.get("InstanceLifecycle") == "spot")
                    for page in pages
                    for reservation in page["Reservations"]
                    for item in reservation["Instances"]
                ]
        return self._used[region]

    def _permissions(self, machine: Machine) -> Iterator[Finding]:
        image, image_finding = self._image(machine.region)
        probes = _probes(self._client("ec2", machine.region), machine, image)
        answers = side_by_side.run(
            {action: partial(_dry_run, probe) for action, probe in probes.items()},
            late=lambda _, seconds: f"no answer in {seconds:.0f} s",
        )
        denied = [action for action, code in answers.items() if code == _UNAUTHORISED]
        told = {action: code for action, code in answers.items() if code not in (_ALLOWED, _UNAUTHORISED)}
        if denied:
            yield Finding(
                "aws",
                PERMISSIONS,
                State.MISSING,
                f"refused: {', '.join(denied)}",
                "let a policy of these credentials allow them (docs/clouds.md)",
                Kind.CREDENTIALS,
            )
        elif len(told) < len(answers):
            yield Finding("aws", PERMISSIONS, State.OK, f"{len(answers) - len(told)} calls would be allowed")
        if told:
            text = ", ".join(f"{action} ({code})" for action, code in told.items())
            yield Finding("aws", PERMISSIONS, State.UNKNOWN, f"a dry run does not tell of {text}")
        if image_finding is not None:
            yield image_finding

    def _image(self, region: str) -> tuple[str, Finding | None]:
        try:
            with api.answers():
                found = self._client("ssm", region).get_parameter(Name=_IMAGE)
        except Refused as error:
            if rejects_credentials(error) or is_throttled(error):
                raise
            if _is_denied(error):
                hint = f"let a policy allow it on arn:aws:ssm:{region}::parameter{_IMAGE}"
                text = f"refused: ssm:GetParameter of {_IMAGE}"
                return "", Finding("aws", PERMISSIONS, State.MISSING, text, hint, Kind.CREDENTIALS)
            return "", Finding("aws", PERMISSIONS, State.UNKNOWN, f"{region} does not tell the image: {error.code}")
        return str(found["Parameter"]["Value"]), None

    def _spot_role(self) -> Finding:
        try:
            with api.answers():
                self._client("iam", self._region).get_role(RoleName=_ROLE)
        except Refused as error:
            if error.code == "NoSuchEntity":
                return Finding(
                    "aws",
                    SPOT_ROLE,
                    State.MISSING,
                    f"the account has no role {_ROLE}",
                    "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com",
                    Kind.CREDENTIALS,
                )
            if _is_denied(error):
                return Finding("aws", SPOT_ROLE, State.UNKNOWN, "these credentials may not read it (iam:GetRole)")
            return of_refusal("aws", SPOT_ROLE, error)
        return Finding("aws", SPOT_ROLE, State.OK, f"{_ROLE} is there")


_UNAUTHORISED: Final = "UnauthorizedOperation"
_ALLOWED: Final = "DryRunOperation"
_DENIED: Final = frozenset({_UNAUTHORISED, "AccessDenied", "AccessDeniedException"})


def _is_denied(error: Refused) -> bool:
    return error.code in _DENIED or error.status == 403


def _vcpus(item: Mapping[str, Any]) -> int:
    """Return the vCPUs that a quota counts: those of the type, whatever options it was started with."""
    try:
        return catalog.instance_type("aws", item["InstanceType"]).vcpus
    except catalog.UnknownName:
        options = item.get("CpuOptions") or {}
        return int(options.get("CoreCount", 1)) * int(options.get("ThreadsPerCore", 1))


def _dry_run(probe: Probe) -> str:
    """Return the code that a dry run ends with.

    Raises:
        Refused: the credentials are refused, AWS asks to be asked less, or nobody answers.
    """
    try:
        with api.answers():
            probe()
    except Refused as error:
        if rejects_credentials(error) or is_throttled(error) or error.code in NOT_ASKED:
            raise
        return _UNAUTHORISED if _is_denied(error) else error.code
    return _ALLOWED


def _probes(client: "EC2Client", machine: Machine, image: str) -> dict[str, Probe]:
    """Return a dry run of each call that a launch and its end make, by the action's name in a policy."""
    ids = {kind: f"{kind}-{_MADE_UP}" for kind in ("vpc", "subnet", "igw", "rtb", "sg", "i", "eipalloc")}
    open_port: Any = [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "192.0.2.1/32"}]}]
    route = {"RouteTableId": ids["rtb"], "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": ids["igw"]}
    network: dict[str, Probe] = {
        "ec2:CreateVpc": partial(client.create_vpc, CidrBlock="10.20.0.0/16", DryRun=True),
        "ec2:CreateSubnet": partial(client.create_subnet, VpcId=ids["vpc"], CidrBlock="10.20.0.0/24", DryRun=True),
        "ec2:CreateInternetGateway": partial(client.create_internet_gateway, DryRun=True),
        "ec2:AttachInternetGateway": partial(
            client.attach_internet_gateway, InternetGatewayId=ids["igw"], VpcId=ids["vpc"], DryRun=True
        ),
        "ec2:CreateRouteTable": partial(client.create_route_table, VpcId=ids["vpc"], DryRun=True),
        "ec2:CreateRoute": partial(client.create_route, **route, DryRun=True),
        "ec2:DeleteVpc": partial(client.delete_vpc, VpcId=ids["vpc"], DryRun=True),
        "ec2:DeleteSubnet": partial(client.delete_subnet, SubnetId=ids["subnet"], DryRun=True),
        "ec2:DeleteInternetGateway": partial(client.delete_internet_gateway, InternetGatewayId=ids["igw"], DryRun=True),
    }
    run: dict[str, Any] = {"InstanceType": machine.kind.name, "MinCount": 1, "MaxCount": 1, "DryRun": True}
    if machine.spot:
        run["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}}
    if machine.subnet:
        run["SubnetId"] = machine.subnet
    return {
        # Without an image the call is refused before anybody looks whether it is allowed.
        **({"ec2:RunInstances": partial(client.run_instances, ImageId=image, **run)} if image else {}),
        "ec2:TerminateInstances": partial(client.terminate_instances, InstanceIds=[ids["i"]], DryRun=True),
        "ec2:DescribeInstances": partial(client.describe_instances, DryRun=True),
        **({} if machine.subnet else network),
        "ec2:CreateSecurityGroup": partial(
            client.create_security_group,
            GroupName="liftoff-check",
            Description="Liftoff: a dry run",
            VpcId=ids["vpc"],
            DryRun=True,
        ),
        "ec2:AuthorizeSecurityGroupIngress": partial(
            client.authorize_security_group_ingress, GroupId=ids["sg"], IpPermissions=open_port, DryRun=True
        ),
        "ec2:DeleteSecurityGroup": partial(client.delete_security_group, GroupId=ids["sg"], DryRun=True),
        "ec2:AllocateAddress": partial(client.allocate_address, Domain="vpc", DryRun=True),
        "ec2:AssociateAddress": partial(
            client.associate_address, AllocationId=ids["eipalloc"], InstanceId=ids["i"], DryRun=True
        ),
        "ec2:DescribeAddresses": partial(client.describe_addresses, DryRun=True),
        "ec2:ReleaseAddress": partial(client.release_address, AllocationId=ids["eipalloc"], DryRun=True),
        "ec2:CreateTags": partial(
            client.create_tags, Resources=[ids["vpc"]], Tags=[{"Key": "liftoff-stack", "Value": "check"}], DryRun=True
        ),
    }
