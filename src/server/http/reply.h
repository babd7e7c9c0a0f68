// What a handler answers, and the forms in which A1111 and OpenAI tell errors.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/http/spooled_text.h"
#include "server/json.h"

namespace lowrank::server {

struct Reply {
  int status = 200;
  std::string content_type = "application/json";
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
  // Events: called again and again until it returns nullopt; each text is sent at once. Waits no longer than
  // a second at a time ("" then).
  std::function<std::optional<std::string>()> stream = {};
  // Sent in place of `body`: one text for many clients.
  std::shared_ptr<const SpooledText> kept = {};
  bool is_compressible = false;  // a long text that is worth compressing where the client takes it
};

// Compresses the body of a compressible reply that is long enough.
void compress(Reply& reply);

Reply json_reply(const Json& value, int status = 200);
Reply bytes_reply(std::string bytes, std::string content_type);

// A1111's form: {"error":"HTTPException","detail":…,"body":"","errors":""}; a list of faults stands alone
// under `detail`.
Reply error_reply(int status, const Json& detail);
// OpenAI's form: {"error":{"message","type","param","code"}}.
Reply openai_error_reply(int status, const Json& detail);

}  // namespace lowrank::server
