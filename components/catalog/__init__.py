"""What can be bought, what can be served, and what fits where. docs/catalog.md tells the sources."""

from components.catalog.fit import Fit, NotSupported, TooLarge, fits
from components.catalog.gpus import Gpu, gpu, gpus
from components.catalog.instance_types import InstanceType, instance_type, instance_types
from components.catalog.models import Model, Quantisation, model, models
from components.catalog.other_prices import HOURS_PER_MONTH, OtherPrice, other_price
from components.catalog.prices import Price, PriceSource, cheapest, prices
from components.catalog.source_files import PROVIDERS, Provider, UnknownName

__all__ = [
    "HOURS_PER_MONTH",
    "PROVIDERS",
    "Fit",
    "Gpu",
    "InstanceType",
    "Model",
    "NotSupported",
    "OtherPrice",
    "Price",
    "PriceSource",
    "Provider",
    "Quantisation",
    "TooLarge",
    "UnknownName",
    "cheapest",
    "fits",
    "gpu",
    "gpus",
    "instance_type",
    "instance_types",
    "model",
    "models",
    "other_price",
    "prices",
]
