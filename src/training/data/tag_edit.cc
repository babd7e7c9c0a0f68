#include "training/data/tag_edit.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>
#include <system_error>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/files_below.h"
#include "base/text/text.h"
#include "image/codec/codec.h"
#include "training/data/caption_draw.h"
#include "training/data/captions.h"

namespace lowrank::training {
namespace {

namespace fs = std::filesystem;

bool is_same(std::string_view a, std::string_view b) {
  return lower(a) == lower(b);
}

bool has(const std::vector<std::string>& tags, std::string_view tag) {
  return std::ranges::any_of(tags, [&](const std::string& own) { return is_same(own, tag); });
}

void remove(std::vector<std::string>& tags, std::string_view tag) {
  std::erase_if(tags, [&](const std::string& own) { return is_same(own, tag); });
}

void replace(std::vector<std::string>& tags, const std::string& old, const std::string& with) {
  std::vector<std::string> replaced;
  bool is_found = false;
  for (auto& tag : tags) {
    if (!is_same(tag, old)) {
      replaced.push_back(std::move(tag));
      continue;
    }
    // Once, where the first stood.
    if (!is_found)
      for (auto& part : caption_tags(with)) replaced.push_back(std::move(part));
    is_found = true;
  }
  tags = std::move(replaced);
}

// Words that cameras and programs put before a number.
constexpr std::string_view kNoWords[] = {"img",        "dsc",      "dscn",  "dscf",    "pxl",
                                         "mvimg",      "image",    "photo", "picture", "pic",
                                         "screenshot", "untitled", "file",  "copy"};

bool says_nothing(std::string_view word) {
  const std::string small = lower(word);
  return word.empty() || std::ranges::all_of(word, [](char c) { return c >= '0' && c <= '9'; }) ||
         std::ranges::find(kNoWords, small) != std::end(kNoWords);
}

// Without the words that say nothing at its ends: "fox (2)" and "fox 2" → "fox".
std::string words_of_part(std::string_view part) {
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (const char c : part) {
    const bool is_between = c == ' ' || c == '-' || c == '+' || c == '_' || c == '(' || c == ')';
    if (is_between)
      end_word();
    else
      word += c;
  }
  end_word();
  while (!words.empty() && says_nothing(words.back())) words.pop_back();
  while (!words.empty() && says_nothing(words.front())) words.erase(words.begin());
  return fmt::format("{}", fmt::join(words, " "));
}

CaptionedPicture read_picture(const fs::path& picture, const std::string& encoding,
                              const std::string& extension) {
  CaptionedPicture read{picture, {}, {}, {}};
  const auto files = caption_files(picture, extension);
  read.file = files.empty() ? fs::path(picture).replace_extension(extension.empty() ? ".txt" : extension)
                            : files.front();
  const auto caption = read_caption(picture, encoding, extension);
  if (!caption) return read;
  read.caption = caption->text;
  if (caption->has_more) read.rest = caption->lines.substr(caption->text.size());
  return read;
}

// A file whose old content stays beside it until all are written: a link takes no space on a full disk.
struct Replaced {
  fs::path file, before;
  bool was_there = false;
};

Replaced put_aside(const fs::path& file) {
  Replaced replaced{file, file.parent_path() / ("." + file.filename().string() + ".before"),
                    fs::exists(file)};
  if (!replaced.was_there) return replaced;
  std::error_code code;
  fs::remove(replaced.before, code);
  fs::create_hard_link(file, replaced.before, code);
  if (code) fs::copy_file(file, replaced.before, fs::copy_options::overwrite_existing, code);
  if (code)
    throw Error(kIo, "{}: its old content cannot be kept beside it: {}.", file.string(), code.message());
  return replaced;
}

void take_back(const Replaced& replaced) {
  std::error_code ignored;
  if (replaced.was_there)
    fs::rename(replaced.before, replaced.file, ignored);
  else
    fs::remove(replaced.file, ignored);
}

void forget(const Replaced& replaced) {
  std::error_code ignored;
  if (replaced.was_there) fs::remove(replaced.before, ignored);
}

}  // namespace

std::string edited_caption(const std::string& caption, const TagEdit& edit) {
  const std::vector<std::string> before = caption_tags(caption);
  std::vector<std::string> tags = before;
  for (const auto& [old, with] : edit.replaced) replace(tags, old, with);
  for (const auto& tag : edit.removed) remove(tags, tag);
  if (edit.drops_repeated) {
    std::vector<std::string> once;
    for (const auto& tag : tags)
      if (!has(once, tag)) once.push_back(tag);
    tags = std::move(once);
  }
  if (edit.sorts) std::ranges::stable_sort(tags, {}, [](const std::string& tag) { return lower(tag); });
  for (const auto& tag : edit.prefix) remove(tags, tag);
  tags.insert(tags.begin(), edit.prefix.begin(), edit.prefix.end());
  for (const auto& tag : edit.suffix)
    if (!has(tags, tag)) tags.push_back(tag);
  return tags == before ? caption : fmt::format("{}", fmt::join(tags, ", "));
}

std::vector<CaptionedPicture> pictures_below(const fs::path& folder, const std::string& encoding,
                                             const std::string& extension) {
  if (!fs::is_directory(folder)) throw Error(kNotFound, "{}: no such folder.", folder.string());
  std::vector<fs::path> files;
  std::error_code code;
  for (auto it = fs::recursive_directory_iterator(folder, code);
       !code && it != fs::recursive_directory_iterator(); it.increment(code)) {
    const std::string name = it->path().filename().string();
    if (is_system_name(name)) {
      if (it->is_directory()) it.disable_recursion_pending();
    } else if (image::is_picture_name(it->path()) && it->is_regular_file() &&
               !it->path().stem().string().ends_with("-masklabel")) {
      files.push_back(it->path());
    }
  }
  if (code) throw Error(kIo, "{}: the folder cannot be read: {}.", folder.string(), code.message());
  std::ranges::sort(files);
  std::vector<CaptionedPicture> pictures;
  for (const fs::path& file : files) pictures.push_back(read_picture(file, encoding, extension));
  return pictures;
}

std::string caption_from_name(const fs::path& picture) {
  const std::string stem = well_formed(picture.stem().string());
  const char between = stem.find(',') != std::string::npos ? ',' : '_';
  std::vector<std::string> tags;
  for (std::size_t from = 0; from <= stem.size();) {
    const std::size_t end = std::min(stem.find(between, from), stem.size());
    if (std::string tag = words_of_part(std::string_view(stem).substr(from, end - from));
        !tag.empty() && !has(tags, tag))
      tags.push_back(std::move(tag));
    from = end + 1;
  }
  return fmt::format("{}", fmt::join(tags, ", "));
}

std::vector<std::string> common_front(const std::vector<CaptionedPicture>& pictures) {
  std::optional<std::vector<std::string>> front;
  for (const auto& picture : pictures) {
    if (!picture.caption) continue;
    const auto tags = caption_tags(*picture.caption);
    if (!front) front = tags;
    std::size_t same = 0;
    while (same < std::min(front->size(), tags.size()) && is_same((*front)[same], tags[same])) ++same;
    front->resize(same);
  }
  return front.value_or(std::vector<std::string>());
}

void write_captions(const std::vector<CaptionChange>& changes) {
  std::vector<Replaced> done;
  try {
    for (const auto& [picture, after] : changes) {
      done.push_back(put_aside(picture->file));
      write_file(picture->file, after + picture->rest + "\n");
    }
  } catch (...) {
    for (const Replaced& replaced : done) take_back(replaced);
    throw;
  }
  for (const Replaced& replaced : done) forget(replaced);
}

}  // namespace lowrank::training
