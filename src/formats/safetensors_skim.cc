#include "formats/safetensors_skim.h"

#include <algorithm>
#include <cstring>

namespace lowrank::formats {
namespace {

class Skimmer {
 public:
  explicit Skimmer(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  bool read(SkimmedHeader& header) {
    if (!take('{')) return false;
    if (take('}')) return at_end();
    do {
      std::string_view key;
      if (!string(key) || !take(':')) return false;
      if (key == "__metadata__") {
        if (!header.metadata.empty() || !object_extent(header.metadata)) return false;
        continue;
      }
      SkimmedTensor& tensor = header.tensors.emplace_back();
      tensor.key = key;
      if (!entry(tensor)) return false;
      header.data_bytes = std::max(header.data_bytes, tensor.end);
    } while (take(','));
    return take('}') && at_end();
  }

 private:
  void blanks() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
  }
  bool at_end() {
    blanks();
    return at_ == end_;
  }
  bool take(char wanted) {
    blanks();
    if (at_ == end_ || *at_ != wanted) return false;
    ++at_;
    return true;
  }

  // A string without escapes.
  bool string(std::string_view& text) {
    if (!take('"')) return false;
    const void* close = std::memchr(at_, '"', static_cast<std::size_t>(end_ - at_));
    if (close == nullptr) return false;
    text = {at_, static_cast<std::size_t>(static_cast<const char*>(close) - at_)};
    at_ = static_cast<const char*>(close) + 1;
    return text.find('\\') == std::string_view::npos;
  }

  bool number(std::int64_t& value) {
    blanks();
    const char* begin = at_;
    value = 0;
    for (; at_ != end_ && *at_ >= '0' && *at_ <= '9'; ++at_) {
      if (at_ - begin >= 18) return false;  // 10^18 fits
      value = value * 10 + (*at_ - '0');
    }
    return at_ != begin;
  }

  bool entry(SkimmedTensor& tensor) {
    if (!take('{')) return false;
    bool has_shape = false, has_offsets = false;
    do {
      std::string_view field, ignored;
      if (!string(field) || !take(':')) return false;
      if (field == "dtype") {
        if (!string(ignored)) return false;
      } else if (field == "shape") {
        if (!shape(tensor)) return false;
        has_shape = true;
      } else if (field == "data_offsets") {
        if (!take('[') || !number(tensor.begin) || !take(',') || !number(tensor.end) || !take(']'))
          return false;
        has_offsets = true;
      } else {
        return false;
      }
    } while (take(','));
    return take('}') && has_shape && has_offsets && tensor.begin <= tensor.end;
  }

  bool shape(SkimmedTensor& tensor) {
    if (!take('[')) return false;
    if (take(']')) return true;
    do {
      if (tensor.dimensions == 8 || !number(tensor.shape[static_cast<std::size_t>(tensor.dimensions++)]))
        return false;
    } while (take(','));
    return take(']');
  }

  // The text of an object whose values are strings.
  bool object_extent(std::string_view& text) {
    blanks();
    const char* begin = at_;
    if (!take('{')) return false;
    bool inside = false;
    for (; at_ != end_; ++at_) {
      if (inside && *at_ == '\\') {
        if (++at_ == end_) return false;
      } else if (*at_ == '"') {
        inside = !inside;
      } else if (!inside && *at_ == '{') {
        return false;
      } else if (!inside && *at_ == '}') {
        text = {begin, static_cast<std::size_t>(++at_ - begin)};
        return true;
      }
    }
    return false;
  }

  const char* at_;
  const char* end_;
};

}  // namespace

std::optional<SkimmedHeader> skim_safetensors(std::string_view text) {
  SkimmedHeader header;
  if (!Skimmer(text).read(header)) return std::nullopt;
  return header;
}

}  // namespace lowrank::formats
