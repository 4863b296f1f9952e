"""What resources and the units of extra metrics cost."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from concertmaster.api.models.base import ApiModel, ShortName, rule, schema
from concertmaster.core.model.enums import PriceSource
from concertmaster.core.model.scalars import DecimalAmount

Currency = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Z]{3}$", max_length=32),
    Field(json_schema_extra=schema(forms="a currency code of three capital letters (ISO 4217), such as EUR")),
]

InstanceType = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9._-]+[*]?$", min_length=1, max_length=63),
    Field(json_schema_extra=schema(forms="an instance type, such as m5.large or m5.*")),
]


class UnitPrice(ApiModel):
    """The price of one unit of an extra metric."""

    metric: ShortName = Field(description="Name of the extra metric.", examples=["tokens"])
    price: DecimalAmount = Field(
        description="Price of one unit.",
        examples=["0.000002"],
        json_schema_extra=schema(unit="the currency, per unit of the metric"),
    )


class NodePriceSpec(ApiModel):
    """Prices on nodes of one kind. A price that is not set is the flat one."""

    cpu_core_hour: DecimalAmount | None = Field(
        default=None,
        description="Price of one requested CPU core for one hour on these nodes.",
        examples=["0.048"],
        json_schema_extra=schema(unit="the currency, per core and hour", default="pricing.cpuCoreHour"),
    )
    gpu_hour: DecimalAmount | None = Field(
        default=None,
        description="Price of one requested GPU for one hour on these nodes.",
        examples=["3.06"],
        json_schema_extra=schema(unit="the currency, per GPU and hour", default="pricing.gpuHour"),
    )
    instance_type: InstanceType | None = Field(
        default=None,
        description="Value of the label node.kubernetes.io/instance-type of the nodes; a trailing * matches any suffix.",
        examples=["m5.*"],
        json_schema_extra=schema(default="any"),
    )
    memory_gib_hour: DecimalAmount | None = Field(
        default=None,
        alias="memoryGiBHour",
        description="Price of one requested GiB of memory for one hour on these nodes.",
        examples=["0.006"],
        json_schema_extra=schema(unit="the currency, per GiB and hour", default="pricing.memoryGiBHour"),
    )
    spot: bool | None = Field(
        default=None,
        description="Whether the nodes are spot or preemptible, by the labels of Karpenter, EKS, GKE and AKS.",
        examples=[True],
        json_schema_extra=schema(default="either"),
    )


class PricingSpec(ApiModel):
    """Prices of resources."""

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

    cpu_core_hour: DecimalAmount | None = Field(
        default=None,
        description="Price of one requested CPU core for one hour.",
        examples=["0.031"],
        json_schema_extra=schema(unit="the currency, per core and hour", default="0.031 when currency is USD"),
    )
    currency: Currency = Field(
        default="USD", description="Currency of all prices and costs, as an ISO 4217 code.", examples=["EUR"]
    )
    failed_run: DecimalAmount = Field(
        default=DecimalAmount("10"),
        description="Value of an avoided failed run in the ranking of recommendations; not a cost.",
        examples=["25"],
        json_schema_extra=schema(unit="the currency, per failed run"),
    )
    gpu_hour: DecimalAmount | None = Field(
        default=None,
        description="Price of one requested GPU, or MIG slice, for one hour.",
        examples=["2.5"],
        json_schema_extra=schema(unit="the currency, per GPU and hour", default="0.95 when currency is USD, else 0"),
    )
    memory_gib_hour: DecimalAmount | None = Field(
        default=None,
        alias="memoryGiBHour",
        description="Price of one requested GiB of memory for one hour.",
        examples=["0.004"],
        json_schema_extra=schema(unit="the currency, per GiB and hour", default="0.004 when currency is USD"),
    )
    nodes: tuple[NodePriceSpec, ...] = Field(
        default=(),
        max_length=50,
        description="Prices by kind of node, for source NodeTable; the first matching row applies, else the flat prices.",
        examples=[[{"instanceType": "m5.*", "spot": True, "cpuCoreHour": "0.012"}]],
    )
    run_hour: DecimalAmount = Field(
        default=DecimalAmount("2.5"),
        description="Value of an hour of run time saved in the ranking of recommendations; not a cost.",
        examples=["10"],
        json_schema_extra=schema(unit="the currency, per hour"),
    )
    source: PriceSource = Field(
        default=PriceSource.FLAT,
        description="Source of the prices of CPU, memory and GPUs: Flat, the prices here; NodeTable, the rows of nodes by "
        "the node a pod ran on (needs kube_node_labels); OpenCost, its series node_cpu_hourly_cost, node_ram_hourly_cost "
        "and node_gpu_hourly_cost, taken in the policy's currency. Flat prices apply to pods on unknown nodes.",
        examples=["OpenCost"],
    )
    units: tuple[UnitPrice, ...] = Field(
        default=(),
        max_length=20,
        description="Prices of extra metrics, one per metric.",
        examples=[[{"metric": "tokens", "price": "0.000002"}]],
        json_schema_extra=schema(list_map="metric"),
    )
    volume_gib_month: DecimalAmount | None = Field(
        default=None,
        alias="volumeGiBMonth",
        description="Price of one GiB of a persistent volume for 30 days, for the waste of oversized volumes. "
        "Volumes are not part of the cost of runs.",
        examples=["0.08"],
        json_schema_extra=schema(unit="the currency, per GiB and 30 days", default="0.08 when currency is USD, else 0"),
    )
