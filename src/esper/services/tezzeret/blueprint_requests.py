"""requests: blueprints that are asked for over the bus go into the library, to be built."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from esper.contracts.assets import Blueprint
from esper.contracts.messages import RequestBlueprint
from esper.contracts.ports import Delivery
from esper.utils.logging import get_logger
from esper.utils.spans import parse_traceparent, within

logger = get_logger("tezzeret.requests")


def submitting(
    submit: Callable[[Blueprint], Awaitable[object]],
) -> Callable[[Sequence[Delivery]], Awaitable[None]]:
    """Return the handler of `RequestBlueprint`.

    Args:
        submit: Gives a blueprint to the library, where doing so again changes nothing; so a
            request that arrives twice is carried out once.
    """

    async def handle(deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            request = RequestBlueprint.model_validate(delivery.message.payload)
            with within(parse_traceparent(delivery.message.traceparent)):
                await submit(request.blueprint)
            logger.info(
                "submitted", blueprint=request.blueprint.name, requested_by=request.requested_by
            )

    return handle
