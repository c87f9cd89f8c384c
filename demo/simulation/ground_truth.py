"""The ground truth: every number that simulated buyers and sellers behave by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from demo.simulation.errors import ImpossibleTruth

Finite = Annotated[float, Field(allow_inf_nan=False)]
Amount = Annotated[Finite, Field(ge=0)]
Positive = Annotated[Finite, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
Week = Annotated[tuple[Amount, ...], Field(strict=False, min_length=7, max_length=7)]
Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(strict=True))
class GroundTruth:
    """What is true of the simulated marketplace. Chosen, not fitted to any real one."""

    # Similarity of two listings: the cosine of their true vectors, to which each attribute adds its share.
    type_share: Amount = 0.4
    colour_share: Amount = 0.25
    pattern_share: Amount = 0.15
    brand_share: Amount = 0.1
    own_share: Amount = 0.1
    """A listing's own part, that no attribute describes, shared with listings that copy its photo."""

    # Buyers.
    slates_per_day: Positive = 1.2
    """Mean of a buyer on an ordinary day, before weekday and season."""
    activity_shape: Positive = 0.6
    """Of the gamma distribution of buyers' activity; below 1 most buyers come rarely and a few come daily."""
    slates_per_session: Positive = 4.0
    favourites: Count = 3
    """Listings whose mean is a buyer's taste; each session looks for one of them."""
    price_sensitivity: Amount = 1.0
    """Median of buyers: what a price e times further off costs in the logit of attraction."""
    price_sensitivity_spread: Amount = 0.5
    """Of its logarithm."""
    bot_share: Probability = 0.0003
    bot_slates_per_day: Amount = 120.0
    bot_tap: Probability = 0.4
    """A bot taps each position with this probability, within a second, and buys nothing."""
    tester_share: Probability = 0.001
    """Testers choose their arm themselves: their slates are marked as overrides."""

    # Rhythm.
    weekdays: Week = (0.95, 0.9, 0.9, 0.95, 1.0, 1.2, 1.3)
    """Activity from Monday to Sunday."""
    season: Amount = 0.3
    """How much interest in warm clothes rises in mid-January and falls in mid-July; light ones opposite."""

    # Attention.
    slate_length: Count = 12
    position_bias: Amount = 0.7
    """Position k is examined with probability k ** -position_bias, by those who look that far."""
    least_depth: Annotated[int, Field(ge=0)] = 3
    mean_depth: Amount = 8.0
    """How far down a slate a buyer looks: least_depth and a number from a geometric distribution."""
    freshness: Probability = 0.97
    """Examination is multiplied by this for every slate seen earlier in the session."""

    # Attraction of an examined item: logistic of these.
    attraction: Finite = -5.0
    """The logit of an item unlike the query item and the buyer's taste, at the same price."""
    similarity: Amount = 5.0
    taste: Amount = 1.5
    tap_rate: Probability = 0.4
    """An examined and attractive item is tapped with this probability."""

    # Purchases: of an item after its tap, and of the query item by who looks at its page.
    buy_after_tap: Probability = 0.1
    """Times the item's attraction."""
    buy_directly: Probability = 0.002
    deciding_seconds: Amount = 300.0
    """Mean time from tap to purchase."""
    complaint: Probability = 0.002
    """Of a tapped item, times what it lacks in attraction."""

    # Stock and sellers.
    single_unit: bool = True
    """A bought listing is gone from all later slates of all arms. Off, arms cannot interfere."""
    arrivals: Amount = 0.015
    """New listings a day, as a share of the catalogue; at most half of it arrives."""
    relistings: Amount = 0.002
    """A day, as a share of the catalogue: withdrawn and listed again a tenth cheaper, with the old photo."""
    copies: Amount = 0.002
    """Likewise: listings whose seller took another's photo."""

    # The service.
    took_ms: Positive = 12.0
    took_spread: Amount = 0.3
    """Median and spread of the logarithm."""

    # Injected in every arm but the control, for tests of what recovers them.
    tap_lift: Amount = 1.0
    """Multiplies every tap probability."""
    purchase_lift: Amount = 1.0
    """Multiplies every probability of a purchase after a tap."""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        for name, lift in (("tap_rate", "tap_lift"), ("buy_after_tap", "purchase_lift")):
            if getattr(self, name) * getattr(self, lift) > 1:
                raise ValueError(f"{name} times {lift} exceeds 1, and is a probability; lower one of them")
        if self.mean_depth < self.least_depth + 1:
            raise ValueError("expected mean_depth above least_depth by 1 or more")
        return self

    @classmethod
    def of(cls, changes: Mapping[str, str]) -> GroundTruth:
        """Return the default truth with parameters changed, as they are written in JSON.

        Raises ImpossibleTruth: no such parameter, or a value that it cannot have.
        """
        names = [field.name for field in fields(cls)]
        unknown = next((name for name in changes if name not in names), None)
        if unknown is not None:
            raise ImpossibleTruth(f"no parameter {unknown!r}; there are {', '.join(names)}")
        try:
            return cls(**{name: _json(text) for name, text in changes.items()})
        except ValidationError as error:
            first = error.errors()[0]
            name = "".join(f"{part}: " for part in first["loc"][:1])
            raise ImpossibleTruth(f"{name}{first['msg'].removeprefix('Value error, ')}") from error

    def to_json(self) -> dict[str, object]:
        """Return every parameter by name."""
        return asdict(self)


def _json(text: str) -> Any:
    """Return the value of a JSON text, or the text itself if it is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text
