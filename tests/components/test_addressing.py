"""Which addresses a stack has: ranges are as good as names, a changed one replaces subnets and all in them."""

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.addressing import LayoutError, subnet_for, vpc_range

LAYOUT_16 = {
    (0, False): "10.0.0.0/18",
    (1, False): "10.0.64.0/18",
    (2, False): "10.0.128.0/18",
    (0, True): "10.0.192.0/20",
    (1, True): "10.0.208.0/20",
    (2, True): "10.0.224.0/20",
}


def test_the_ranges_of_a_vpc_stay_where_they_are() -> None:
    vpc = vpc_range("10.0.0.0/16")
    assert {key: str(subnet_for(vpc, key[0], is_public=key[1])) for key in LAYOUT_16} == LAYOUT_16


@given(st.integers(16, 20), st.integers(0, 15))
def test_subnets_lie_inside_their_vpc_and_never_overlap(prefix: int, index: int) -> None:
    vpc = list(IPv4Network("10.0.0.0/8").subnets(new_prefix=prefix))[index]
    cut = [subnet_for(vpc, zone, is_public=public) for zone in range(3) for public in (False, True)]
    assert all(subnet.subnet_of(vpc) and subnet.num_addresses >= 256 for subnet in cut)
    assert not [(a, b) for a in cut for b in cut if a is not b and a.overlaps(b)]


@pytest.mark.parametrize("cidr", ["10.0.0.1/16", "10.0.0.0/21", "10.0.0.0/15", "8.8.0.0/16", "all", "10.0.0.0/99"])
def test_a_range_that_cannot_be_cut_is_refused_by_name(cidr: str) -> None:
    with pytest.raises(LayoutError, match=f"{cidr} is no private range from /16 to /20 .*10.0.0.0/16"):
        vpc_range(cidr)


@pytest.mark.parametrize("zone", [-1, 3])
def test_there_are_three_zones_at_most(zone: int) -> None:
    with pytest.raises(LayoutError, match=f"zone {zone} is none of the 3"):
        subnet_for(vpc_range("10.0.0.0/16"), zone, is_public=False)
