#include "server/http/refusal.h"

#include <algorithm>

namespace lowrank::server {

void Faults::add(const std::string& place, const std::string& field, const std::string& message,
                 const std::string& type) {
  Json where = Json::array({place});
  if (!field.empty()) where.push_back(field);
  const Json fault = {{"loc", where}, {"msg", message}, {"type", type}};
  if (std::find(list_.begin(), list_.end(), fault) == list_.end()) list_.push_back(fault);
}

void Faults::throw_if_any() const {
  if (!list_.empty()) throw Refusal(422, list_);
}

void refuse_field(const std::string& field, const std::string& message, const std::string& type) {
  Faults faults;
  faults.add("body", field, message, type);
  faults.throw_if_any();
  throw Error(kInternal, "internal error: an empty list of faults.");
}

int http_status(ErrorCode code) {
  switch (code) {
    case kBadInput:
    case kNotFound:
    case kUnsupported:
      return 422;
    case kConflict:
      return 409;
    case kCancelled:
      return 503;
    case kIo:
    case kInternal:
      return 500;
  }
  return 500;
}

}  // namespace lowrank::server
