#include "library/import/tokens.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <sstream>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "library/index/state_dir.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;

struct SiteRow {
  Site site;
  std::string_view key;
  std::vector<const char*> variables;
  const char *url_variable, *url;
  std::vector<std::string_view> domains;
};
const SiteRow& row_of(Site site) {
  static const std::vector<SiteRow> kRows = {
      {Site::kCivitai,
       "civitai",
       {"CIVITAI_TOKEN", "CIVITAI_API_KEY"},
       "LOWRANK_CIVITAI_URL",
       "https://civitai.com",
       {"civitai.com", "civitai.red"}},
      {Site::kHuggingFace,
       "huggingface",
       {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"},
       "HF_ENDPOINT",
       "https://huggingface.co",
       {"huggingface.co", "hf.co"}},
  };
  return kRows[site == Site::kCivitai ? 0 : 1];
}

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t\r") - first + 1));
}

// A token goes into a header line, so it must be able to be a part of one.
std::string checked(std::string token, const std::string& place) {
  for (const char c : token)
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7F)
      throw Error(kBadInput, "the token in {} contains an invalid character.", place);
  return token;
}

}  // namespace

std::string token_for(Site site) {
  const SiteRow& row = row_of(site);
  for (const char* variable : row.variables)
    if (const char* value = std::getenv(variable); value != nullptr && *value != 0)
      return checked(trimmed(value), variable);
  const fs::path file = config_folder() / "tokens";
  struct stat status {};
  if (config_folder().empty() || ::stat(file.c_str(), &status) != 0) return "";
  if ((status.st_mode & 077) != 0)
    throw Error(kBadInput, "{}: other users can read your tokens; run chmod 600 on it.", file.string());
  std::istringstream lines(read_file(file, 1 << 16));
  for (std::string line; std::getline(lines, line);) {
    const auto equals = line.find('=');
    if (line.starts_with("#") || equals == std::string::npos) continue;
    if (trimmed(std::string_view(line).substr(0, equals)) == row.key)
      return checked(trimmed(std::string_view(line).substr(equals + 1)), file.string());
  }
  return "";
}

std::string token_places(Site site) {
  const SiteRow& row = row_of(site);
  return fmt::format("${} or '{} = ...' in {} (mode 600)", row.variables.front(), row.key,
                     (config_folder() / "tokens").string());
}

std::string base_url(Site site) {
  const SiteRow& row = row_of(site);
  const char* named = std::getenv(row.url_variable);
  std::string url = named == nullptr || *named == 0 ? row.url : named;
  while (url.ends_with('/')) url.pop_back();
  return url;
}

bool belongs_to(const Url& url, Site site) {
  const auto base = parse_url(base_url(site));
  return (base && url.origin() == base->origin()) ||
         std::ranges::any_of(row_of(site).domains, [&](std::string_view domain) {
           return url.host == domain || url.host.ends_with("." + std::string(domain));
         });
}

bool is_at_set_url(const Url& url) {
  return std::ranges::any_of(std::array{Site::kCivitai, Site::kHuggingFace}, [&](Site site) {
    const char* named = std::getenv(row_of(site).url_variable);
    const auto base = parse_url(base_url(site));
    return named != nullptr && *named != 0 && base && url.origin() == base->origin();
  });
}

}  // namespace lowrank::library
