"""What resources and the units of extra metrics cost."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from concertmaster.api.models.base import ApiModel, ShortName, rule, schema
from concertmaster.core.model.scalars import Amount

Currency = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Z]{3}$", max_length=32),
    Field(json_schema_extra=schema(forms="a currency code of three capital letters (ISO 4217), such as EUR")),
]


class UnitPrice(ApiModel):
    """The price of one unit of an extra metric."""

    metric: ShortName = Field(description="Name of the extra metric.", examples=["tokens"])
    price: Amount = Field(
        description="Price of one unit.",
        examples=["0.000002"],
        json_schema_extra=schema(unit="the currency, per unit of the metric"),
    )


class PricingSpec(ApiModel):
    """What resources cost."""

    model_config = ConfigDict(
        json_schema_extra=schema(
            rules=[
                rule(
                    "!has(self.currency) || self.currency == 'USD' || (has(self.cpuCoreHour) && has(self.memoryGiBHour))",
                    "cpuCoreHour and memoryGiBHour must be set when currency is not USD: the built-in prices are in USD",
                )
            ]
        )
    )

    cpu_core_hour: Amount | None = Field(
        default=None,
        description="Price of one requested CPU core for one hour.",
        examples=["0.031"],
        json_schema_extra=schema(unit="the currency, per core and hour", default="0.031 when currency is USD"),
    )
    currency: Currency = Field(
        default="USD", description="Currency of all prices and costs, as an ISO 4217 code.", examples=["EUR"]
    )
    failed_run: Amount = Field(
        default=Amount("10"),
        description="What avoiding a failed run is worth when recommendations are ranked; no cost.",
        examples=["25"],
        json_schema_extra=schema(unit="the currency, per failed run"),
    )
    memory_gib_hour: Amount | None = Field(
        default=None,
        alias="memoryGiBHour",
        description="Price of one requested GiB of memory for one hour.",
        examples=["0.004"],
        json_schema_extra=schema(unit="the currency, per GiB and hour", default="0.004 when currency is USD"),
    )
    run_hour: Amount = Field(
        default=Amount("2.5"),
        description="What an hour less of run time is worth when recommendations are ranked; no cost.",
        examples=["10"],
        json_schema_extra=schema(unit="the currency, per hour"),
    )
    units: tuple[UnitPrice, ...] = Field(
        default=(),
        max_length=20,
        description="Prices of extra metrics, one per metric.",
        examples=[[{"metric": "tokens", "price": "0.000002"}]],
        json_schema_extra=schema(list_map="metric"),
    )
