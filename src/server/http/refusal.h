// What a handler throws when a request cannot be served: the HTTP status and A1111's `detail`, a sentence or
// a list of faults of fields.
#pragma once

#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "server/json.h"

namespace lowrank::server {

class Refusal : public std::exception {
 public:
  Refusal(int status, Json detail) : status_(status), detail_(std::move(detail)) {
    text_ = detail_.is_string() ? detail_.get<std::string>() : json_text(detail_);
  }

  int status() const { return status_; }
  const Json& detail() const { return detail_; }
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  int status_;
  Json detail_;
  std::string text_;
};

// The faults of one request, in pydantic's form.
class Faults {
 public:
  // `place`: "body" or "query". `type` as pydantic 1 names it: "type_error.integer".
  void add(const std::string& place, const std::string& field, const std::string& message,
           const std::string& type);
  bool empty() const { return list_.empty(); }
  std::string first_message() const { return list_.at(0).at("msg").get<std::string>(); }
  // Throws Refusal 422 when there are any.
  void throw_if_any() const;

 private:
  Json list_ = Json::array();
};

// One fault, thrown at once.
[[noreturn]] void refuse_field(const std::string& field, const std::string& message,
                               const std::string& type = "value_error");

// HTTP status of an error: 422 for what the request asks, 409 for a conflict, 500 for the rest.
int http_status(ErrorCode code);

}  // namespace lowrank::server
