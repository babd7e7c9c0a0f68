// Everything that the server answers: one row per method and path. The dispatcher, the OpenAPI page and the
// tests read it, so that a route added here is served, described and tested.
#pragma once

#include <span>
#include <string_view>

#include "server/fields/parameter.h"
#include "server/http/call.h"
#include "server/http/reply.h"
#include "server/services.h"

namespace lowrank::server {

using Handler = Reply (*)(Services& services, const Call& call);

enum class Access {
  kApi,   // needs an API login when there are any
  kPage,  // needs a page login when there are any
  kOpen,
};

// How errors are told.
enum class ErrorForm { kA1111, kOpenAi };

// In place of a summary: what A1111 has here and LowRank has not. It is refused in A1111's words and not described, so that no
// client shows it.
inline constexpr std::string_view kRefused = "";

struct RouteRow {
  std::string_view method, path;  // "/v1/jobs/{id}"; {*rest} takes slashes too
  Handler handler;
  std::string_view summary;
  std::string_view answer =
      "application/json";             // a good one's content type, or its type (type_text.h), sent as JSON
  ParameterRows (*body)() = nullptr;  // fields of a JSON body; nullptr: none is read
  ParameterRows (*query)() = nullptr;
  Access access = Access::kApi;
};

std::span<const RouteRow> route_table();

// The description of all routes that do something, OpenAPI 3.0.3.
Json openapi(const std::string& version);
// The same as a page to read.
std::string openapi_page(const std::string& version);

}  // namespace lowrank::server
