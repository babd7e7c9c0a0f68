#include "library/import/importer.h"

#include <fmt/format.h>

#include "base/atomic_file.h"
#include "base/error.h"
#include "library/data_dir.h"
#include "library/import/file_name.h"
#include "library/import/placing.h"
#include "library/json_fields.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kMaxAnswerBytes = 32u << 20;
constexpr std::size_t kMaxCompanionBytes = 1u << 20;

}  // namespace

Importer::Importer(const Library& library, Http http, ImportOptions options)
    : library_(library), http_(std::move(http)), options_(std::move(options)) {
  if (!options_.kind.empty()) main_folder(options_.kind, library_.data());
}

json Importer::ask(Site site, const std::string& path, const std::string& what) const {
  const std::string address = base_url(site) + path;
  const auto url = parse_url(address);
  if (!url) throw Error(kBadInput, "'{}' is not a web address; fix the configured base URL.", address);
  const std::string token = token_for(site);
  std::string body;
  const HttpReply reply =
      http_.fetch({.url = *url, .token = token}, [&](const HttpReply& head, std::string_view piece) {
        if (head.status == 0) body.clear();
        if (head.status != 200) return head.status == 0;
        if (body.size() + piece.size() > kMaxAnswerBytes)
          throw Error(kIo, "{}: the answer has more than {} bytes.", url->shown(), kMaxAnswerBytes);
        body += piece;
        return true;
      });
  if (reply.status != 200) throw_for_status(reply, what, token_places(site));
  json answer = json::parse(body, nullptr, false);
  if (!answer.is_object())
    throw Error(kIo, "{}: the answer of {} is not JSON; try again later.", what, url->origin());
  return answer;
}

std::vector<ImportItem> Importer::plan(const ImportSource& source) const {
  std::vector<ImportItem> items = plan_source(source);
  for (ImportItem& item : items)
    if (item.kind == "lora" && !options_.type.empty()) item.type = options_.type;
  return items;
}

std::vector<ImportItem> Importer::plan_source(const ImportSource& source) const {
  if (const auto* hub = std::get_if<HuggingFaceSource>(&source)) return plan_hugging_face(*hub);
  if (const auto* hash = std::get_if<HashSource>(&source)) {
    const std::string what = fmt::format("hash {}", hash->hash);
    return plan_civitai(civitai_version("/api/v1/model-versions/by-hash/" + hash->hash, what));
  }
  if (const auto* page = std::get_if<CivitaiSource>(&source)) {
    std::int64_t version = page->version;
    if (version == 0) {
      const auto model = civitai_model(page->model);
      // Newest first: the page's own choice.
      if (model && !model->versions.empty()) version = integer_field(model->versions.front(), "id");
      if (version == 0)
        throw Error(kNotFound, "model {} on Civitai has no version to download.", page->model);
    }
    return plan_civitai(civitai_version(fmt::format("/api/v1/model-versions/{}", version),
                                        fmt::format("model version {} on Civitai", version)));
  }
  throw Error(kInternal, "internal error: a local file is not planned; please report this.");
}

fs::path Importer::target_folder(const ImportItem& item, const std::string& architecture) const {
  fs::path folder = options_.to;
  if (folder.empty()) {
    folder = main_folder(item.kind, library_.data());
    if (item.kind == "lora" && !options_.is_flat) {
      if (const std::string base = base_folder(item.base_model, architecture); !base.empty()) folder /= base;
      if (!item.type.empty()) folder /= item.type;
    }
  }
  return item.subfolder.empty() ? folder : folder / item.subfolder;
}

Imported Importer::fetch(const ImportItem& item, const DownloadProgress& progress) const {
  Imported result;
  std::error_code failure;
  if (!options_.fetches_again && !item.here.empty() && fs::exists(item.here, failure)) {
    result.state = ImportState::kAlreadyHere;
    result.path = item.here;
    write_beside(item.here, item, result.remarks);
    return result;
  }
  // Parts lie in the kind's own folder: the final one is known only when the file is here.
  const fs::path parts = options_.to.empty() ? main_folder(item.kind, library_.data()) : options_.to;
  const Downloaded file = download(http_,
                                   {.url = item.url,
                                    .token = token_for(item.site),
                                    .token_hint = token_places(item.site),
                                    .what = item.label,
                                    .folder = parts,
                                    .size = item.size,
                                    .sha256 = item.sha256,
                                    .max_bytes = options_.max_bytes},
                                   progress);
  result.bytes = file.bytes;
  result.hashes = file.hashes;
  result.was_resumed = file.was_resumed;
  if (item.sha256.empty())
    result.remarks.push_back(
        fmt::format("{}: the site gives no SHA-256, so only size and format were checked.", item.label));
  const std::string architecture = check_content(file.part, item.kind, item.file_name);
  const fs::path folder = target_folder(item, architecture);
  const std::string extension = extension_of(item.file_name), stem = stem_of(item.file_name);
  for (const std::string& name : {stem, fmt::format("{}-{}", stem, file.hashes.sha256.substr(0, 8))}) {
    result.path = folder / (name + extension);
    if (put_in_place(file.part, result.path)) {
      for (const auto& [url, companion] : item.companions)
        write_file(
            result.path.parent_path() / companion,
            http_.get_text({.url = url, .token = token_for(item.site)}, kMaxCompanionBytes, companion));
      write_beside(result.path, item, result.remarks);
      return result;
    }
    if (hash_file(result.path, http_.stop()).sha256 == file.hashes.sha256) {
      discard_part(file.part);
      result.state = ImportState::kAlreadyHere;
      return result;
    }
    result.remarks.push_back(
        fmt::format("{} is another file, so this one was given a longer name.", result.path.string()));
  }
  throw Error(kConflict, "{}: other files with this name exist in {}; choose another name with --name.",
              item.label, folder.string());
}

std::vector<std::optional<Record>> index_imports(Library& library, const std::vector<Imported>& imports) {
  library.rescan();
  std::vector<std::optional<Record>> records;
  for (const Imported& imported : imports) {
    auto& record = records.emplace_back(library.find_path(imported.path));
    if (!record || imported.hashes.sha256.empty()) continue;
    library.keep_hashes(*record, imported.hashes);
    record->sha256 = imported.hashes.sha256;
    record->autov1 = imported.hashes.autov1;
    record->addnet = imported.hashes.addnet;
  }
  return records;
}

}  // namespace lowrank::library
