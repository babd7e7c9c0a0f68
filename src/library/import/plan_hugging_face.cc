// What a source at Hugging Face means.
#include <fmt/format.h>

#include "base/error.h"
#include "base/text/percent.h"
#include "library/import/file_name.h"
#include "library/import/importer.h"
#include "library/import/placing.h"

namespace lowrank::library {

std::vector<ImportItem> Importer::plan_hugging_face(const HuggingFaceSource& source) const {
  const std::string what = fmt::format("{} at {}", source.repo, source.revision);
  HubRepo repo = parse_hub_repo(ask(Site::kHuggingFace,
                                    fmt::format("/api/models/{}/revision/{}?blobs=true", source.repo,
                                                percent_encode(source.revision, "/~")),
                                    what),
                                what);
  repo.id = source.repo;
  const std::string revision = repo.commit.empty() ? source.revision : repo.commit;
  const auto address = [&](const std::string& path) {
    return parse_url(fmt::format("{}/{}/resolve/{}/{}", base_url(Site::kHuggingFace), source.repo,
                                 percent_encode(revision, "/~"), percent_encode(path, "/~")));
  };
  const std::string repo_name = source.repo.substr(source.repo.find('/') + 1);
  std::vector<ImportItem> items;
  for (const HubFile& file : choose_files(repo, source, options_.takes_pickles)) {
    const auto url = address(file.path);
    if (!url) throw Error(kBadInput, "{}: the name '{}' cannot be downloaded.", what, file.path);
    const std::string name = safe_file_name(file.path);
    if (name == "adapter_config.json") {
      if (!items.empty()) items.back().companions.emplace_back(*url, name);
      continue;
    }
    ImportItem item{.site = Site::kHuggingFace, .label = fmt::format("{} of {}", name, source.repo)};
    item.url = *url;
    item.kind = options_.kind.empty() ? "lora" : options_.kind;
    item.size = file.size;
    item.sha256 = file.sha256;
    item.base_model = repo.base_model;
    item.trigger = repo.trigger;
    item.source = fmt::format("https://huggingface.co/{}/blob/{}/{}", source.repo, revision, file.path);
    item.file_name = name;
    const std::string stem = stem_of(name);
    if (stem == "adapter_model") {
      // PEFT's settings lie beside its weights under a fixed name, so each adapter keeps a folder of its own.
      const auto slash = file.path.find_last_of('/');
      const std::string inner = slash == std::string::npos ? "" : safe_file_name(file.path.substr(0, slash));
      item.subfolder = safe_file_name(options_.name.empty() ? repo_name : options_.name) +
                       (inner.empty() ? "" : "/" + inner);
    } else if (stem == "pytorch_lora_weights") {
      item.file_name = safe_file_name(repo_name) + extension_of(name);
    }
    if (!options_.name.empty() && item.subfolder.empty())
      item.file_name = safe_file_name(options_.name + extension_of(item.file_name));
    if (stem_of(item.file_name).empty())
      throw Error(kBadInput, "{}: '{}' is not a valid file name; choose one with --name.", what, file.path);
    const std::string picture = extension_of(repo.preview);
    if (picture == ".png" || picture == ".jpg" || picture == ".jpeg" || picture == ".webp")
      item.preview = repo.preview.starts_with("http") ? parse_url(repo.preview) : address(repo.preview);
    if (const auto here = library_.find_hash(item.sha256, item.kind)) item.here = library_.path_of(*here);
    items.push_back(std::move(item));
  }
  return items;
}

}  // namespace lowrank::library
