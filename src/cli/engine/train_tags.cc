// `lowrank train tags`: the tags of a folder's captions, counted, searched and changed.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "base/error.h"
#include "base/log_line.h"
#include "base/progress.h"
#include "base/text/text.h"
#include "cli/engine/caption_hook.h"
#include "cli/engine/commands.h"
#include "cli/light/json_text.h"
#include "cli/printable.h"
#include "request/fault_list.h"
#include "training/data/caption_draw.h"
#include "training/data/tag_edit.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;
using training::CaptionChange;
using training::CaptionedPicture;
using training::TagEdit;
using Json = nlohmann::ordered_json;

std::vector<std::string> tags_of(const Arguments& given, std::string_view flag) {
  std::vector<std::string> all;
  for (const auto& value : given.values(flag))
    for (auto& tag : training::caption_tags(value)) all.push_back(std::move(tag));
  return all;
}

TagEdit edit_of(const Arguments& given) {
  TagEdit edit;
  for (const auto& pair : given.values("replace")) {
    const auto equals = pair.find('=');
    const std::string old(trim(std::string_view(pair).substr(0, std::min(equals, pair.size()))));
    if (equals == std::string::npos || old.empty())
      throw Error(kBadInput, "--replace is '{}', but must be OLD=NEW.", pair);
    edit.replaced.emplace_back(old, std::string(trim(std::string_view(pair).substr(equals + 1))));
  }
  edit.removed = tags_of(given, "remove");
  edit.prefix = tags_of(given, "prefix");
  edit.suffix = tags_of(given, "suffix");
  edit.drops_repeated = given.has("drop-repeated");
  edit.sorts = given.has("sort");
  return edit;
}

bool changes_captions(const Arguments& given) {
  return std::ranges::any_of(
      std::initializer_list<std::string_view>{"replace", "remove", "prefix", "suffix", "drop-repeated",
                                              "sort", "from-names", "caption-command", "caption-url"},
      [&](std::string_view flag) { return given.has(flag); });
}

bool is_found(const std::string& caption, const std::string& searched) {
  return lower(caption).find(lower(searched)) != std::string::npos;
}

// A caption for a picture that has none, or that is to get another; "" when there is none to be had.
std::string new_caption(const CommandCall& call, const CaptionedPicture& picture) {
  const Arguments& given = call.arguments;
  if (given.has("caption-command"))
    return caption_by_command(given.value("caption-command"), picture.picture, call.stop);
  if (given.has("caption-url")) return caption_by_url(given.value("caption-url"), picture.picture);
  return given.has("from-names") ? training::caption_from_name(picture.picture) : std::string();
}

struct Plan {
  std::vector<CaptionChange> changes;
  std::vector<fs::path> without;  // pictures that have no caption, and get none
};

Plan plan_changes(const CommandCall& call, const std::vector<CaptionedPicture>& pictures) {
  const Arguments& given = call.arguments;
  const TagEdit edit = edit_of(given);
  const bool makes_new = given.has("from-names") || given.has("caption-command") || given.has("caption-url");
  request::FaultList faults;
  Plan plan;
  // One caption file may serve several pictures.
  std::set<fs::path> files;
  for (const auto& picture : pictures) {
    throw_if_stopped(call.stop);
    if (!files.insert(picture.file).second) continue;
    if (given.has("search") && !is_found(picture.caption.value_or(""), given.value("search"))) continue;
    std::string caption = picture.caption.value_or("");
    if (makes_new && (caption.empty() || given.has("overwrite")))
      faults.add_from([&] { caption = new_caption(call, picture); });
    if (caption.empty() && !picture.caption) {
      plan.without.push_back(picture.picture);
      // Only tags that are put to every caption make one of their own.
      if (edit.prefix.empty() && edit.suffix.empty()) continue;
    }
    caption = training::edited_caption(caption, edit);
    if (caption != picture.caption.value_or("")) plan.changes.push_back({&picture, caption});
  }
  faults.throw_if_any();
  return plan;
}

Json changes_json(const Plan& plan, bool is_written) {
  Json changes = Json::array();
  for (const auto& [picture, after] : plan.changes)
    changes.push_back({{"picture", picture->picture.string()},
                       {"file", picture->file.string()},
                       {"before", picture->caption ? Json(*picture->caption) : Json()},
                       {"after", after}});
  Json without = Json::array();
  for (const auto& picture : plan.without) without.push_back(picture.string());
  return {{"changes", changes}, {"written", is_written}, {"without_caption", without}};
}

void print_changes(const Plan& plan, bool is_written) {
  for (const auto& [picture, after] : plan.changes)
    fmt::print("{}\n  - {}\n  + {}\n", printable(picture->file.string()),
               picture->caption ? printable(*picture->caption) : "(none)", printable(after));
  fmt::print("{}{} {}.\n", plan.changes.empty() ? "" : "\n",
             plan.changes.size() == 1 ? "1 caption" : fmt::format("{} captions", plan.changes.size()),
             is_written ? "written" : "would be written; run it without --dry-run to write them");
  if (!plan.without.empty())
    fmt::print(
        "{} without a caption, such as {}; --from-names makes one of the file's name.\n",
        plan.without.size() == 1 ? "1 picture is" : fmt::format("{} pictures are", plan.without.size()),
        printable(plan.without.front().string()));
}

int change(const CommandCall& call, const std::vector<CaptionedPicture>& pictures) {
  const Plan plan = plan_changes(call, pictures);
  const bool is_written = !call.arguments.has("dry-run");
  if (is_written) training::write_captions(plan.changes);
  if (call.arguments.has("json"))
    print_json(changes_json(plan, is_written));
  else
    print_changes(plan, is_written);
  return 0;
}

struct Count {
  std::string tag;  // as it was first written
  std::int64_t pictures = 0;
};

std::vector<Count> counts_of(const std::vector<CaptionedPicture>& pictures) {
  std::map<std::string, Count> counts;
  for (const auto& picture : pictures) {
    std::set<std::string> own;
    for (const auto& tag : training::caption_tags(picture.caption.value_or(""))) {
      if (!own.insert(lower(tag)).second) continue;
      Count& count = counts.try_emplace(lower(tag), Count{tag, 0}).first->second;
      ++count.pictures;
    }
  }
  std::vector<Count> all;
  for (auto& [key, count] : counts) all.push_back(count);
  std::ranges::stable_sort(all, [](const Count& a, const Count& b) { return a.pictures > b.pictures; });
  return all;
}

int search(const CommandCall& call, const std::vector<CaptionedPicture>& pictures) {
  Json found = Json::array();
  std::size_t count = 0;
  for (const auto& picture : pictures) {
    if (!picture.caption || !is_found(*picture.caption, call.arguments.value("search"))) continue;
    ++count;
    found.push_back({{"picture", picture.picture.string()}, {"caption", *picture.caption}});
    if (!call.arguments.has("json"))
      fmt::print("{}\n  {}\n", printable(picture.picture.string()), printable(*picture.caption));
  }
  if (call.arguments.has("json"))
    print_json({{"found", found}});
  else
    fmt::print("{}{} of {} captions.\n", count > 0 ? "\n" : "", count, pictures.size());
  return 0;
}

int count(const CommandCall& call, const std::vector<CaptionedPicture>& pictures) {
  const auto counts = counts_of(pictures);
  const auto front = training::common_front(pictures);
  const auto without = std::ranges::count_if(pictures, [](const auto& p) { return !p.caption; });
  if (call.arguments.has("json")) {
    Json tags = Json::object();
    for (const auto& [tag, number] : counts) tags[tag] = number;
    print_json({{"pictures", pictures.size()},
                {"without_caption", without},
                {"common_prefix", front},
                {"tags", tags}});
    return 0;
  }
  for (const auto& [tag, number] : counts) fmt::print("{:>6}  {}\n", number, printable(tag));
  fmt::print("\n{} tags in {} pictures; {} without a caption file.\nCommon prefix: {}\n", counts.size(),
             pictures.size(), without,
             front.empty() ? "(none)" : printable(fmt::format("{}", fmt::join(front, ", "))));
  return 0;
}

}  // namespace

int train_tags(const CommandCall& call) {
  const Arguments& given = call.arguments;
  const std::string extension = given.value("caption-extension");
  const auto pictures =
      training::pictures_below(given.positionals.front(), given.value("caption-encoding"), extension);
  if (pictures.empty()) throw Error(kNotFound, "{}: contains no pictures.", given.positionals.front());
  if (changes_captions(given)) {
    if (extension == ".json")
      throw Error(kUnsupported,
                  "--caption-extension .json: such captions can be counted and searched, but not changed.");
    return change(call, pictures);
  }
  return given.has("search") ? search(call, pictures) : count(call, pictures);
}

}  // namespace lowrank::cli
