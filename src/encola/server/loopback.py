"""Names and addresses: does one stay on this machine, and is it an address at all?"""

import ipaddress


def is_loopback(host: str) -> bool:
    """True for ``localhost``, names under it (RFC 6761 section 6.3), 127.0.0.0/8 and ::1; nothing is looked up."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def is_address(host: str) -> bool:
    """True for the digits of an IP address, which no name server can turn elsewhere."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
