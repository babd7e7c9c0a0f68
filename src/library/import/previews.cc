#include "library/import/previews.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <span>

#include "base/atomic_file.h"
#include "base/error.h"
#include "formats/lora/lora_summary.h"
#include "image/codec/codec.h"
#include "library/sidecar/card_edit.h"
#include "library/sidecar/lora_card.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string value_of(const std::map<std::string, std::string>& metadata, const char* key) {
  const auto found = metadata.find(key);
  return found == metadata.end() || found->second == "None" ? "" : found->second;
}

// By the first bytes, as the formats' descriptions say.
std::string picture_ending(const std::string& bytes) {
  if (bytes.starts_with("\x89PNG")) return ".png";
  if (bytes.starts_with("\xFF\xD8\xFF")) return ".jpg";
  if (bytes.size() > 12 && bytes.starts_with("RIFF") && bytes.compare(8, 4, "WEBP") == 0) return ".webp";
  throw Error(kBadInput, "it is not PNG, JPEG or WebP.");
}

// A picture inside the file: the user's own covers, else ModelSpec's thumbnail.
std::string embedded_picture(const std::map<std::string, std::string>& metadata) {
  const json covers = json::parse(value_of(metadata, "ssmd_cover_images"), nullptr, false);
  if (covers.is_array() && !covers.empty() && covers[0].is_string())
    return base64_decoded(covers[0].get<std::string>());
  return base64_decoded(value_of(metadata, "modelspec.thumbnail"));
}

bool has_preview(const fs::path& model) {
  for (const std::string& ending : preview_endings()) {
    std::error_code failure;
    if (fs::exists(sidecar_path(model, ending), failure)) return true;
  }
  return false;
}

}  // namespace

void write_preview(const fs::path& model, const std::string& bytes) {
  const std::string ending = picture_ending(bytes);
  image::decode_picture(std::as_bytes(std::span(bytes.data(), bytes.size())), "the preview");
  write_file(sidecar_path(model, ".preview" + ending), bytes);
}

void enrich_from_metadata(const fs::path& model, std::vector<std::string>& remarks) {
  const formats::LoraSummary summary = formats::LoraSummariser().read(model);
  if (summary.metadata.empty()) {
    remarks.push_back(fmt::format("{}: has no metadata to read.", model.string()));
    return;
  }
  const LoraCard card = read_lora_card(model, summary.metadata);
  CardEdit edit;
  edit.only_missing = true;
  if (const std::string trigger = short_trigger(card); !trigger.empty()) edit.activation_text = trigger;
  if (!card.description.empty()) edit.description = card.description;
  if (!summary.architecture.empty() && summary.problem.empty()) edit.base_model = summary.architecture;
  if (const std::string comment = value_of(summary.metadata, "ss_training_comment"); !comment.empty())
    edit.notes = comment;
  edit_card(model, edit, {});
  const std::string picture = embedded_picture(summary.metadata);
  if (picture.empty() || has_preview(model)) return;
  try {
    write_preview(model, picture);
  } catch (const Error& error) {
    remarks.push_back(fmt::format("no preview: {}", error.what()));
  }
}

std::string base64_decoded(std::string_view text) {
  if (text.starts_with("data:")) {
    const auto comma = text.find(',');
    if (comma == std::string_view::npos || text.substr(0, comma).find("base64") == std::string_view::npos)
      return "";
    text.remove_prefix(comma + 1);
  }
  std::string bytes;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    if (c == '=' || c == '\n' || c == '\r') continue;
    std::uint32_t value = 0;
    if (c >= 'A' && c <= 'Z') {
      value = static_cast<std::uint32_t>(c - 'A');
    } else if (c >= 'a' && c <= 'z') {
      value = static_cast<std::uint32_t>(c - 'a') + 26;
    } else if (c >= '0' && c <= '9') {
      value = static_cast<std::uint32_t>(c - '0') + 52;
    } else if (c == '+' || c == '-') {
      value = 62;
    } else if (c == '/' || c == '_') {
      value = 63;
    } else {
      return "";
    }
    bits = bits << 6 | value;
    if (++count % 4 != 1) bytes += static_cast<char>(bits >> (6 - 2 * ((count - 1) % 4)) & 0xFF);
  }
  return bytes;
}

}  // namespace lowrank::library
