"""The machine that a launch would ask a cloud for."""

from dataclasses import dataclass

from automation.offers import Offer
from components import catalog
from components.catalog import InstanceType
from components.settings import AzureSettings, CloudSettings


@dataclass(frozen=True)
class Machine:
    """A machine of one cloud, as far as checks need it.

    Attributes:
        region: where it would be.
        kind: what the catalog knows of its type.
        spot: whether it would be a spot machine.
        subnet: an existing subnet that it would be in; empty where its network would be made, too.
        group: Azure's existing resource group; empty where one would be made.
    """

    region: str
    kind: InstanceType
    spot: bool
    subnet: str = ""
    group: str = ""

    def __str__(self) -> str:
        """Return it for a person."""
        return f"{self.kind.name} {'spot' if self.spot else 'on-demand'} in {self.region}"


def of_offer(offer: Offer) -> Machine:
    """Return the machine that an offer is for."""
    return Machine(offer.region, catalog.instance_type(offer.provider, offer.instance_type), offer.spot)


def of_settings(settings: CloudSettings) -> Machine:
    """Return the machine of a stack's own settings."""
    group = settings.resource_group if isinstance(settings, AzureSettings) else ""
    return Machine(settings.region, settings.machine_type, settings.spot, settings.subnet, group)
