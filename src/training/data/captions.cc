#include "training/data/captions.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "base/error.h"
#include "base/text/ascii.h"
#include "base/text/text.h"
#include "base/text/text_file.h"
#include "image/codec/codec.h"

namespace lowrank::training {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// In the order in which they count.
constexpr const char* kCaptionEndings[] = {".txt", ".caption", ".TXT", ".CAPTION", ".Txt", ".Caption"};

constexpr std::size_t kMostCaptionBytes = 1u << 20;

std::vector<std::string> endings_of(const std::string& extension) {
  if (extension.empty()) return {std::begin(kCaptionEndings), std::end(kCaptionEndings)};
  return {extension};
}

std::string caption_of_json(const std::string& text, const fs::path& file) {
  const json value = json::parse(text, nullptr, false);
  const auto found = value.is_object() ? value.find("caption") : value.end();
  if (!value.is_object() || found == value.end() || !found->is_string())
    throw Error(kBadInput, "{}: holds no JSON object with a text named caption.", file.string());
  return found->get<std::string>();
}

// A list's entry, wherever it stands.
struct Entry {
  std::string where, name;
  json value;
};

std::optional<std::string> text_of(const json& value, std::span<const std::string_view> names) {
  for (const auto name : names)
    if (const auto found = value.find(name); found != value.end() && found->is_string())
      return found->get<std::string>();
  return std::nullopt;
}

constexpr std::array<std::string_view, 3> kNameKeys = {"file_name", "image_path", "image"};
constexpr std::array<std::string_view, 3> kTextKeys = {"text", "caption", "prompt"};
constexpr std::array<std::string_view, 1> kTagKeys = {"tags"};

std::vector<Entry> entries_of_lines(const std::string& text, const fs::path& file,
                                    request::FaultList& faults) {
  std::vector<Entry> entries;
  std::size_t line = 0;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t end = std::min(text.find('\n', from), text.size());
    const auto row = trim(std::string_view(text).substr(from, end - from));
    from = end + 1;
    ++line;
    if (row.empty()) continue;
    const std::string where = fmt::format("{}: line {}", file.string(), line);
    json value = json::parse(row, nullptr, false);
    if (!value.is_object()) {
      faults.add(fmt::format("{} is no JSON object.", where));
      continue;
    }
    const auto name = text_of(value, kNameKeys);
    if (!name || name->empty())
      faults.add(fmt::format("{} names no picture; give its name as file_name.", where));
    else
      entries.push_back({where, *name, std::move(value)});
  }
  return entries;
}

std::vector<Entry> entries_of_object(const std::string& text, const fs::path& file,
                                     request::FaultList& faults) {
  const json all = json::parse(text, nullptr, false);
  std::vector<Entry> entries;
  if (!all.is_object()) {
    faults.add(fmt::format("{}: is no JSON object with the pictures' names as keys.", file.string()));
    return entries;
  }
  for (const auto& [name, value] : all.items()) {
    const std::string where = fmt::format("{}: '{}'", file.string(), name);
    if (value.is_object())
      entries.push_back({where, name, value});
    else
      faults.add(fmt::format("{} must be a JSON object with a caption.", where));
  }
  return entries;
}

// Older lists of kohya's leave the pictures' endings out.
fs::path picture_named(const fs::path& path) {
  if (image::is_picture_name(path)) return path;
  std::error_code code;
  std::vector<fs::path> found;
  for (auto it = fs::directory_iterator(path.parent_path(), code); !code && it != fs::directory_iterator();
       it.increment(code))
    if (it->path().stem() == path.filename() && image::is_picture_name(it->path()))
      found.push_back(it->path());
  return found.empty() ? path : *std::ranges::min_element(found);
}

std::optional<std::string> listed_caption(const json& value, const request::CaptionOptions& options) {
  const auto caption = text_of(value, kTextKeys), tags = text_of(value, kTagKeys);
  if (!tags || tags->empty()) return caption;
  if (!options.wildcards) return caption && !caption->empty() ? *caption + options.separator + *tags : *tags;
  std::string one_line = *tags;
  for (std::size_t at = 0; (at = one_line.find('\n', at)) != std::string::npos;
       at += options.separator.size())
    one_line.replace(at, 1, options.separator);
  std::string joined;
  for (std::string_view rest = caption ? std::string_view(*caption) : ""; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    if (!trim(rest.substr(0, end)).empty())
      joined += fmt::format("{}{}{}{}", joined.empty() ? "" : "\n", rest.substr(0, end), options.separator,
                            one_line);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return joined.empty() ? one_line : joined;
}

}  // namespace

bool is_caption_name(const fs::path& file, const std::string& extension) {
  const auto endings = endings_of(extension);
  return std::ranges::find(endings, file.extension().string()) != endings.end();
}

std::vector<fs::path> caption_files(const fs::path& picture, const std::string& extension) {
  std::vector<fs::path> files;
  for (const auto& ending : endings_of(extension))
    if (fs::path path = fs::path(picture).replace_extension(ending);
        fs::symlink_status(path).type() != fs::file_type::not_found)
      files.push_back(std::move(path));
  return files;
}

Caption caption_of(std::string_view text) {
  Caption caption;
  for (std::string_view rest = trim(text); !rest.empty();) {
    const std::size_t end = std::min(rest.find_first_of("\r\n"), rest.size());
    const auto line = trim(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.empty()) continue;
    if (caption.lines.empty()) {
      caption.text = caption.lines = std::string(line);
    } else {
      caption.has_more = true;
      caption.lines += "\n" + std::string(line);
    }
  }
  return caption;
}

std::optional<Caption> read_caption(const fs::path& picture, const std::string& encoding,
                                    const std::string& extension) {
  const auto files = caption_files(picture, extension);
  if (files.empty()) return std::nullopt;
  const std::string text = read_text_file(
      files.front(), {.max_bytes = kMostCaptionBytes,
                      .encoding = encoding,
                      .remedy = "set its encoding with --caption-encoding (cp1252, cp932, …)"});
  return caption_of(lower_ascii(extension) == ".json" ? caption_of_json(text, files.front()) : text);
}

std::vector<ListedPicture> read_caption_list(const fs::path& file, const fs::path& folder,
                                             const request::CaptionOptions& options,
                                             request::FaultList& faults) {
  std::vector<ListedPicture> pictures;
  faults.add_from([&] {
    const std::string text = read_text_file(file);
    const bool is_lines = lower_ascii(file.extension().string()) == ".jsonl";
    for (const Entry& entry :
         is_lines ? entries_of_lines(text, file, faults) : entries_of_object(text, file, faults)) {
      const fs::path picture = picture_named(folder / fs::path(entry.name));
      std::error_code code;
      if (fs::is_regular_file(picture, code))
        pictures.push_back({picture, listed_caption(entry.value, options)});
      else
        faults.add(fmt::format("{}: the picture {} is not there.", entry.where, picture.string()));
    }
  });
  return pictures;
}

}  // namespace lowrank::training
