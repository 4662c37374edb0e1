"""The network of a stack, placed before the API, which a private stack lets in through an endpoint of it alone."""

from dataclasses import dataclass

import pulumi

from components.network import Network, NetworkArgs
from components.settings import API_SERVICE, Settings


@dataclass(frozen=True)
class Reach:
    """network: None where there is no cluster to stand in it. api_endpoint_id: None for an API that anybody reaches."""

    network: Network | None
    api_endpoint_id: pulumi.Input[str] | None


def place_network(settings: Settings, opts: pulumi.ResourceOptions) -> Reach:
    """opts: of the network."""
    network = Network("network", NetworkArgs(settings), opts) if settings.has_new_cluster else None
    if network and settings.api.private:
        return Reach(network, network.endpoint_ids[API_SERVICE])
    return Reach(network, settings.api.vpc_endpoint_id)
