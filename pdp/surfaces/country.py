"""From which country a gateway's question comes: by the gateway's header, or by the address."""

from __future__ import annotations

from pdp.runtime.geo import Countries, country_code
from pdp.runtime.settings import ServerSettings
from pdp.surfaces.asked import CountryOf, Headers, only


def country_source(server: ServerSettings, countries: Countries | None) -> CountryOf | None:
    """Tells the country of an address and header fields; None where nothing is configured.

    With a header, only the one of exactly that name counts, if it stands there once and holds the
    code of a country in capitals. With a database, no header is looked at.
    """
    name = server.country_header
    if name is not None:

        def by_header(_address: str, headers: Headers) -> str | None:
            return country_code(only(headers, name))

        return by_header
    if countries is not None:

        def by_address(address: str, _headers: Headers) -> str | None:
            return countries.country(address)

        return by_address
    return None
