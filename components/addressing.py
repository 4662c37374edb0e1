"""Address arithmetic of a VPC: which range each subnet has."""

from ipaddress import AddressValueError, IPv4Network, NetmaskValueError

MAX_ZONES = 3
MIN_PREFIX, MAX_PREFIX = 16, 20  # AWS takes /16 to /28; below /20 a zone has too few addresses for a fleet of pods
_PUBLIC_SHARE = 2  # bits by which a public subnet is smaller than a private one: it holds gateways only


class LayoutError(ValueError):
    """A range can't be cut as asked; the message names it."""


def vpc_range(cidr: str) -> IPv4Network:
    """The range of a VPC. Raises: LayoutError, naming value, bound and way out."""
    try:
        network = IPv4Network(cidr)
    except (AddressValueError, NetmaskValueError, ValueError):
        network = None
    if network is None or not network.is_private or not MIN_PREFIX <= network.prefixlen <= MAX_PREFIX:
        raise LayoutError(
            f"{cidr} is no private range from /{MIN_PREFIX} to /{MAX_PREFIX} that starts at its first address; "
            "write one such as 10.0.0.0/16."
        )
    return network


def subnet_for(vpc: IPv4Network, zone: int, *, is_public: bool) -> IPv4Network:
    """Range of one zone's subnet; no two of them overlap, and adding a zone moves none.

    vpc: /16 to /20. zone: 0-based, below 3. Private subnets are a quarter of the VPC each, since every pod has an
    address of its own; public ones share the last quarter. Raises: LayoutError, naming the zone.
    """
    if not 0 <= zone < MAX_ZONES:
        raise LayoutError(
            f"zone {zone} is none of the {MAX_ZONES} that a VPC is cut for; ask for 0 to {MAX_ZONES - 1}."
        )
    quarters = list(vpc.subnets(prefixlen_diff=2))
    if not is_public:
        return quarters[zone]
    return list(quarters[-1].subnets(prefixlen_diff=_PUBLIC_SHARE))[zone]
