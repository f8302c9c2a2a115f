"""The provider's Pulumi package schema, made from the resources themselves so that the two can't differ."""

import json
from collections.abc import Iterable
from typing import Any

from provider.resource import Resource

_PASSED_THROUGH = ("type", "description", "enum", "items", "additionalProperties")


def render(resources: Iterable[Resource[Any]], version: str) -> str:
    """Return the schema as JSON text (https://www.pulumi.com/docs/iac/guides/building-extending/packages/schema/)."""
    return json.dumps(
        {
            "name": "liftoff",
            "version": version,
            "displayName": "Liftoff",
            "description": "A node's boot session, its readiness, and a machine on this host.",
            "license": "Apache-2.0",
            "resources": {resource.token: _resource(resource) for resource in resources},
        },
        indent=2,
    )


def _resource(resource: Resource[Any]) -> dict[str, Any]:
    inputs = resource.inputs.model_json_schema(by_alias=True)
    definitions = inputs.get("$defs", {})
    properties = {name: _property(spec, definitions) for name, spec in inputs["properties"].items()}
    for name in properties.keys() & resource.replace_on:
        properties[name]["willReplaceOnChanges"] = True
    outputs: dict[str, dict[str, Any]] = {
        name: {"type": kind, **({"secret": True} if name in resource.secret_outputs else {})}
        | ({"items": {"$ref": "pulumi.json#/Any"}} if kind == "array" else {})
        for name, kind in resource.outputs.items()
    }
    return {
        "description": resource.description,
        "inputProperties": properties,
        "requiredInputs": inputs.get("required", []),
        "properties": {**properties, **outputs},
        "required": sorted({*inputs.get("required", []), *outputs}),
    }


def _property(spec: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return Pulumi's form of one JSON-schema property: references resolved, null left out."""
    if "$ref" in spec:
        spec = {
            **definitions[spec["$ref"].rsplit("/", 1)[-1]],
            **{k: v for k, v in spec.items() if k != "$ref"},
        }
    if "anyOf" in spec:
        real = [option for option in spec["anyOf"] if option.get("type") != "null"]
        spec = {**spec, **real[0]}
    kept = {name: spec[name] for name in _PASSED_THROUGH if name in spec and name not in ("enum", "items")}
    if kept.get("type") == "object":
        kept["additionalProperties"] = {"type": "string"}
    if kept.get("type") == "array":
        kept["items"] = _property(spec.get("items", {"type": "string"}), definitions)
    return kept
