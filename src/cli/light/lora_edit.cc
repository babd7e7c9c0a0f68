// `lowrank lora tag|type|note|rate|preview`: what a user says of a LoRA, written beside its file.
#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/text/text.h"
#include "cli/invocation.h"
#include "cli/light/commands.h"
#include "cli/light/json_text.h"
#include "cli/light/library_command.h"
#include "cli/text_table.h"
#include "library/sidecar/card_edit.h"
#include "library/sidecar/lora_card.h"
#include "library/sidecar/preview.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;
using library::CardEdit;
using library::Library;
using library::Record;

constexpr std::size_t kMaxPictureBytes = 256u << 20;

// Writes the edit, reads it back into the index, and says where it stands.
int write_edit(const Invocation& invocation, Library& library, const Record& record, const CardEdit& edit) {
  // The starter's own cards belong to the program.
  const bool is_starter = library::place_named(record.place).is_starter;
  const fs::path file = library::edit_card(library.path_of(record), edit, library.overlay_of(record),
                                           is_starter ? library::Beside::kNo : library::Beside::kYes);
  library.reread(record);
  const Record after = library.resolve(Library::relative_name(record)).record;
  if (invocation.has("json")) {
    auto json = record_json(library, after);
    json["written"] = file.string();
    print_json(json);
    return 0;
  }
  std::string facts;
  const auto add = [&](std::string_view label, const std::string& value) {
    if (!value.empty()) facts += fmt::format("  {:<14} {}\n", label, printable(value));
  };
  add("type", type_text(after));
  add("subfamily", subfamily_words(after));
  add("tags", fmt::format("{}", fmt::join(library::list_of(after.tags), ", ")));
  add("rating", stars(after.rating));
  add("notes", after.notes);
  add("in a prompt", library.prompt_line(after));
  fmt::print("{}: written to {}\n{}", printable(Library::relative_name(after)), file.string(), facts);
  return 0;
}

double weight_of(const std::string& text) {
  const auto weight = parse_number(text);
  if (!weight || *weight < -10 || *weight > 10)
    throw Error(kBadInput, "--weight is '{}', but must be a number between -10 and 10; 0 removes it.", text);
  return *weight;
}

}  // namespace

int lora_tag(const Invocation& invocation) {
  Library library = open_library(invocation);
  const Record record = library.resolve(invocation.positionals.front()).record;
  auto tags = library::list_of(record.tags);
  for (std::size_t i = 1; i < invocation.positionals.size(); ++i) {
    const std::string tag(trim(invocation.positionals[i]));
    if (tag.empty() || tag.size() > 200) throw Error(kBadInput, "a tag must have 1 to 200 bytes.");
    const auto at = std::ranges::find(tags, tag);
    if (invocation.has("remove")) {
      if (at == tags.end()) throw Error(kNotFound, "'{}' has no tag '{}' to remove.", record.name, tag);
      tags.erase(at);
    } else if (at == tags.end()) {
      tags.push_back(tag);
    }
  }
  if (invocation.positionals.size() == 1) {
    if (invocation.has("json")) {
      print_json({{"name", record.name}, {"tags", tags}});
    } else {
      for (const auto& tag : tags) fmt::print("{}\n", printable(tag));
    }
    return 0;
  }
  return write_edit(invocation, library, record, {.tags = tags});
}

int lora_type(const Invocation& invocation) {
  Library library = open_library(invocation);
  const Record record = library.resolve(invocation.positionals.front()).record;
  const std::string& asked = invocation.positionals[1];
  if (asked == "auto") return write_edit(invocation, library, record, {.type = ""});
  const auto type = library::type_meant_by(asked);
  if (type.empty())
    throw Error(kBadInput, "'{}' is not a type; it must be one of {}, or auto to detect it from the files.",
                asked, fmt::join(library::lora_types(), ", "));
  return write_edit(invocation, library, record, {.type = std::string(type)});
}

int lora_subfamily(const Invocation& invocation) {
  Library library = open_library(invocation);
  const Record record = library.resolve(invocation.positionals.front()).record;
  const std::string& asked = invocation.positionals[1];
  return write_edit(invocation, library, record, {.subfamily = asked_subfamily(asked)});
}

int lora_note(const Invocation& invocation) {
  Library library = open_library(invocation);
  const Record record = library.resolve(invocation.positionals.front()).record;
  CardEdit edit;
  if (invocation.positionals.size() > 1)
    edit.notes = invocation.has("append") && !record.notes.empty()
                     ? record.notes + "\n" + invocation.positionals[1]
                     : invocation.positionals[1];
  if (invocation.has("trigger")) edit.activation_text = invocation.value("trigger");
  if (invocation.has("negative")) edit.negative_text = invocation.value("negative");
  if (invocation.has("description")) edit.description = invocation.value("description");
  if (invocation.has("weight")) edit.preferred_weight = weight_of(invocation.value("weight"));
  const bool is_edit =
      edit.notes || edit.activation_text || edit.negative_text || edit.description || edit.preferred_weight;
  if (is_edit) return write_edit(invocation, library, record, edit);
  if (invocation.has("json")) {
    print_json({{"name", record.name}, {"notes", record.notes}});
  } else {
    fmt::print("{}{}", printable(record.notes), record.notes.empty() ? "" : "\n");
  }
  return 0;
}

int lora_rate(const Invocation& invocation) {
  Library library = open_library(invocation);
  const Record record = library.resolve(invocation.positionals.front()).record;
  const auto rating = parse_integer(invocation.positionals[1]);
  if (!rating || *rating < 0 || *rating > 5)
    throw Error(kBadInput, "the rating is '{}', but must be 1 to 5, or 0 to remove it.",
                invocation.positionals[1]);
  return write_edit(invocation, library, record, {.rating = *rating});
}

int lora_preview(const Invocation& invocation) {
  Library library = open_library(invocation);
  const Record record = library.resolve(invocation.positionals.front()).record;
  const fs::path path = library.path_of(record);
  fs::path shown = record.preview.empty() ? fs::path() : path.parent_path() / record.preview;
  const bool is_edit = invocation.positionals.size() > 1 || invocation.has("remove");
  if (is_edit && library::place_named(record.place).is_starter)
    throw Error(kBadInput, "'{}' is part of the starter model; copy it to {} to change its preview.",
                record.name, library.data().loras().string());
  if (invocation.positionals.size() > 1) {
    const std::string& source = invocation.positionals[1];
    const std::string bytes = read_file(source, kMaxPictureBytes);
    shown = library::set_preview(path, std::as_bytes(std::span(bytes.data(), bytes.size())), source);
    library.reread(record);
  } else if (invocation.has("remove")) {
    if (shown.empty()) throw Error(kNotFound, "'{}' has no preview to remove.", record.name);
    std::error_code failure;
    if (!fs::remove(shown, failure))
      throw Error(kIo, "{}: cannot be removed ({}).", shown.string(), failure.message());
    library.reread(record);
    shown.clear();
  }
  if (invocation.has("json")) {
    print_json({{"name", record.name}, {"preview", shown.string()}});
  } else if (shown.empty()) {
    fmt::print("'{}' has no preview.\n", printable(record.name));
  } else {
    fmt::print("{}\n", printable(shown.string()));
  }
  return 0;
}

}  // namespace lowrank::cli
