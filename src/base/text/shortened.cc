#include "base/text/shortened.h"

#include "base/text/utf8.h"

namespace lowrank {

std::string shortened(std::string_view text, std::size_t most) {
  if (text.size() <= most) return std::string(text);
  std::size_t end = 0;
  for (std::size_t next = 0; next <= most; next += decode_at(text, next).length) end = next;
  return std::string(text.substr(0, end)) + "…";
}

}  // namespace lowrank
