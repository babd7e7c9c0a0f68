// What the sites know of files that are here already.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "library/import/importer.h"
#include "library/json_fields.h"

namespace lowrank::library {

using nlohmann::json;

bool Importer::enrich_from_civitai(Record record, std::vector<std::string>& remarks) const {
  std::string problem;
  if (!library_.hash(record, problem, http_.stop())) throw Error(kIo, "{}", problem);
  CivitaiVersion version;
  for (const std::string& hash : {record.sha256, record.addnet.substr(0, 12)}) {
    if (hash.empty()) continue;
    try {
      version = civitai_version("/api/v1/model-versions/by-hash/" + hash, record.name);
      break;
    } catch (const Error& error) {
      if (error.code() != kNotFound) throw;
    }
  }
  if (version.id == 0) return false;
  ImportItem item = plan_civitai(std::move(version)).front();
  write_beside(library_.path_of(record), item, remarks);
  return true;
}

std::optional<Importer::Update> Importer::newer_version(const Record& record) const {
  if (record.civitai_model != 0) {
    const auto model = civitai_model(record.civitai_model);
    std::string base;
    for (const json& version : model->versions)
      if (integer_field(version, "id") == record.civitai_version) base = text_field(version, "baseModel");
    for (const json& version : model->versions) {
      const auto id = integer_field(version, "id");
      if (id == record.civitai_version) return std::nullopt;
      if (base.empty() || text_field(version, "baseModel") == base)
        return Update{
            text_field(version, "name"),
            fmt::format("https://civitai.com/models/{}?modelVersionId={}", record.civitai_model, id),
            text_field(version, "publishedAt").substr(0, 10)};
    }
    return std::nullopt;
  }
  const auto url = parse_url(record.source);
  if (!url || url->host != "huggingface.co") return std::nullopt;
  auto hub = std::get<HuggingFaceSource>(recognise_source(record.source));
  const std::string seen = hub.revision;
  const HubRepo repo = parse_hub_repo(
      ask(Site::kHuggingFace, fmt::format("/api/models/{}/revision/main?blobs=true", hub.repo), hub.repo),
      hub.repo);
  const auto file = std::ranges::find(repo.files, hub.file, &HubFile::path);
  // The repository changes with every word of its page; what counts is the file.
  if (repo.commit == seen || file == repo.files.end() || file->sha256.empty() ||
      file->sha256 == record.sha256)
    return std::nullopt;
  return Update{fmt::format("commit {}", repo.commit.substr(0, 8)),
                fmt::format("https://huggingface.co/{}/blob/{}/{}", hub.repo, repo.commit, hub.file), ""};
}

}  // namespace lowrank::library
