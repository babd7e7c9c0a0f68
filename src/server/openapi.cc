// The route table as OpenAPI 3.0.3 and as a page.
#include <fmt/format.h>

#include <algorithm>

#include "base/text/ascii.h"
#include "server/fields/answer_table.h"
#include "server/fields/generation_parameters.h"
#include "server/fields/type_text.h"
#include "server/imports/import_task.h"
#include "server/page/html.h"
#include "server/requests/extras_task.h"
#include "server/requests/training_task.h"
#include "server/route_table.h"

namespace lowrank::server {
namespace {

// "/v1/outputs/{*name}" → "/v1/outputs/{name}": OpenAPI knows no rest.
std::string plain_path(std::string_view path) {
  std::string out(path);
  std::erase(out, '*');
  return out;
}

Json path_parameters(std::string_view path) {
  Json list = Json::array();
  for (std::size_t at = path.find('{'); at != std::string_view::npos; at = path.find('{', at + 1)) {
    const auto end = path.find('}', at);
    list.push_back({{"name", plain_path(path.substr(at + 1, end - at - 1))},
                    {"in", "path"},
                    {"required", true},
                    {"schema", {{"type", "string"}}}});
  }
  return list;
}

// What a route's good answer is: a content type, or a type that is sent as JSON.
Json answer_content(std::string_view answer) {
  const bool is_type = answer.find('/') == std::string_view::npos;
  return {{is_type ? "application/json" : std::string(answer),
           {{"schema", is_type ? type_schema(answer) : Json::object()}}}};
}

// Requests that the job API takes whole, by their names.
Json request_schemas() {
  return {{"Txt2imgRequest", parameters_schema(txt2img_parameters())},
          {"Img2imgRequest", parameters_schema(img2img_parameters())},
          {"ExtrasRequest", parameters_schema(extras_parameters())},
          {"TrainingRequest", training_schema()},
          {"ImportRequest", parameters_schema(import_parameters())}};
}

Json operation(const RouteRow& row) {
  Json parameters = path_parameters(row.path);
  if (row.query != nullptr)
    for (const ParameterRow& query : row.query()) {
      Json schema = parameter_schema(query);
      schema.erase("nullable");
      parameters.push_back(
          {{"name", query.name}, {"in", "query"}, {"required", query.is_required}, {"schema", schema}});
    }
  const Json error = {{"description", "the error message, in `detail` (or `error.message` in OpenAI's form)"},
                      {"content", {{"application/json", {{"schema", {{"type", "object"}}}}}}}};
  Json responses = {{"200", {{"description", "done"}, {"content", answer_content(row.answer)}}},
                    {"4XX", error},
                    {"501", error},
                    {"503", error}};
  if (row.method == "POST" && row.path == "/v1/jobs") responses["202"] = responses["200"];
  Json out = {{"summary", row.summary}, {"operationId", lower_ascii(row.method) + plain_path(row.path)}};
  if (!parameters.empty()) out["parameters"] = parameters;
  if (row.body != nullptr)
    out["requestBody"] = {{"required", true},
                          {"content", {{"application/json", {{"schema", parameters_schema(row.body())}}}}}};
  out["responses"] = responses;
  if (row.access == Access::kApi) out["security"] = Json::array({{{"basic", Json::array()}}, Json::object()});
  return out;
}

std::string parameter_rows(ParameterRows rows, const char* where) {
  std::string out;
  for (const ParameterRow& row : rows) {
    const Json schema = parameter_schema(row);
    std::string range;
    if (schema.contains("minimum")) range += fmt::format(" ≥ {}", schema["minimum"].get<double>());
    if (schema.contains("maximum")) range += fmt::format(" ≤ {}", schema["maximum"].get<double>());
    out += fmt::format("<tr><td><code>{}</code></td><td>{}</td><td>{}{}</td><td>{}</td><td>{}</td></tr>\n",
                       row.name, where, schema.value("type", "object"), escaped(range),
                       row.is_required ? "required" : escaped(row.default_value), escaped(row.help));
  }
  return out;
}

}  // namespace

Json openapi(const std::string& version) {
  Json paths = Json::object();
  for (const RouteRow& row : route_table())
    if (row.summary != kRefused) paths[plain_path(row.path)][lower_ascii(row.method)] = operation(row);
  Json schemas = request_schemas();
  schemas.update(answer_schemas());
  return {{"openapi", "3.0.3"},
          {"info",
           {{"title", "LowRank"},
            {"version", version},
            {"description",
             "A1111's API under /sdapi/v1, jobs and the collection under /v1, OpenAI's images endpoints."}}},
          {"components",
           {{"schemas", schemas}, {"securitySchemes", {{"basic", {{"type", "http"}, {"scheme", "basic"}}}}}}},
          {"paths", paths}};
}

std::string openapi_page(const std::string& version) {
  std::string page = fmt::format(
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>LowRank API</title><meta "
      "name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>body{{font:1rem/1.5 "
      "system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light "
      "dark}}table{{border-collapse:collapse;width:100%}}td,th{{text-align:left;padding:.2rem "
      ".6rem;border-bottom:1px solid #8884;vertical-align:top}}summary{{cursor:pointer;padding:.3rem "
      "0}}.m{{display:inline-block;width:5rem;font-weight:600}}</style></head><body><h1>LowRank "
      "API</h1><p>{} · <a href=\"/openapi.json\">openapi.json</a></p>\n",
      escaped(version));
  for (const RouteRow& row : route_table()) {
    if (row.summary == kRefused) continue;
    const std::string fields = (row.body != nullptr ? parameter_rows(row.body(), "body") : "") +
                               (row.query != nullptr ? parameter_rows(row.query(), "query") : "");
    page += fmt::format("<details><summary><span class=\"m\">{}</span><code>{}</code> {}</summary>\n",
                        row.method, escaped(plain_path(row.path)), escaped(row.summary));
    page += fmt::format("<p>Answers <code>{}</code>.</p>\n", row.answer);
    if (!fields.empty())
      page += "<table><tr><th>name</th><th>in</th><th>type</th><th>default</th><th>meaning</th></tr>\n" +
              fields + "</table>\n";
    page += "</details>\n";
  }
  return page + "</body></html>\n";
}

}  // namespace lowrank::server
