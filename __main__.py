"""The Liftoff program: the stack's settings become one ModelNode, and what it is like becomes the stack's outputs."""

import gc

import pulumi
from pulumi.runtime import is_config_secret

from components import settings
from components.model_node import ModelNode
from components.refusal import Refusal

# A cloud's SDK is a hundred thousand objects that stay: the collector would look through them again and again.
gc.disable()
try:
    asked = settings.load(
        pulumi.Config("liftoff"),
        pulumi.get_stack(),
        is_encrypted=lambda key: is_config_secret(f"liftoff:{key}"),
    )
    node = ModelNode(asked.name, asked)
except Refusal as refused:
    # A RunError is shown as it is, without a traceback.
    raise pulumi.RunError(str(refused)) from refused
finally:
    gc.freeze()
    gc.enable()

pulumi.export("endpoint", node.endpoint)
pulumi.export("model", asked.model)
pulumi.export("provider", asked.provider)
pulumi.export("region", node.region)
pulumi.export("instanceType", node.instance_type)
pulumi.export("pricePerHour", node.price_per_hour)
pulumi.export("expiresAt", node.expires_at)
pulumi.export("apiKey", node.api_key)
pulumi.export("certificate", node.certificate)
pulumi.export("timeline", node.timeline)
