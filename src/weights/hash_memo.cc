#include "weights/hash_memo.h"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/sha256.h"

namespace lowrank::weights {
namespace {

constexpr std::size_t kDigits = 64, kMostLines = 500;
constexpr std::int64_t kLeastBytes = 64 << 20;

bool is_remembered(const FileIdentity& file) {
  return file.size >= kLeastBytes;
}

// The hash behind a file's identity in a line of the memo; "" when it is none.
std::string_view hash_in(std::string_view rest) {
  const bool is_hash = rest.size() == kDigits &&
                       std::ranges::all_of(rest, [](unsigned char c) { return std::isxdigit(c) != 0; });
  return is_hash ? rest : std::string_view();
}

// The whole lines of the memo, without their ends.
std::vector<std::string> lines_of(const std::filesystem::path& memo) {
  std::vector<std::string> lines;
  try {
    const std::string text = read_file(memo, 1 << 20);
    for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
      lines.push_back(text.substr(at, end - at));
  } catch (const Error&) {
    // it need not exist
  }
  return lines;
}

}  // namespace

std::string HashMemo::hash_of(const std::filesystem::path& file, const FileIdentity& is,
                              const std::stop_token& stop) const {
  if (!is.exists() || identity_of(file) != is) return "";
  if (std::string known = find(file); !known.empty()) return known;
  const std::string hex = sha256_file_hex(file, stop);
  if (identity_of(file) != is) return "";  // it was written to meanwhile
  keep(file, hex);
  return hex;
}

std::map<std::string, std::string, std::less<>> HashMemo::all() const {
  std::map<std::string, std::string, std::less<>> known;
  if (memo_.empty()) return known;
  for (const std::string& line : lines_of(memo_)) {
    const std::size_t blank = line.rfind(' ');
    if (blank == std::string::npos) continue;
    if (const auto hex = hash_in(std::string_view(line).substr(blank + 1)); !hex.empty())
      known.emplace(line.substr(0, blank), hex);
  }
  return known;
}

std::string HashMemo::find(const std::filesystem::path& file) const {
  const FileIdentity identity = identity_of(file);
  if (memo_.empty() || !is_remembered(identity)) return "";
  const auto known = all();
  const auto found = known.find(identity.text());
  return found == known.end() ? "" : found->second;
}

void HashMemo::keep(const std::filesystem::path& file, const std::string& hex) const {
  const FileIdentity identity = identity_of(file);
  if (memo_.empty() || hex.size() != kDigits || !is_remembered(identity)) return;
  const std::string head = identity.text() + " ";
  std::string text = head + hex + "\n";
  std::size_t lines = 1;
  for (const std::string& line : lines_of(memo_)) {
    if (line.starts_with(head) || lines >= kMostLines) continue;
    text += line + "\n";
    ++lines;
  }
  try {
    write_file(memo_, text);
  } catch (const Error&) {
    return;  // the next start computes the hash again
  }
}

}  // namespace lowrank::weights
