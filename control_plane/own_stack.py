"""A person's own stack in which a launch is: what the command that began it was given, and what it asks for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from automation.launch import LaunchRequest
from automation.offers import Offer
from components import settings
from components.settings import CloudSettings
from control_plane.request import LOCAL_OFFER, LaunchAsked
from control_plane.store.launches import Launch


class OwnStack(BaseModel):
    """What it takes to go on with a launch whose command has died.

    Attributes:
        project: folder of the Pulumi program, absolute.
        stack: the stack's name.
        model: name under which the model is served; None takes the stack's.
        config: values that override the stack's; none of them is secret.
        keep: leave what was made when the launch fails.
        after: what the launch was for, a node or offers, of which this one takes over what it made: its command has
            died; empty where there was none.
        since: when the first of them was begun, in seconds since 1970; 0 where there was none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: str
    stack: str
    model: str | None
    config: Mapping[str, str]
    keep: bool
    after: Literal["", "node", "offers"] = ""
    since: float = 0.0

    @classmethod
    def of(cls, request: LaunchRequest) -> Self:
        """Return what a command was given."""
        project = str(request.project.resolve())
        return cls(
            project=project, stack=request.stack, model=request.model, config=dict(request.config), keep=request.keep
        )

    def taking_over(self, interrupted: Launch) -> Self:
        """Return the same for a launch that takes over what another one made."""
        before = type(self).model_validate(interrupted.stack)
        after = "offers" if interrupted.plan or before.after == "offers" else "node"
        return self.model_copy(update={"after": after, "since": before.since or interrupted.created_at})

    @property
    def request(self) -> LaunchRequest:
        """What the command was given."""
        return LaunchRequest(Path(self.project), self.stack, self.model, dict(self.config), self.keep)


def asked(given: settings.Settings, offers: Sequence[Offer]) -> LaunchAsked:
    """Return what a launch asks for: a node as the settings say, or any of some offers."""
    place: dict[str, Any] = {}
    if offers:
        providers = {offer.provider for offer in offers}
        place = {"provider": providers.pop()} if len(providers) == 1 else {}
        place["market"] = "spot" if all(offer.spot for offer in offers) else "auto"
    elif isinstance(given, CloudSettings):
        market = "spot" if given.spot else "on-demand"
        place = {"provider": given.provider_name(), "region": given.region, "market": market}
        place["instance_type"] = given.instance_type
    else:
        place = {"provider": given.provider}
    return LaunchAsked.model_validate({"model_name": given.model, **place})


def offer(given: settings.Settings) -> Offer:
    """Return what the settings name, at the catalog's price."""
    if not isinstance(given, CloudSettings):
        return LOCAL_OFFER
    return Offer(
        provider=given.provider_name(),
        region=given.region,
        zone=given.zone,
        instance_type=given.instance_type,
        gpu=given.machine_type.gpu,
        spot=given.spot,
        price=given.catalog_price,
        source="the stack's settings, at the catalog's price",
        seen=None,
    )
