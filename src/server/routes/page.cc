#include "base/sha256.h"
#include "server/http/refusal.h"
#include "server/page/embedded_files.h"
#include "server/routes/routes.h"

namespace lowrank::server {
namespace {

Reply embedded_reply(const EmbeddedFile& file, const Call& call) {
  // Everything the page needs comes from here; nothing of it runs inside other sites' frames.
  constexpr const char* kPolicy =
      "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; object-src 'none'; "
      "base-uri 'none'; frame-ancestors 'none'";
  const std::string tag = '"' + sha256_hex(std::as_bytes(std::span(file.bytes))).substr(0, 16) + '"';
  Reply reply = bytes_reply(std::string(file.bytes), std::string(embedded_mime(file.path)));
  reply.headers = {
      {"ETag", tag}, {"Content-Security-Policy", kPolicy}, {"X-Content-Type-Options", "nosniff"}};
  // Names below /assets hold a hash of the contents.
  reply.headers.emplace_back("Cache-Control", file.path.starts_with("/assets/")
                                                  ? "public, max-age=31536000, immutable"
                                                  : "no-cache");
  if (call.header("if-none-match") == tag) {
    reply.status = 304;
    reply.body.clear();
  }
  return reply;
}

}  // namespace

Reply page_index(Services& services, const Call& call) {
  const EmbeddedFile* page = !services.options.serve.has_no_page ? find_embedded("/index.html") : nullptr;
  if (page == nullptr) page = find_embedded("/welcome.html");
  if (page == nullptr) throw Refusal(404, "Not Found");
  return embedded_reply(*page, call);
}

// Gradio's page answers so; clients look here whether an address is a web UI's.
Reply login_check(Services&, const Call&) {
  return json_reply(nullptr);
}

Reply page_asset(Services& services, const Call& call) {
  const EmbeddedFile* file = !services.options.serve.has_no_page ? find_embedded(call.path) : nullptr;
  if (file == nullptr) throw Refusal(404, "Not Found");
  return embedded_reply(*file, call);
}

}  // namespace lowrank::server
