#include "server/http/reply.h"

#include "server/http/gzip.h"

namespace lowrank::server {
namespace {

void add_status_headers(Reply& reply) {
  if (reply.status == 503) reply.headers.emplace_back("Retry-After", "5");
  if (reply.status == 401) reply.headers.emplace_back("WWW-Authenticate", "Basic");
}

}  // namespace

void compress(Reply& reply) {
  constexpr std::size_t kWorthIt = 16 * 1024;
  if (!reply.is_compressible) return;
  reply.headers.emplace_back("Vary", "Accept-Encoding");
  if (reply.body.size() < kWorthIt) return;
  reply.body = gzip(reply.body);
  reply.headers.emplace_back("Content-Encoding", "gzip");
}

Reply json_reply(const Json& value, int status) {
  return {.status = status, .body = json_text(value)};
}

Reply bytes_reply(std::string bytes, std::string content_type) {
  return {.content_type = std::move(content_type), .body = std::move(bytes)};
}

Reply error_reply(int status, const Json& detail) {
  Json whole;
  if (detail.is_string()) {
    // What Starlette itself answers, before A1111 sees the request, has only a detail.
    const bool is_bare = status == 404 && detail == "Not Found";
    if (is_bare || status == 405 || status == 401) {
      whole = {{"detail", detail}};
    } else {
      whole = {{"error", "HTTPException"}, {"detail", detail}, {"body", ""}, {"errors", ""}};
    }
  } else {
    whole = {{"detail", detail}};
  }
  Reply reply = json_reply(whole, status);
  add_status_headers(reply);
  return reply;
}

Reply openai_error_reply(int status, const Json& detail) {
  Json message = detail, parameter = nullptr;
  if (detail.is_array() && !detail.empty()) {
    const Json& first = detail.front();
    parameter = first.at("loc").back();
    message = (parameter.is_string() ? parameter.get<std::string>() + ": " : std::string()) +
              first.at("msg").get<std::string>();
  }
  const std::string type = status >= 500 ? "server_error" : "invalid_request_error";
  Reply reply = json_reply(
      {{"error", {{"message", message}, {"type", type}, {"param", parameter}, {"code", nullptr}}}}, status);
  add_status_headers(reply);
  return reply;
}

}  // namespace lowrank::server
