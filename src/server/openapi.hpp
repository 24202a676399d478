// The OpenAPI 3.1 document of the routes, made from the table that serves them and from the lists
// of fields that read and write their documents.
#pragma once

#include <string>

#include "server/route_table.hpp"

namespace warren::server {

/// What the route that serves the document is declared as; it is in the document, too.
[[nodiscard]] RouteFacts openapi_route();
[[nodiscard]] std::string openapi_document(const Router& router,
                                           const api::DocumentSchemas& schemas);

}  // namespace warren::server
