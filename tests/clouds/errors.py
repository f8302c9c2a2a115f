"""The clouds' own error texts, each with the public report or document that it was taken from.

Code and message are those of the source, with its ids, names and numbers made fields. The envelope around them (request
id, status, "creating EC2 Instance", "Error waiting for instance to create") is that of other reports of the same plugin
where the source shows another client's; `note` says what is not verified. Where no report was found, there is no entry.
"""

import string
from dataclasses import dataclass
from typing import Final

_EC2: Final = (
    "operation error EC2: RunInstances, https response error StatusCode: {status}, RequestID: {request}, api error "
)

REQUEST_ID: Final = "49d0d3c7-12ad-4e65-9171-f03979b95cad"


@dataclass(frozen=True)
class CloudError:
    """One text.

    Attributes:
        kind: capacity, quota, spot_price, credentials, configuration, throttled, or a finer name of our own.
        text: with fields.
        source: URL of the report or the document.
        note: what is not verified of it.
    """

    provider: str
    kind: str
    text: str
    source: str
    note: str = ""


_AWS_ENVELOPE: Final = "the envelope is that of https://github.com/ned1313/Getting-Started-Terraform/issues/44"


def _aws(kind: str, status: int, message: str, source: str, note: str = "") -> CloudError:
    envelope = _EC2.replace("{status}", str(status)).replace("{request}", REQUEST_ID)
    return CloudError("aws", kind, f"creating EC2 Instance: {envelope}{message}", source, note or _AWS_ENVELOPE)


_AZURE_WRAPPING: Final = "the status, and that 3.29 writes Status=, Code=, Message= around them, are unverified"


def _azure(kind: str, status: int, code: str, message: str, source: str, note: str = "") -> CloudError:
    text = f'Status={status} Code="{code}" Message="{message}"'
    return CloudError("azure-native", kind, text, source, note or _AZURE_WRAPPING)


def _gcp(kind: str, message: str, source: str, note: str = "") -> CloudError:
    return CloudError("gcp", kind, message, source, note)


_SPOT_CODES: Final = "https://learn.microsoft.com/azure/virtual-machines/error-codes-spot"

TABLE: Final[tuple[CloudError, ...]] = (
    # AWS. The envelope of the Go SDK v2 stands in https://github.com/ned1313/Getting-Started-Terraform/issues/44.
    _aws(
        "capacity",
        500,
        "InsufficientInstanceCapacity: There is no Spot capacity available that matches your request.",
        "https://github.com/kubernetes-sigs/cluster-api-provider-aws/issues/2016",
    ),
    _aws(
        "capacity_zone",
        500,
        "InsufficientInstanceCapacity: We currently do not have sufficient {instance_type} capacity in the "
        "Availability Zone "
        "you requested ({zone}). Our system will be working on provisioning additional capacity. You can currently get "
        "{instance_type} capacity by not specifying an Availability Zone in your request or choosing {others}.",
        "https://github.com/hashicorp/terraform-provider-aws/issues/1496",
    ),
    _aws(
        "quota",
        400,
        "MaxSpotInstanceCountExceeded: Max spot instance count exceeded",
        "https://github.com/meadowdata/meadowrun/issues/84",
    ),
    _aws(
        "quota_on_demand",
        400,
        "VcpuLimitExceeded: You have requested more vCPU capacity than your current vCPU limit of {limit} allows "
        "for the "
        "instance bucket that the specified instance type belongs to. Please visit "
        "http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
        "https://github.com/bentoml/bentoctl/issues/202",
    ),
    _aws(
        "spot_price",
        400,
        "SpotMaxPriceTooLow: Your Spot request price of {given} is lower than the minimum required Spot request "
        "fulfillment "
        "price of {least}.",
        "https://github.com/aws/aws-parallelcluster-node/pull/415",
    ),
    _aws(
        "credentials",
        403,
        "UnauthorizedOperation: You are not authorized to perform this operation. User: {user} is not authorized "
        "to perform: "
        "ec2:RunInstances on resource: {resource} with an explicit deny in a service control policy. Encoded "
        "authorization "
        "failure message: {encoded}",
        "https://github.com/aws/karpenter-provider-aws/issues/7370",
    ),
    _aws(
        "credentials_spot_role",
        403,
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted: The provided credentials do not have permission to "
        "create the "
        "service-linked role for EC2 Spot Instances.",
        "https://github.com/determined-ai/determined/issues/1830",
    ),
    _aws(
        "configuration",
        400,
        "Unsupported: Your requested instance type ({instance_type}) is not supported in your requested "
        "Availability Zone "
        "({zone}). Please retry your request by not specifying an Availability Zone or choosing {others}.",
        "https://github.com/ned1313/Getting-Started-Terraform/issues/44",
    ),
    _aws(
        "configuration_region",
        400,
        "Unsupported: The requested configuration is currently not supported. Please check the documentation for "
        "supported "
        "configurations.",
        "https://github.com/hashicorp/terraform-provider-aws/issues/9113",
    ),
    _aws(
        "spot_stop_one_time",
        400,
        "InvalidParameterCombination: The request with type 'one-time' is not supported when "
        "instanceInterruptionBehavior is "
        "set to '{behavior}'.",
        "https://github.com/harmony-one/harmony-ops/issues/285",
        "reported for RequestSpotInstances",
    ),
    _aws(
        "throttled",
        503,
        "RequestLimitExceeded: Request limit exceeded.",
        "https://github.com/cattle-ops/terraform-aws-gitlab-runner/issues/756",
        "the status is unverified",
    ),
    # Azure.
    _azure(
        "capacity",
        409,
        "SkuNotAvailable",
        "The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: {size}' is "
        "currently not "
        "available in location '{location}'. Please try another size or deploy to a different location or "
        "different zone. See "
        "https://aka.ms/azureskunotavailable for details.",
        "https://github.com/Azure-Samples/azuresandbox/issues/70",
    ),
    _azure(
        "capacity_allocation",
        200,
        "AllocationFailed",
        "Allocation failed. We do not have sufficient capacity for the requested VM size in this region. Read "
        "more about "
        "improving likelihood of allocation success at http://aka.ms/allocation-guidance",
        "https://github.com/vmware-tanzu/community-edition/issues/3963",
        "comes from the asynchronous operation, and leaves a failed machine behind; the wrapping is unverified",
    ),
    _azure(
        "quota",
        409,
        "OperationNotAllowed",
        "Operation could not be completed as it results in exceeding approved {family} quota. Additional details - "
        "Deployment Model: Resource Manager, Location: {location}, Current Limit: {limit}, Current Usage: "
        "{usage}, Additional "
        "Required: {required}, (Minimum) New Limit Required: {needed}.",
        "https://github.com/scylladb/scylla-cluster-tests/issues/4994",
        "the real text goes on with a long link to the portal; family is LowPriorityCores, Total Regional Cores, or a "
        "family as in https://github.com/Azure/karpenter-provider-azure/issues/192",
    ),
    _azure(
        "spot_price",
        409,
        "SpotPriceGreaterThanProvidedMaxPrice",
        "Unable to perform operation '{operation}' since the provided max price '{given} USD' is lower than the "
        "current spot "
        "price '{least} USD' for Azure Spot Virtual Machine size '{size}'.",
        _SPOT_CODES,
    ),
    _azure(
        "spot_size",
        409,
        "AzureSpotIsNotSupportedForThisVMSize",
        "Azure Spot Virtual Machine is not supported for this VM size {size}.",
        _SPOT_CODES,
    ),
    _azure(
        "spot_subscription",
        409,
        "AzureSpotFeatureNotEnabledForSubscription",
        "Subscription not enabled with Azure Spot Virtual Machine feature.",
        _SPOT_CODES,
    ),
    _azure(
        "spot_price_invalid",
        400,
        "MaxPriceValueInvalid",
        "Invalid max price value. The only supported values for max price are -1 or a decimal greater than zero. "
        "Max price "
        "value of -1 indicates the Azure Spot Virtual Machine will not be evicted for price reasons.",
        _SPOT_CODES,
    ),
    _azure(
        "spot_price_on_demand",
        400,
        "MaxPriceIsSupportedOnlyForAzureSpotVirtualMachines",
        "Max price is supported only for Azure Spot Virtual Machines.",
        _SPOT_CODES,
    ),
    _azure(
        "spot_eviction_policy",
        400,
        "EvictionPolicyCanBeSetOnlyOnAzureSpotVirtualMachines",
        "Eviction policy can be set only on Azure Spot Virtual Machines.",
        _SPOT_CODES,
    ),
    _azure(
        "configuration_region",
        409,
        "SkuNotAvailable",
        "The requested size for resource '{id}' is currently not available in location '{location}' zones '' for "
        "subscription "
        "'{subscription}'. Please try another size or deploy to a different location or zones. See "
        "https://aka.ms/azureskunotavailable for details.",
        "https://github.com/MicrosoftDocs/azure-docs/issues/55435",
    ),
    _azure(
        "credentials",
        403,
        "AuthorizationFailed",
        "The client '{client}' with object id '{object}' does not have authorization to perform action '{action}' "
        "over scope "
        "'{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.",
        "https://github.com/pulumi/pulumi-azure-native/issues/1511",
    ),
    _azure(
        "configuration",
        409,
        "PropertyChangeNotAllowed",
        "Changing property '{property}' is not allowed.",
        "https://github.com/Azure/azure-sdk-for-java/issues/1912",
    ),
    _azure(
        "static_address",
        400,
        "StandardSkuPublicIPAddressesMustBeStatic",
        "Standard sku publicIp {id} must have AllocationMethod set to Static.",
        "https://github.com/pulumi/pulumi-azure-native/issues/1597",
    ),
    CloudError(
        "azure-native",
        "exists",
        "cannot create already existing resource '{id}'",
        "https://github.com/pulumi/pulumi-azure-native/issues/1722",
    ),
    _azure(
        "throttled",
        429,
        "OperationNotAllowed",
        "The server rejected the request because too many requests have been received for this subscription.",
        "https://github.com/Azure/aks-engine/issues/2295",
    ),
    # GCP.
    _gcp(
        "capacity",
        "Error waiting for instance to create: The zone 'projects/{project}/zones/{zone}' does not have enough "
        "resources "
        "available to fulfill the request.  Try a different zone, or try again later.",
        "https://github.com/forseti-security/terraform-google-forseti/issues/631",
    ),
    _gcp(
        "capacity_stockout",
        "Error waiting for instance to create: The zone 'projects/{project}/zones/{zone}' does not have enough "
        "resources "
        "available to fulfill the request.  '(resource type:compute)'.",
        "https://github.com/cloud-barista/cb-spider/issues/1125",
        "the report is another client's; the envelope is that of terraform-google-forseti#631",
    ),
    _gcp(
        "capacity_details",
        "Error waiting for instance to create: A {machine_type} VM instance with {count} {gpu} accelerator(s) is "
        "currently "
        "unavailable in the {zone} zone. Consider trying your request in the {others} zone(s), which currently "
        "has capacity to "
        "accommodate your request. Alternatively, you can try your request again with a different VM hardware "
        "configuration "
        "or at a later time. For more information, see the troubleshooting documentation.",
        "https://github.com/kubernetes/k8s.io/issues/9834",
        "reported by gcloud; that the plugin shows the localized message so is unverified",
    ),
    _gcp(
        "quota",
        "Error waiting for instance to create: Quota '{quota}' exceeded. Limit: {limit} in region {region}.",
        "https://github.com/fastai/course-v3/pull/165",
        "the report is gcloud's and of a global quota; the envelope and the wording 'in region' are unverified",
    ),
    _gcp(
        "quota_global",
        "Error waiting for instance to create: Quota 'GPUS_ALL_REGIONS' exceeded. Limit: {limit} globally.",
        "https://github.com/fastai/course-v3/pull/165",
        "the report is gcloud's; the envelope is unverified",
    ),
    _gcp(
        "credentials",
        "Error creating instance: googleapi: Error 403: Required '{permission}' permission for '{resource}', forbidden",
        "https://github.com/hashicorp/packer-plugin-googlecompute/issues/137",
        "the form is that of other permissions (compute.zones.get), for instance "
        "https://github.com/hashicorp/terraform/issues/15952",
    ),
    _gcp(
        "configuration",
        "Error creating instance: googleapi: Error 400: Instances with guest accelerators do not support live "
        "migration., "
        "badRequest",
        "https://github.com/iterative/cml/issues/1398",
    ),
    _gcp(
        "automatic_restart",
        "Error creating instance: googleapi: Error 400: Invalid value for field "
        "'resource.scheduling.preemptible': 'true'. "
        "Scheduling must have preemptible be false when AutomaticRestart is true., invalid",
        "https://github.com/percona/mongo_terraform_ansible/issues/34",
    ),
    _gcp(
        "no_such_accelerator",
        "Error creating instance: googleapi: Error 404: The resource "
        "'projects/{project}/zones/{zone}/acceleratorTypes/{gpu}' "
        "was not found, notFound",
        "https://github.com/fastai/course-v3/pull/430",
        "the message is from gcloud; the envelope is that of the other errors",
    ),
    _gcp(
        "throttled",
        "Error creating instance: googleapi: Error 403: Quota exceeded for quota group 'ReadGroup' and limit "
        "'Read requests "
        "per 100 seconds' of service 'compute.googleapis.com' for consumer 'project_number:123456'., rateLimitExceeded",
        "https://github.com/hashicorp/terraform-provider-google/issues/8360",
        "reported when reading; the envelope 'Error creating instance' is that of the other errors",
    ),
)
"""No report was found, or looked for long enough, of: Azure's ReadOnlyDisabledSubscription, ZonalAllocationFailed and
OverconstrainedAllocationRequest as the plugin shows them; AWS's UnfulfillableCapacity for RunInstances; GCP's
UNSUPPORTED_OPERATION for an instance that was preempted while it was made."""

_BY_KIND: Final = {(error.provider, error.kind): error for error in TABLE}

EXAMPLES: Final = {
    "instance_type": "g6.xlarge",
    "zone": "us-east-1a",
    "others": "us-east-1b, us-east-1d",
    "limit": "0",
    "given": "0.001",
    "least": "0.0374",
    "user": "arn:aws:sts::123456789012:assumed-role/deployer/session",
    "resource": "arn:aws:ec2:us-east-1:123456789012:instance/*",
    "encoded": "g4oZPBqZ4Bni8dE5dGjxYTnOZ",
    "behavior": "stop",
    "size": "Standard_NV36ads_A10_v5",
    "location": "eastus",
    "family": "LowPriorityCores",
    "usage": "0",
    "required": "36",
    "needed": "36",
    "operation": "Create VM",
    "client": "deployer@example.com",
    "object": "021f6f34-4f1a-4f8f-b2ce-e55301892388",
    "action": "Microsoft.Compute/virtualMachines/write",
    "scope": "/subscriptions/00000000-0000-0000-0000-000000000000",
    "property": "osProfile.customData",
    "subscription": "00000000-0000-0000-0000-000000000000",
    "id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg",
    "project": "emulated-project",
    "machine_type": "g2-standard-8",
    "count": "1",
    "gpu": "nvidia-l4",
    "quota": "PREEMPTIBLE_NVIDIA_L4_GPUS",
    "region": "us-central1",
    "permission": "compute.instances.create",
}
"""What stands for a field that a test does not give."""


def known(provider: str, kind: str) -> CloudError:
    """Return an entry of the table.

    Raises:
        KeyError: there is none; the text names what there is.
    """
    if (provider, kind) not in _BY_KIND:
        allowed = sorted(kind for of, kind in _BY_KIND if of == provider)
        raise KeyError(f"no error text for {provider} {kind!r}; there are: {allowed}")
    return _BY_KIND[provider, kind]


def text(provider: str, kind: str, **fields: object) -> str:
    """Return a cloud's own words, with these fields and examples for the rest."""
    template = known(provider, kind).text
    names = {name for _, name, _, _ in string.Formatter().parse(template) if name}
    unknown = fields.keys() - names
    if unknown:
        raise KeyError(f"the text for {provider} {kind!r} has no field {sorted(unknown)}; it has {sorted(names)}")
    return template.format_map({**EXAMPLES, **fields})
