#include "server/http/json_body.h"

#include <fmt/format.h>

#include <string>

#include "server/http/refusal.h"

namespace lowrank::server {
namespace {

// Byte position at which the nesting becomes too deep; npos: it does not.
std::size_t too_deep_at(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxJsonDepth) return i;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return std::string_view::npos;
}

[[noreturn]] void refuse_json(std::size_t position, const std::string& message) {
  throw Refusal(
      422,
      Json::array({{{"loc", {"body", position}}, {"msg", message}, {"type", "value_error.jsondecode"}}}));
}

}  // namespace

RequestJson parse_json(std::string_view text) {
  if (const std::size_t at = too_deep_at(text); at != std::string_view::npos)
    refuse_json(at, fmt::format("JSON is nested deeper than {} levels", kMaxJsonDepth));
  try {
    return RequestJson::parse(text);
  } catch (const RequestJson::parse_error& error) {
    refuse_json(error.byte, error.byte > text.size() ? "JSON ends too early" : "JSON is not valid here");
  } catch (const RequestJson::exception& error) {  // a number that no double holds
    refuse_json(0, fmt::format("JSON is not valid: {}", error.what()));
  }
}

}  // namespace lowrank::server
