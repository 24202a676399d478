// A component of a document's schema is open; whoever refers to it closes it
// (unevaluatedProperties), so that one component serves as a whole document, which has "schema": 1
// beside its fields, and as a part of another.
#include "server/openapi.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "server/limits.hpp"

namespace warren::server {
namespace {

using Json = nlohmann::ordered_json;

Json reference(const std::string& name) {
  return {{"$ref", "#/components/schemas/" + name}, {"unevaluatedProperties", false}};
}

Json schema_of(const api::FieldType& type) {
  using Kind = api::FieldType::Kind;
  switch (type.kind) {
    case Kind::Text:
      return {{"type", "string"}, {"maxLength", api::kMaxStringBytes}};
    case Kind::Boolean:
      return {{"type", "boolean"}};
    case Kind::Number:
      return {{"type", "number"}};
    case Kind::Integer:
      return {{"type", "integer"}, {"minimum", type.least}, {"maximum", type.most}};
    case Kind::List:
      return {{"type", "array"},
              {"maxItems", api::kMaxListEntries},
              {"items", schema_of(type.entries.front())}};
    case Kind::Document:
      return reference(type.document);
  }
  return {};
}

Json component(const std::vector<api::FieldSchema>& fields) {
  Json schema = {{"type", "object"}, {"properties", Json::object()}};
  Json required = Json::array();
  for (const api::FieldSchema& field : fields) {
    schema["properties"][field.key] = schema_of(field.type);
    if (field.required) required.push_back(field.key);
  }
  if (!required.empty()) schema["required"] = required;
  return schema;
}

/// A whole document: what `name` has, and the version.
Json document(const std::string& name) {
  return {{"$ref", "#/components/schemas/" + name},
          {"properties", {{"schema", {{"const", api::kSchema}}}}},
          {"required", {"schema"}},
          {"unevaluatedProperties", false}};
}

Json error_schema() {
  const Json text = {{"type", "string"}};
  return {{"type", "object"},
          {"required", {"schema", "error"}},
          {"additionalProperties", false},
          {"properties",
           {{"schema", {{"const", api::kSchema}}},
            {"error",
             {{"type", "object"},
              {"required", {"kind", "message", "hint"}},
              {"additionalProperties", false},
              {"properties", {{"kind", text}, {"message", text}, {"hint", text}}}}}}}};
}

std::string_view reach_text(Reach reach) {
  switch (reach) {
    case Reach::Network:
      return "network";
    case Reach::Filtered:
      return "filtered";
    case Reach::Gateway:
      return "gateway";
    case Reach::Host:
      return "host";
  }
  return "host";
}

Json parameters_of(const Router::Route& route) {
  Json parameters = Json::array();
  for (const std::string& segment : route.segments) {
    if (!segment.starts_with('{')) continue;
    parameters.push_back({{"name", segment.substr(1, segment.size() - 2)},
                          {"in", "path"},
                          {"required", true},
                          {"schema", {{"type", "string"}, {"minLength", 1}}}});
  }
  for (const QueryParameter& query : route.facts.query) {
    Json schema = {{"type", "string"}};
    if (query.most != 0) {
      schema = {{"type", "integer"}, {"minimum", query.least}, {"maximum", query.most}};
    }
    parameters.push_back({{"name", query.name},
                          {"in", "query"},
                          {"description", query.summary},
                          {"schema", schema}});
  }
  return parameters;
}

Json answer_of(const Router::Route& route) {
  if (route.facts.path == openapi_route().path) {
    return {{"description", "this document"},
            {"content", {{"application/json", {{"schema", {{"type", "object"}}}}}}}};
  }
  if (route.answer == "text/event-stream") {
    return {{"description", "server-sent events; the data of each is one document"},
            {"content", {{route.answer, {{"schema", document("Event")}}}}}};
  }
  if (route.answer.find('/') != std::string::npos) {
    return {{"description", "a file"}, {"content", {{route.answer, Json::object()}}}};
  }
  return {{"description", "done"},
          {"content", {{"application/json", {{"schema", document(route.answer)}}}}}};
}

std::string operation_id(const Router::Route& route) {
  std::string id(route.facts.method);
  std::ranges::transform(
      id, id.begin(), [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
  for (std::size_t i = 1; i < route.segments.size(); ++i) {
    id += '_';
    for (const char c : route.segments[i]) {
      if (c == '{' || c == '}') continue;
      id += c == '-' || c == '.' ? '_' : c;
    }
  }
  return id;
}

Json operation(const Router::Route& route) {
  Json out = {{"operationId", operation_id(route)},
              {"summary", route.facts.summary},
              {"x-warren-reach", reach_text(route.facts.reach)},
              {"x-warren-changes", route.facts.effect == Effect::Changes}};
  if (Json parameters = parameters_of(route); !parameters.empty()) out["parameters"] = parameters;
  if (!route.request.empty()) {
    out["requestBody"] = {
        {"required", true},
        {"content", {{"application/json", {{"schema", document(route.request)}}}}}};
  }
  out["responses"] = {{"200", answer_of(route)},
                      {"default", {{"$ref", "#/components/responses/Error"}}}};
  return out;
}

}  // namespace

RouteFacts openapi_route() {
  return {"GET", "/v1/openapi.json", Reach::Filtered, Effect::Reads, "This document"};
}

std::string openapi_document(const Router& router, const api::DocumentSchemas& known) {
  Json paths = Json::object();
  const auto add = [&paths](const Router::Route& route) {
    std::string method(route.facts.method);
    std::ranges::transform(method, method.begin(),
                           [](char c) { return static_cast<char>(c + 32); });
    paths[std::string(route.facts.path)][method] = operation(route);
  };
  for (const Router::Route& route : router.routes()) add(route);
  Router own;
  own.add(openapi_route(), {}, {}, {});
  add(own.routes().front());
  Json schemas = Json::object();
  for (const auto& [name, fields] : known) schemas[name] = component(fields);
  schemas["Error"] = error_schema();
  const Json document = {
      {"openapi", "3.1.0"},
      {"info",
       {{"title", "warren gateway"},
        {"version", WARREN_VERSION},
        {"description",
         "Over the unix socket for root and the group warren; over HTTPS, when the settings have "
         "admin.listen, for holders of a token. x-warren-reach says who of them: docs/formats/"
         "api.md. A body is application/json and at most " +
             std::to_string(Limits{}.body_bytes) + " bytes."}}},
      {"security", Json::array({Json::object(), {{"token", Json::array()}}})},
      {"paths", paths},
      {"components",
       {{"securitySchemes", {{"token", {{"type", "http"}, {"scheme", "bearer"}}}}},
        {"responses",
         {{"Error",
           {{"description", "refused or failed"},
            {"content",
             {{"application/json", {{"schema", {{"$ref", "#/components/schemas/Error"}}}}}}}}}}},
        {"schemas", schemas}}}};
  return document.dump();
}

}  // namespace warren::server
