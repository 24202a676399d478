// The routes of authorities and certificates.
#pragma once

#include "control/control.hpp"
#include "server/route_table.hpp"

namespace warren::server {

void add_certificate_routes(RouteTable& routes, control::Control& control);
/// The lists of revoked certificates for everybody, by what only those know who have the
/// authority's certificate.
void add_public_list_routes(RouteTable& routes, control::Control& control);

}  // namespace warren::server
