#include "cli/engine/output_files.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <ctime>
#include <functional>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/text/text.h"
#include "library/picture_files.h"
#include "prompt/infotext.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;

// A value of the metadata as part of a file name: no separators, nothing hidden.
std::string as_name(std::string text) {
  for (char& c : text)
    if (c == '/' || c == '\\' || std::iscntrl(static_cast<unsigned char>(c)) != 0) c = '_';
  return text;
}

// What a word in brackets stands for; nullopt leaves the brackets as they are.
using Meaning = std::function<std::optional<std::string>(std::string_view word)>;

// `text` with its words replaced, each once: what a word brings in is not looked at again.
std::string with_words(std::string_view text, const Meaning& meaning) {
  std::string result;
  while (!text.empty()) {
    const auto open = text.find('['), close = text.find(']', std::min(open, text.size()));
    result += text.substr(0, open);
    if (open == std::string_view::npos) break;
    std::optional<std::string> value;
    if (close != std::string_view::npos) value = meaning(text.substr(open + 1, close - open - 1));
    result += value.value_or("[");
    text.remove_prefix(value ? close + 1 : open + 1);
  }
  return result;
}

// The words of a pattern, but for [number].
struct Facts {
  const pipeline::GeneratedPicture& picture;
  const std::string& picture_name;
  prompt::Infotext infotext;
};
std::string entry(const Facts& facts, std::string_view label) {
  const std::string* value = facts.infotext.find(label);
  return value == nullptr ? std::string() : as_name(*value);
}
struct WordRow {
  std::string_view word;
  std::string (*value)(const Facts&);
};
constexpr WordRow kWords[] = {
    {"name", [](const Facts& f) { return as_name(f.picture_name); }},
    {"seed", [](const Facts& f) { return std::to_string(f.picture.seed); }},
    {"index", [](const Facts& f) { return std::to_string(f.picture.index + 1); }},
    {"width", [](const Facts& f) { return std::to_string(f.picture.picture.width); }},
    {"height", [](const Facts& f) { return std::to_string(f.picture.picture.height); }},
    {"model", [](const Facts& f) { return entry(f, "Model"); }},
    {"sampler", [](const Facts& f) { return entry(f, "Sampler"); }},
    {"steps", [](const Facts& f) { return entry(f, "Steps"); }},
    {"cfg", [](const Facts& f) { return entry(f, "CFG scale"); }},
    {"date", [](const Facts&) { return fmt::format("{:%Y-%m-%d}", fmt::localtime(std::time(nullptr))); }}};
constexpr std::string_view kNumberWord = "number", kNumber = "[number]";

const WordRow* word_row(std::string_view word) {
  const auto found = std::ranges::find(kWords, word, &WordRow::word);
  return found == std::end(kWords) ? nullptr : &*found;
}

bool has_words(std::string_view text) {
  bool found = false;
  with_words(text, [&](std::string_view word) -> std::optional<std::string> {
    found = found || word == kNumberWord || word_row(word) != nullptr;
    return std::nullopt;
  });
  return found;
}

Meaning meaning_in(const Facts& facts) {
  return [&facts](std::string_view word) -> std::optional<std::string> {
    const WordRow* row = word_row(word);
    return row == nullptr ? std::nullopt : std::optional(row->value(facts));
  };
}

// One more than the largest number that follows `before` at the start of a name in the folder.
int next_number(const fs::path& folder, const std::string& before) {
  int next = 0;
  std::error_code failure;
  for (fs::directory_iterator it(folder.empty() ? fs::path(".") : folder, failure), end;
       !failure && it != end; it.increment(failure)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(before)) continue;
    const std::string_view rest = std::string_view(name).substr(before.size());
    const auto digits = static_cast<std::size_t>(
        std::ranges::find_if(rest, [](unsigned char c) { return std::isdigit(c) == 0; }) - rest.begin());
    if (digits > 0 && digits < 9) next = std::max(next, std::stoi(std::string(rest.substr(0, digits))) + 1);
  }
  return next;
}

// The name of a file or folder in `parent`. `number`: below 0, the next free one, which it then is.
std::string numbered(const fs::path& parent, std::string_view pattern, const Meaning& meaning, int& number) {
  const auto at = pattern.find(kNumber);
  if (at == std::string_view::npos) return with_words(pattern, meaning);
  if (number < 0) number = next_number(parent, with_words(pattern.substr(0, at), meaning));
  return with_words(pattern, [&](std::string_view word) {
    return word == kNumberWord ? std::optional(fmt::format("{:05}", number)) : meaning(word);
  });
}

bool is_written_extension(const std::string& extension) {
  const std::string lower = lowrank::lower(extension);
  return lower == ".png" || lower == ".jpg" || lower == ".jpeg" || lower == ".webp";
}

// Endings that promise a picture of a kind that is not written.
bool is_unwritten_picture(const std::string& extension) {
  constexpr std::string_view kOthers[] = {".bmp", ".gif", ".tif", ".tiff", ".avif", ".jxl", ".heic", ".ico"};
  return std::ranges::find(kOthers, lower(extension)) != std::end(kOthers);
}

}  // namespace

OutputFiles::OutputFiles(const GenerationArguments& arguments, std::string_view folder, std::size_t pictures)
    : quality_(arguments.quality), is_single_(pictures == 1), sources_(arguments.init) {
  if (!arguments.mask.empty()) sources_.push_back(arguments.mask);
  std::string pattern = arguments.output;
  if (pattern.empty()) {
    pattern = (arguments.data_dir / "outputs" / folder / "[date]/[number]-[seed]").string();
  } else if (pattern.ends_with('/') || fs::is_directory(pattern)) {
    pattern = (fs::path(pattern) / "[number]-[seed]").string();
  } else if (fs::is_other(pattern)) {
    throw Error(kBadInput, "-o {}: is a device or a pipe; give a file or a folder.", pattern);
  } else if (const std::string extension = fs::path(pattern).extension().string();
             is_written_extension(extension)) {
    extension_ = extension;
    pattern.resize(pattern.size() - extension.size());
  } else if (is_unwritten_picture(extension)) {
    throw Error(kBadInput, "-o {}: {} files cannot be written; use .png, .jpg or .webp.", pattern, extension);
  }
  const std::string asked = arguments.format.empty() ? "png" : lower(arguments.format);
  format_ =
      image::picture_format(extension_.empty() || !arguments.format.empty() ? asked : extension_.substr(1));
  if (!extension_.empty() && format_ != image::picture_format(extension_.substr(1)))
    throw Error(kBadInput, "--format {} contradicts the output name '{}'; remove one of them.",
                arguments.format, arguments.output);
  if (extension_.empty()) extension_ = "." + asked;
  is_plain_ = !has_words(pattern);
  folder_ = fs::path(pattern).parent_path();
  pattern_ = fs::path(pattern).filename().string();
}

fs::path OutputFiles::name(const pipeline::GeneratedPicture& picture, const std::string& picture_name) {
  const Facts facts{picture, picture_name, prompt::parse_infotext(picture.metadata)};
  const Meaning meaning = meaning_in(facts);
  fs::path folder;
  for (const fs::path& part : folder_) folder /= numbered(folder, part.string(), meaning, folder_number_);
  int number = -1;
  return folder / (numbered(folder, pattern_, meaning, number) + extension_);
}

bool OutputFiles::may_replace(const fs::path& file) const {
  std::error_code failure;
  const auto is_file = [&](const fs::path& source) { return fs::equivalent(source, file, failure); };
  return is_single_ && is_plain_ && fs::is_regular_file(file, failure) &&
         std::ranges::none_of(sources_, is_file) && library::is_own_picture(file);
}

SavedPicture OutputFiles::save(const pipeline::GeneratedPicture& picture, const std::string& picture_name) {
  const fs::path asked = name(picture, picture_name);
  const image::EncodeOptions options{.format = format_, .quality = quality_, .parameters = picture.metadata};
  if (may_replace(asked)) {
    image::save_picture(asked, picture.picture, options);
    return {asked, fmt::format("{}: an older LowRank picture was replaced.", asked.string())};
  }
  SavedPicture saved{image::save_new_picture(asked, picture.picture, options), ""};
  if (saved.file != asked && !std::exchange(has_told_, true))
    saved.note = fmt::format("{} already exists and was kept; the picture was saved as {}.", asked.string(),
                             saved.file.string());
  return saved;
}

}  // namespace lowrank::cli
