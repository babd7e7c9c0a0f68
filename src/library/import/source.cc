#include "library/import/source.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <vector>

#include "base/error.h"
#include "library/import/tokens.h"
#include "library/import/url.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;

std::int64_t number_of(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failure == std::errc() && end == text.data() + text.size() && value > 0 ? value : 0;
}

// "123" or "123@456".
std::optional<CivitaiSource> civitai_numbers(std::string_view text) {
  const auto at = text.find('@');
  const CivitaiSource source{number_of(text.substr(0, at)),
                             at == std::string_view::npos ? 0 : number_of(text.substr(at + 1))};
  if (source.model == 0 || (at != std::string_view::npos && source.version == 0)) return std::nullopt;
  return source;
}

std::optional<ImportSource> civitai_page(const Url& url) {
  const auto parts = url.segments();
  CivitaiSource source{.model = 0, .version = number_of(url.parameter("modelVersionId"))};
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    if (parts[i] == "download" && parts[i + 1] == "models" && i + 2 < parts.size()) {
      source.version = number_of(parts[i + 2]);
      break;
    }
    if (parts[i] == "models" && source.model == 0) source.model = number_of(parts[i + 1]);
    if (parts[i] == "model-versions") {
      source.version = number_of(parts[i + 1]);
      if (parts[i + 1] == "by-hash" && i + 2 < parts.size()) return HashSource{parts[i + 2]};
    }
  }
  if (source.model == 0 && source.version == 0) return std::nullopt;
  return source;
}

bool is_repo_part(std::string_view text) {
  return !text.empty() && text.size() <= 96 && text[0] != '.' && text[0] != '-' &&
         std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                  c == '_' || c == '.';
         });
}

bool is_inner_path(std::string_view path) {
  return path.find("..") == std::string_view::npos && !path.starts_with("/") &&
         path.find('\\') == std::string_view::npos;
}

std::optional<ImportSource> hugging_face_page(const Url& url) {
  const auto parts = url.segments();
  if (parts.size() < 2 || !is_repo_part(parts[0]) || !is_repo_part(parts[1])) return std::nullopt;
  HuggingFaceSource source{.repo = parts[0] + "/" + parts[1]};
  if (parts.size() >= 4 && (parts[2] == "blob" || parts[2] == "resolve" || parts[2] == "tree")) {
    source.revision = parts[3];
    const bool is_folder = parts[2] == "tree";
    for (std::size_t i = 4; i < parts.size(); ++i) source.file += (i > 4 ? "/" : "") + parts[i];
    if (is_folder && !source.file.empty()) source.file += "/";
  }
  if (!is_inner_path(source.file)) return std::nullopt;
  return source;
}

// owner/repo[@revision][:file]
std::optional<ImportSource> repo_name(std::string_view text) {
  HuggingFaceSource source;
  if (const auto colon = text.find(':'); colon != std::string_view::npos) {
    source.file = text.substr(colon + 1);
    text = text.substr(0, colon);
  }
  if (const auto at = text.find('@'); at != std::string_view::npos) {
    source.revision = text.substr(at + 1);
    text = text.substr(0, at);
  }
  const auto slash = text.find('/');
  if (slash == std::string_view::npos || !is_repo_part(text.substr(0, slash)) ||
      !is_repo_part(text.substr(slash + 1)) || source.revision.empty() || !is_inner_path(source.file) ||
      !is_inner_path(source.revision))
    return std::nullopt;
  source.repo = text;
  return source;
}

bool is_hash(std::string_view text) {
  return text.size() >= 8 && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
         });
}

}  // namespace

ImportSource recognise_source(const std::string& text) {
  std::error_code failure;
  if (fs::is_regular_file(text, failure)) return FileSource{text};
  try {
    return recognise_site_source(text);
  } catch (const Error& error) {
    throw Error(error.code(), "{} A local file must exist.", error.what());
  }
}

ImportSource recognise_site_source(const std::string& text) {
  std::optional<ImportSource> source;
  if (const auto url = parse_url(text)) {
    if (belongs_to(*url, Site::kCivitai)) source = civitai_page(*url);
    if (!source && belongs_to(*url, Site::kHuggingFace)) source = hugging_face_page(*url);
  } else if (text.starts_with("civitai:")) {
    if (const auto numbers = civitai_numbers(std::string_view(text).substr(8))) source = *numbers;
  } else if (text.starts_with("urn:air:")) {
    // urn:air:sd1:lora:civitai:123@456
    if (const auto at = text.find(":civitai:"); at != std::string::npos)
      if (const auto numbers = civitai_numbers(std::string_view(text).substr(at + 9))) source = *numbers;
  } else if (text.starts_with("hf:")) {
    source = repo_name(std::string_view(text).substr(3));
  } else if (is_hash(text)) {
    std::string hash = text;
    std::ranges::transform(hash, hash.begin(),
                           [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c; });
    source = HashSource{hash};
  } else {
    source = repo_name(text);
  }
  if (source) return *source;
  throw Error(
      kBadInput,
      "'{}' cannot be imported; give a Civitai or Hugging Face model page, owner/repo[:file], or a hash.",
      text.substr(0, 200));
}

std::string source_text(const ImportSource& source) {
  if (const auto* page = std::get_if<CivitaiSource>(&source)) {
    if (page->model == 0) return fmt::format("https://civitai.com/model-versions/{}", page->version);
    return page->version == 0 ? fmt::format("civitai:{}", page->model)
                              : fmt::format("civitai:{}@{}", page->model, page->version);
  }
  if (const auto* hash = std::get_if<HashSource>(&source)) return hash->hash;
  if (const auto* hub = std::get_if<HuggingFaceSource>(&source))
    return fmt::format("hf:{}@{}{}", hub->repo, hub->revision, hub->file.empty() ? "" : ":" + hub->file);
  return std::get<FileSource>(source).path;
}

}  // namespace lowrank::library
