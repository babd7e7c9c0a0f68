// The collection: cards by filters, what there is to filter by, what is there twice, and what a prompt lacks.
#include <fmt/format.h>

#include <array>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/text/text.h"
#include "library/needed_files.h"
#include "prompt/grammar/extra_networks.h"
#include "server/catalog/lora_json.h"
#include "server/http/refusal.h"
#include "server/routes/lora_query.h"
#include "server/routes/named_lora.h"
#include "server/routes/routes.h"

namespace lowrank::server {
namespace {

using library::Library;
using library::Record;
using library::SortBy;
using enum ParameterType;

constexpr ParameterRow kLoraQuery[] = {
    {.name = "limit", .type = kInteger, .default_value = "0", .help = "0: all", .min = 0, .max = 1e6},
    {.name = "offset", .type = kInteger, .default_value = "0", .min = 0, .max = 1e9},
    {.name = "q",
     .type = kString,
     .default_value = "\"\"",
     .help = "words from name, alias, trigger words, tags or notes; prefixes match"},
    {.name = "type",
     .type = kString,
     .default_value = "\"\"",
     .help = "character, style, concept, pose, clothing, object; none: no type",
     .max_length = 64},
    {.name = "base_model",
     .type = kString,
     .default_value = "\"\"",
     .help = "as on a card, or abbreviated: sd1, sdxl, pony",
     .max_length = 256},
    {.name = "subfamily",
     .type = kString,
     .default_value = "\"\"",
     .help = "Pony, Illustrious, NoobAI …; none: those without one",
     .max_length = 64},
    {.name = "tag", .type = kString, .default_value = "\"\"", .help = "an exact tag", .max_length = 256},
    {.name = "trigger",
     .type = kString,
     .default_value = "\"\"",
     .help = "an exact trigger word",
     .max_length = 256},
    {.name = "rating",
     .type = kInteger,
     .default_value = "0",
     .help = "at least this many stars",
     .min = 0,
     .max = 5},
    {.name = "folder",
     .type = kString,
     .default_value = "\"\"",
     .help = "relative to models/Lora, including sub-folders; a dot: only files at the top level",
     .max_length = 4096},
    {.name = "fits", .type = kString, .default_value = "\"\"", .help = "title or name of a checkpoint"},
    {.name = "sort",
     .type = kString,
     .default_value = "\"\"",
     .help = "name, path, relevance, added, date, size or rating (default: relevance if words are given, "
             "else path)",
     .max_length = 16},
    {.name = "fields",
     .type = kString,
     .default_value = "\"\"",
     .help = "comma-separated list: return only these keys"},
};
constexpr ParameterRow kFacets[] = {
    {.name = "tags", .type = kInteger, .default_value = "50", .help = "how many tags", .min = 0, .max = 1000},
};
constexpr ParameterRow kMissing[] = {
    {.name = "text",
     .type = kString,
     .help = "a prompt, or the generation parameters saved with a picture",
     .max_length = kMaxPromptBytes,
     .is_required = true},
};

constexpr std::array<std::pair<std::string_view, SortBy>, 7> kSorts = {{{"name", SortBy::kName},
                                                                        {"path", SortBy::kPath},
                                                                        {"relevance", SortBy::kRelevance},
                                                                        {"added", SortBy::kAdded},
                                                                        {"date", SortBy::kChanged},
                                                                        {"size", SortBy::kSize},
                                                                        {"rating", SortBy::kRating}}};

[[noreturn]] void refuse_query(const std::string& field, const std::string& message) {
  Faults faults;
  faults.add("query", field, message, "value_error");
  faults.throw_if_any();
  throw Error(kInternal, "internal error: an empty list of faults.");
}

SortBy sort_of(const std::string& name, bool has_words) {
  if (name.empty()) return has_words ? SortBy::kRelevance : SortBy::kPath;
  for (const auto& [known, sort] : kSorts)
    if (known == name) return sort;
  refuse_query("sort", "must be name, path, relevance, added, date, size or rating");
}

Json counts_json(const std::vector<library::ValueCount>& counts, const char* name) {
  Json list = Json::array();
  for (const auto& [value, count] : counts)
    list.push_back({{name, value.empty() ? Json() : Json(value)}, {"count", count}});
  return list;
}

Json files_json(const Library& library, const std::vector<Record>& records) {
  Json list = Json::array();
  for (const Record& record : records)
    list.push_back(
        {{"name", record.name},
         {"relative", Library::relative_name(record)},
         {"kind", library::place_named(record.place).kind},
         {"file", library.path_of(record).lexically_relative(library.data().root).generic_string()},
         {"bytes", record.size},
         {"time", modified_seconds(record)}});
  return list;
}

// What tags must say to mean files: of many looked up only where the plain name may mean another or cannot stand in a tag.
class TagNames {
 public:
  // `limit`: of how many files, 0 all.
  TagNames(const Library& library, std::int64_t limit)
      : library_(library), is_few_(limit > 0 && limit <= kFewRecords) {
    if (!is_few_) claimed_ = library.claimed_names();
  }

  std::string of(const Record& record) const {
    const bool is_plain = !is_few_ && !claimed_.contains(record.name) &&
                          prompt::is_plain_network_name(record.name) &&
                          well_formed(record.name) == record.name;
    return is_plain ? record.name : library_.prompt_name(record);
  }

 private:
  // Looking a name up costs more for each than to ask once which are claimed twice.
  static constexpr std::int64_t kFewRecords = 100;

  const Library& library_;
  const bool is_few_;
  std::set<std::string, std::less<>> claimed_;
};

// What is missing: where it was, and a page or a sentence that tells where to get it.
std::string where_to_get(const library::NeededAnswer& answer) {
  if (answer.import_source.starts_with("https://") || answer.import_source.starts_with("http://"))
    return answer.import_source;
  if (!answer.import_source.empty())
    return fmt::format("Import looks up the hash {} on Civitai.", answer.import_source);
  if (answer.lost)
    return fmt::format("it was {}, which has been removed.", Library::relative_name(*answer.lost));
  return fmt::format("no hash given; search for '{}' on civitai.com.", answer.needed.name);
}

}  // namespace

ParameterRows lora_query() {
  return kLoraQuery;
}
ParameterRows lora_facets_query() {
  return kFacets;
}
ParameterRows lora_missing_parameters() {
  return kMissing;
}

library::Query lora_query_of(Services& services, const Json& query) {
  const auto text = [&](const char* name) { return query[name].get<std::string>(); };
  library::Query asked{.kind = "lora", .words = text("q")};
  if (const std::string type = text("type"); !type.empty()) {
    asked.type = type == "none" ? type : std::string(library::type_meant_by(type));
    if (asked.type.empty())
      refuse_query("type", fmt::format("must be {} or none", fmt::join(library::lora_types(), ", ")));
  }
  asked.base_model = text("base_model");
  asked.base_as_shown = true;
  asked.subfamily = text("subfamily");
  asked.tag = text("tag");
  asked.trigger = text("trigger");
  asked.folder = text("folder");
  asked.min_rating = query["rating"].get<int>();
  asked.sort = sort_of(text("sort"), !asked.words.empty());
  asked.limit = query["limit"].get<std::int64_t>();
  asked.offset = query["offset"].get<std::int64_t>();
  if (const std::string name = text("fits"); !name.empty()) {
    const auto checkpoint = services.catalog.find_checkpoint(name, Match::kPart);
    if (!checkpoint) refuse_query("fits", fmt::format("no checkpoint named '{}'", name.substr(0, 200)));
    asked.fits = services.library_service.with(
        [&](const Library& library) { return library.fit_of(checkpoint->path); });
  }
  return asked;
}

Reply lora_cards(Services& services, const Call& call) {
  Faults faults;
  const Json query = read_query(kLoraQuery, call.query, faults);
  faults.throw_if_any();
  library::Query asked = lora_query_of(services, query);
  const library::Fitting fitting = fitting_now(services);
  std::int64_t total = 0;
  std::vector<std::string> near;
  const std::string fields = query["fields"].get<std::string>();
  std::string list;
  services.library_service.with([&](const Library& library) {
    const TagNames names(library, asked.limit);
    library::FittingCheckpoints others(library);
    const auto take = [&](Record&& record) {
      Json card = lora_card(record, fitting, others);
      card["tag_name"] = is_field_kept("tag_name", fields) ? names.of(record) : "";
      keep_fields(card, fields);
      if (!list.empty()) list += ',';
      list += json_text(card);
    };
    library.each(asked, take, &total);
    if (total == 0 && !asked.words.empty()) {
      library::NearWords other = library.near_words(asked.words);
      asked.match = other.match;
      if (!asked.match.empty()) library.each(asked, take, &total);
      if (total > 0) near = std::move(other.words);
    }
  });
  // `near`: no LoRA has the words that were asked for; these were looked for instead.
  Reply reply;
  // `problems`: folders that cannot be read, and links that lead nowhere.
  reply.body = fmt::format("{{\"loras\":[{}],\"total\":{},\"near\":{},\"problems\":{}}}", list, total,
                           json_text(near), json_text(services.library_service.problems()));
  reply.is_compressible = true;
  return reply;
}

Reply lora_facets(Services& services, const Call& call) {
  Faults faults;
  const Json query = read_query(kFacets, call.query, faults);
  faults.throw_if_any();
  const library::Facets facets = services.library_service.facets(query["tags"].get<std::size_t>());
  return json_reply({{"total", facets.total},
                     {"types", counts_json(facets.types, "type")},
                     {"base_models", counts_json(facets.base_models, "base_model")},
                     {"subfamilies", counts_json(facets.subfamilies, "subfamily")},
                     {"folders", counts_json(facets.folders, "folder")},
                     {"tags", counts_json(facets.tags, "tag")}});
}

Reply lora_duplicates(Services& services, const Call&) {
  const std::size_t pending = services.library_service.hash_suspects();
  return services.library_service.with([&](const Library& library) {
    Json same = Json::array(), names = Json::array();
    std::int64_t wasted = 0;
    for (const auto& group : library.duplicates()) {
      const Record& first = group.files.front();
      same.push_back({{"same", group.is_whole_file ? "file" : "tensors"},
                      {"hash", group.is_whole_file ? first.sha256 : first.addnet},
                      {"wasted_bytes", library::wasted_bytes(group)},
                      {"files", files_json(library, group.files)}});
      wasted += library::wasted_bytes(group);
    }
    for (const auto& conflict : library.conflicts()) {
      Json winner;
      for (const Record& record : conflict.claimants)
        if (record.id == conflict.winner) winner = Library::relative_name(record);
      names.push_back(
          {{"name", conflict.name}, {"winner", winner}, {"files", files_json(library, conflict.claimants)}});
    }
    return json_reply(
        {{"duplicates", same}, {"names", names}, {"wasted_bytes", wasted}, {"pending", pending}});
  });
}

Reply lora_missing(Services& services, const Call& call) {
  const Json body = read_body(kMissing, call.body);
  const auto needed = library::needed_files(body["text"].get<std::string>());
  return services.library_service.with([&](const Library& library) {
    Json missing = Json::array(), found = Json::array();
    for (const auto& file : needed) {
      const auto answer = library::find_needed(library, file);
      Json entry = {{"kind", file.kind}, {"name", file.name}, {"hash", file.hash}};
      if (answer.found) {
        entry["relative"] = Library::relative_name(*answer.found);
        entry["by"] = answer.how;
        if (file.kind == "lora") entry["prompt_name"] = library.prompt_name(*answer.found);
        found.push_back(std::move(entry));
      } else {
        entry["where"] = where_to_get(answer);
        entry["import"] = answer.import_source.empty() ? Json() : Json(answer.import_source);
        missing.push_back(std::move(entry));
      }
    }
    return json_reply({{"missing", missing}, {"found", found}});
  });
}

}  // namespace lowrank::server
