// `lowrank lora show`: the card of one LoRA, with a line ready for a prompt.
#include <fmt/format.h>

#include <cstdio>
#include <map>
#include <vector>

#include "base/error.h"
#include "base/log_line.h"
#include "cli/help.h"
#include "cli/invocation.h"
#include "cli/light/commands.h"
#include "cli/light/json_text.h"
#include "cli/light/library_command.h"
#include "cli/text_table.h"
#include "formats/lora/lora_file.h"
#include "formats/subfamily.h"
#include "library/lora_words.h"
#include "library/sidecar/lora_card.h"
#include "weights/tensor_file.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;
using library::Record;
using nlohmann::ordered_json;

void print_field(std::string_view label, const std::string& value) {
  if (!value.empty()) fmt::print("{:<16} {}\n", label, wrap(printable(value), terminal_width(), 17));
}

std::string joined_counts(const Record& record) {
  const auto counts = library::counts_of(record.caption_tags);
  std::vector<std::string> words;
  for (const auto& [tag, count] : counts)
    if (words.size() < 20) words.push_back(fmt::format("{} ({})", tag, count));
  return fmt::format("{}{}", fmt::join(words, ", "), counts.size() > words.size() ? " ..." : "");
}

std::string type_line(const Record& record) {
  if (record.type.empty()) return "";
  if (record.type_origin == "guess") return fmt::format("{} (guessed: {})", record.type, record.type_reason);
  return fmt::format("{} (set by {})", record.type, record.type_origin == "user" ? "you" : "Civitai");
}

std::string how_found(const library::FoundLora& found, const std::string& asked) {
  if (found.how == "former name") return fmt::format("'{}' is a former name of this file", asked);
  if (found.how == "hash") return fmt::format("found by the hash {}", asked);
  return "";
}

// Read again: what stands in a header in full is not kept in the index.
struct Reading {
  std::map<std::string, std::string> metadata;
  std::string problem;   // as `lora inspect` and the engine say it
  std::string left_out;  // "2 modules and 1 unknown key; the first, 'x': reason"
  std::vector<std::string> notes;
};

Reading read_again(const fs::path& path) {
  Reading reading;
  try {
    const auto file = weights::TensorFile::open(path);
    reading.metadata = file->metadata();
    const auto lora = formats::read_lora(file);
    reading.notes = lora.notes;
    if (const auto reason = formats::unusable_reason(lora); !reason.empty()) {
      reading.problem = fmt::format("{}: {}", path.string(), reason);
    } else if (!lora.skipped.empty() || !lora.unknown.empty()) {
      reading.left_out = fmt::format(
          "{} modules, {} unknown keys; the first, '{}'", lora.skipped.size(), lora.unknown.size(),
          lora.skipped.empty() ? lora.unknown.front() : lora.skipped.front().module);
      if (!lora.skipped.empty()) reading.left_out += ": " + lora.skipped.front().reason;
    }
  } catch (const Error& error) {
    reading.problem = error.what();
  }
  return reading;
}

}  // namespace

int lora_show(const Invocation& invocation) {
  const auto library = open_library(invocation);
  const std::string& asked = invocation.positionals.front();
  const library::FoundLora found = library.resolve(asked);
  const Record& record = found.record;
  const fs::path path = library.path_of(record);
  const Reading reading = read_again(path);
  const auto& metadata = reading.metadata;
  const auto card = library::read_lora_card(path, metadata, library.card_sources(record));
  const auto former = library.former_names(record);
  const auto fact = [&](const char* key) {
    const auto at = metadata.find(key);
    return at == metadata.end() || at->second == "None" ? std::string() : at->second;
  };
  if (invocation.has("json")) {
    ordered_json json = record_json(library, record);
    json.update({{"tag", library.prompt_tag(record)},
                 {"prompt", library.prompt_line(record)},
                 {"found_by", found.how},
                 {"former_names", former},
                 {"base_model_reason", record.base_reason},
                 {"subfamily_reason", record.subfamily_reason},
                 {"subfamily_conflict", record.subfamily_conflict},
                 {"type_reason", record.type_reason},
                 {"activation_text", record.activation},
                 {"negative_text", record.negative},
                 {"description", card.description},
                 {"caption_tags", card.tags},
                 {"remarks", card.notes},
                 {"left_out", reading.left_out},
                 {"reading_notes", reading.notes},
                 {"metadata", metadata}});
    if (!reading.problem.empty()) json["error"] = reading.problem;
    print_json(json);
    return 0;
  }
  print_field("LoRA", record.alias == record.name ? record.name
                                                  : fmt::format("{} (alias {})", record.name, record.alias));
  print_field("title", record.title == record.name ? "" : record.title);
  print_field("", how_found(found, asked));
  print_field("former names", fmt::format("{}", fmt::join(former, ", ")));
  print_field("unusable", reading.problem);
  print_field("in a prompt", reading.problem.empty() ? library.prompt_line(record) : "");
  print_field("trigger words", fmt::format("{}", fmt::join(library::list_of(record.triggers), ", ")));
  print_field("negative text", record.negative);
  print_field("type", type_line(record));
  print_field("rating", stars(record.rating));
  print_field("tags", fmt::format("{}", fmt::join(card.labels, ", ")));
  print_field("notes", record.notes);
  print_field("description", card.description);
  const std::string rank = library::rank_text(record.rank_low, record.rank_high);
  print_field("kind", rank.empty() ? record.kinds : fmt::format("{}, rank {}", record.kinds, rank));
  print_field("base model", record.base_reason.empty()
                                ? ""
                                : fmt::format("{} ({})", library::base_text(record), record.base_reason));
  if (const std::string words = subfamily_words(record); !words.empty()) print_field("subfamily", words);
  if (const auto* row = formats::subfamily_named(record.subfamily); row != nullptr)
    print_field("usual", std::string(row->usual));
  if (reading.problem.empty())
    print_field("modules", fmt::format("{} of the U-Net, {} of the text encoder", record.unet_modules,
                                       record.text_modules));
  print_field("skipped", reading.left_out);
  for (const auto& note : reading.notes) print_field("note", note);
  print_field("trained on", fact("ss_sd_model_name"));
  const std::string steps = fact("ss_steps"), pictures = fact("ss_num_train_images");
  print_field("training", fmt::format("{}{}", steps.empty() ? "" : steps + " steps",
                                      pictures.empty() ? "" : " on " + pictures + " pictures"));
  print_field("caption tags", joined_counts(record));
  print_field("comment", fact("ss_training_comment"));
  print_field("creator", record.creator);
  print_field("from", record.source);
  print_field("preview", card.preview.string());
  const std::string hash = library::lora_hash(record);
  print_field("hashes", fmt::format("{}{}", hash.empty() ? "" : "AutoV3 " + hash,
                                    record.sha256.empty() ? "" : ", SHA256 " + record.sha256));
  print_field("file",
              fmt::format("{}, {}, {}", path.string(), size_text(static_cast<std::uint64_t>(record.size)),
                          date_text(record.mtime_ns / 1'000'000'000)));
  for (const auto& note : card.notes) log_line(stderr, "warning: {}\n", printable(note));
  return 0;
}

}  // namespace lowrank::cli
