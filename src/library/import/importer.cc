#include "library/import/importer.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "base/atomic_file.h"
#include "base/error.h"
#include "formats/lora_summary.h"
#include "library/import/file_name.h"
#include "library/import/json_fields.h"
#include "library/import/previews.h"
#include "library/index/place_table.h"
#include "library/sidecar/card_edit.h"
#include "weights/tensor_file.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kMaxAnswerBytes = 32u << 20;
constexpr std::size_t kMaxCompanionBytes = 1u << 20;
constexpr std::size_t kMaxDescription = 4000;

// Kinds of model on Civitai and what they are in the place table.
struct TypeRow {
  std::string_view civitai, kind;
};
constexpr TypeRow kTypes[] = {{"LORA", "lora"},
                              {"LoCon", "lora"},
                              {"DoRA", "lora"},
                              {"Checkpoint", "checkpoint"},
                              {"TextualInversion", "embedding"},
                              {"VAE", "vae"},
                              {"Upscaler", "upscaler"}};

// The first place of a kind that is the user's own.
const PlaceRow& place_of_kind(std::string_view kind) {
  for (const PlaceRow& place : place_table())
    if (place.kind == kind && !place.is_starter) return place;
  throw Error(kBadInput,
              "there is no kind of model '{}'; it must be lora, checkpoint, vae, embedding or upscaler.",
              kind);
}

std::string squeezed(std::string_view text) {
  std::string out;
  for (const char c : text)
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')) {
      out += c;
    } else if (c >= 'A' && c <= 'Z') {
      out += static_cast<char>(c + 32);
    }
  return out;
}

// "SD 1.5" and "runwayml/stable-diffusion-v1-5" give SD1; names of their own (Pony) stay; "" nothing is
// known.
std::string base_folder(const std::string& said, const std::string& architecture) {
  const std::string word = squeezed(said);
  if (word.starts_with("sd1")) return "SD1";
  if (word.starts_with("sd2")) return "SD2";
  if (word.starts_with("sdxl")) return "SDXL";
  if (word.empty() || word == "other" || word == "unknown" || said.find('/') != std::string::npos)
    return architecture;
  return safe_file_name(said, 60);
}

std::string joined_triggers(const std::vector<std::string>& words) {
  std::string text;
  for (std::string word : words) {
    while (!word.empty() && (word.back() == ',' || word.back() == ' ')) word.pop_back();
    if (!word.empty()) text += (text.empty() ? "" : ", ") + word;
  }
  return text.size() <= 1000 ? text : "";
}

// A1111 knows these words only.
std::string sd_version(const std::string& architecture) {
  return architecture == "SD1" || architecture == "SD2" || architecture == "SDXL" ? architecture : "";
}

// What the bytes are: the family of a LoRA; "" for others. Throws Error when they are not what they should
// be.
std::string check_content(const fs::path& part, const ImportItem& item) {
  try {
    if (item.kind == "lora") {
      const formats::LoraSummary summary = formats::LoraSummariser().read(part);
      if (summary.problem.empty() || !summary.architecture.empty()) return summary.architecture;
      throw Error(kBadInput, "{}", summary.problem);
    }
    if (extension_of(item.file_name) == ".safetensors") weights::TensorFile::open(part);
    return "";
  } catch (const Error& error) {
    std::string why = error.what();
    if (const auto at = why.find(part.string()); at != std::string::npos)
      why.replace(at, part.string().size(), item.file_name);
    discard_part(part);
    throw Error(error.code(), "{}", why);
  }
}

std::string stem_of(const std::string& name) {
  return name.substr(0, name.size() - extension_of(name).size());
}

}  // namespace

Importer::Importer(const Library& library, Http http, ImportOptions options)
    : library_(library), http_(std::move(http)), options_(std::move(options)) {
  if (!options_.kind.empty()) place_of_kind(options_.kind);
}

json Importer::ask(Site site, const std::string& path, const std::string& what) const {
  const std::string address = base_url(site) + path;
  const auto url = parse_url(address);
  if (!url) throw Error(kBadInput, "'{}' is no web address; mend the base URL that was set.", address);
  const std::string token = token_for(site);
  std::string body;
  const HttpReply reply =
      http_.fetch({.url = *url, .token = token}, [&](const HttpReply& head, std::string_view piece) {
        if (head.status == 0) body.clear();
        if (head.status != 200) return head.status == 0;
        if (body.size() + piece.size() > kMaxAnswerBytes)
          throw Error(kIo, "{}: answers with more than {} bytes.", url->shown(), kMaxAnswerBytes);
        body += piece;
        return true;
      });
  if (reply.status != 200) throw_for_status(reply, what, token_places(site));
  json answer = json::parse(body, nullptr, false);
  if (!answer.is_object())
    throw Error(kIo, "{}: {} answers with something that is no JSON; try again later.", what, url->origin());
  return answer;
}

CivitaiVersion Importer::civitai_version(const std::string& path, const std::string& what) const {
  return parse_civitai_version(ask(Site::kCivitai, path, what), what);
}

std::optional<CivitaiModel> Importer::civitai_model(std::int64_t id) const {
  if (id == 0) return std::nullopt;
  const std::string what = fmt::format("model {} of Civitai", id);
  return parse_civitai_model(ask(Site::kCivitai, fmt::format("/api/v1/models/{}", id), what), what);
}

std::vector<ImportItem> Importer::plan(const ImportSource& source) const {
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
      if (version == 0) throw Error(kNotFound, "model {} of Civitai has no version to fetch.", page->model);
    }
    return plan_civitai(civitai_version(fmt::format("/api/v1/model-versions/{}", version),
                                        fmt::format("model version {} of Civitai", version)));
  }
  throw Error(kInternal, "internal error: a local file is not planned; please report this.");
}

std::vector<ImportItem> Importer::plan_civitai(CivitaiVersion version) const {
  // The page adds tags and creator; without it the file is no worse.
  try {
    if (const auto model = civitai_model(version.model)) merge_model(version, *model);
  } catch (const Error& error) {
    if (error.code() == kCancelled) throw;
  }
  const CivitaiFile* file = choose_file(version, options_.takes_pickles);
  const std::string what = fmt::format("{} ({})", version.model_name, version.name);
  if (file == nullptr)
    throw Error(kUnsupported, "{}: is not offered as safetensors{}.", what,
                options_.takes_pickles
                    ? ""
                    : "; --allow-pickle takes other files, which LowRank reads without running");
  if (file->scan == "Danger")
    throw Error(kBadInput, "{}: Civitai's scan calls the file dangerous; it is not fetched.", what);
  ImportItem item{.site = Site::kCivitai, .label = what};
  const auto url = parse_url(
      file->url.empty() ? fmt::format("{}/api/download/models/{}", base_url(Site::kCivitai), version.id)
                        : file->url);
  if (!url) throw Error(kIo, "{}: Civitai gives no address to fetch it from.", what);
  item.url = *url;
  item.file_name = safe_file_name(file->name);
  if (item.file_name.empty()) item.file_name = fmt::format("civitai-{}", version.id);
  if (file->format == "SafeTensor" && extension_of(item.file_name) != ".safetensors")
    item.file_name += ".safetensors";
  if (stem_of(item.file_name).empty()) item.file_name = fmt::format("civitai-{}.safetensors", version.id);
  if (!options_.name.empty()) item.file_name = safe_file_name(options_.name + extension_of(item.file_name));
  item.kind = options_.kind;
  for (const TypeRow& row : kTypes)
    if (item.kind.empty() && row.civitai == version.model_type) item.kind = row.kind;
  if (item.kind.empty()) {
    if (options_.to.empty())
      throw Error(kUnsupported, "{}: is of the type '{}', for which there is no folder; name one with --to.",
                  what, version.model_type);
    item.kind = "other";
  }
  item.sha256 = file->sha256;
  // The size is a number of kilobytes, rounded or not; only an unrounded one can be held against the file.
  const double bytes = file->size_kb * 1024;
  const bool is_exact =
      bytes > 0 && bytes < 1e15 && bytes == std::floor(bytes) && file->size_kb != std::floor(file->size_kb);
  if (is_exact) item.size = static_cast<std::uint64_t>(bytes);
  item.base_model = version.base_model;
  if (item.kind == "lora") {
    const LoraType type = recognise_type({.user = {},
                                          .civitai_tags = texts_field(field(version.raw, "model"), "tags"),
                                          .folder = {},
                                          .names = {},
                                          .caption_tags = {}});
    item.type = type.name;
  }
  item.trigger = joined_triggers(version.trained_words);
  for (const std::string& html :
       {version.description, text_field(field(version.raw, "model"), "description")})
    if (item.description.empty()) item.description = text_of_html(html).substr(0, kMaxDescription);
  item.source = fmt::format("https://civitai.com/models/{}?modelVersionId={}", version.model, version.id);
  for (const CivitaiImage& image : version.images)
    if (!item.preview && image.type != "video") item.preview = parse_url(image.url);
  if (const auto here = library_.find_hash(item.sha256, item.kind)) item.here = library_.path_of(*here);
  item.civitai = std::move(version);
  return {std::move(item)};
}

std::vector<ImportItem> Importer::plan_hugging_face(const HuggingFaceSource& source) const {
  const std::string what = fmt::format("{} at {}", source.repo, source.revision);
  HubRepo repo = parse_hub_repo(
      ask(Site::kHuggingFace,
          fmt::format("/api/models/{}/revision/{}?blobs=true", source.repo, percent_encoded(source.revision)),
          what),
      what);
  repo.id = source.repo;
  const std::string revision = repo.commit.empty() ? source.revision : repo.commit;
  const auto address = [&](const std::string& path) {
    return parse_url(fmt::format("{}/{}/resolve/{}/{}", base_url(Site::kHuggingFace), source.repo,
                                 percent_encoded(revision), percent_encoded(path)));
  };
  const std::string repo_name = source.repo.substr(source.repo.find('/') + 1);
  std::vector<ImportItem> items;
  for (const HubFile& file : choose_files(repo, source, options_.takes_pickles)) {
    const auto url = address(file.path);
    if (!url) throw Error(kBadInput, "{}: the name '{}' cannot be fetched.", what, file.path);
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
      throw Error(kBadInput, "{}: '{}' is no usable file name; give one with --name.", what, file.path);
    const std::string picture = extension_of(repo.preview);
    if (picture == ".png" || picture == ".jpg" || picture == ".jpeg" || picture == ".webp")
      item.preview = repo.preview.starts_with("http") ? parse_url(repo.preview) : address(repo.preview);
    if (const auto here = library_.find_hash(item.sha256, item.kind)) item.here = library_.path_of(*here);
    items.push_back(std::move(item));
  }
  return items;
}

fs::path Importer::target_folder(const ImportItem& item, const std::string& architecture) const {
  fs::path folder = options_.to;
  if (folder.empty()) {
    folder = folder_of(place_of_kind(item.kind), library_.data());
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
  if (!item.here.empty() && fs::exists(item.here, failure)) {
    result.state = ImportState::kAlreadyHere;
    result.path = item.here;
    write_beside(item.here, item, result.remarks);
    return result;
  }
  // Parts lie in the kind's own folder: the final one is known only when the file is here.
  const fs::path parts =
      options_.to.empty() ? folder_of(place_of_kind(item.kind), library_.data()) : options_.to;
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
  result.was_resumed = file.was_resumed;
  if (item.sha256.empty())
    result.remarks.push_back(
        fmt::format("{}: the site states no SHA-256, so only its size and form were checked.", item.label));
  const std::string architecture = check_content(file.part, item);
  const fs::path folder = target_folder(item, architecture);
  const std::string extension = extension_of(item.file_name), stem = stem_of(item.file_name);
  for (const std::string& name : {stem, fmt::format("{}-{}", stem, file.sha256.substr(0, 8))}) {
    result.path = folder / (name + extension);
    if (put_in_place(file.part, result.path)) {
      for (const auto& [url, companion] : item.companions)
        write_file(
            result.path.parent_path() / companion,
            http_.get_text({.url = url, .token = token_for(item.site)}, kMaxCompanionBytes, companion));
      write_beside(result.path, item, result.remarks);
      return result;
    }
    if (hash_file(result.path, http_.stop()).sha256 == file.sha256) {
      discard_part(file.part);
      result.state = ImportState::kAlreadyHere;
      return result;
    }
    result.remarks.push_back(
        fmt::format("{} is another file, so this one got a longer name.", result.path.string()));
  }
  throw Error(kConflict, "{}: there are other files of this name in {}; give another with --name.",
              item.label, folder.string());
}

void Importer::write_beside(const fs::path& path, const ImportItem& item,
                            std::vector<std::string>& remarks) const {
  try {
    if (item.civitai) {
      const fs::path info = sidecar_path(path, ".civitai.info");
      std::error_code failure;
      json whole = json::object();
      if (fs::exists(info, failure)) whole = json::parse(read_file(info), nullptr, false);
      if (!whole.is_object()) whole = json::object();
      whole.update(item.civitai->raw);
      write_file(info, whole.dump(4, ' ', false, json::error_handler_t::replace));
    }
    CardEdit edit{.source = item.source};
    edit.only_missing = true;
    if (!item.trigger.empty()) edit.activation_text = item.trigger;
    if (!item.description.empty()) edit.description = item.description;
    if (const std::string version = sd_version(base_folder(item.base_model, "")); !version.empty())
      edit.base_model = version;
    edit_card(path, edit, {});
  } catch (const Error& error) {
    remarks.push_back(error.what());
  }
  if (options_.with_preview && item.preview) save_preview(path, *item.preview, remarks);
}

void Importer::save_preview(const fs::path& path, const Url& url, std::vector<std::string>& remarks) const {
  for (const std::string& ending : preview_endings()) {
    std::error_code failure;
    if (fs::exists(sidecar_path(path, ending), failure)) return;
  }
  try {
    write_preview(path, http_.get_text({.url = url}, kMaxPreviewBytes, "the preview"));
  } catch (const Error& error) {
    if (error.code() == kCancelled) throw;
    remarks.push_back(fmt::format("no preview: {}", error.what()));
  }
}

Imported Importer::take_file(const fs::path& file, bool enriches) const {
  const std::string name = safe_file_name(
      options_.name.empty() ? file.filename().string() : options_.name + extension_of(file.string()));
  ImportItem item{.label = file.string()};
  item.file_name = name;
  item.kind = options_.kind.empty() ? "lora" : options_.kind;
  Imported result;
  result.path = file;
  const std::string extension = extension_of(name);
  if (extension != ".safetensors" && !options_.takes_pickles)
    throw Error(kBadInput, "{}: is no safetensors file; --allow-pickle takes others too.", file.string());
  std::error_code failure;
  for (const Record& record : library_.find({.kind = item.kind}))
    if (fs::equivalent(library_.path_of(record), file, failure)) result.state = ImportState::kAlreadyHere;
  if (result.state == ImportState::kImported) {
    const fs::path folder = folder_of(place_of_kind(item.kind), library_.data());
    const fs::path part =
        (options_.to.empty() ? folder : options_.to) / fmt::format(".lowrank-{}.part", ::getpid());
    fs::create_directories(part.parent_path(), failure);
    if (!fs::copy_file(file, part, fs::copy_options::overwrite_existing, failure)) {
      discard_part(part);
      throw Error(kIo, "{}: cannot be copied to {} ({}).", file.string(), part.parent_path().string(),
                  failure.message());
    }
    const std::string architecture = check_content(part, item);
    result.path = target_folder(item, architecture) / name;
    result.bytes = fs::file_size(part, failure);
    if (!put_in_place(part, result.path)) {
      const bool is_same =
          hash_file(result.path, http_.stop()).sha256 == hash_file(part, http_.stop()).sha256;
      discard_part(part);
      if (!is_same)
        throw Error(kConflict, "{}: there is another file of this name; give another with --name.",
                    result.path.string());
      result.state = ImportState::kAlreadyHere;
    }
  }
  if (enriches) enrich_from_metadata(result.path, result.remarks);
  return result;
}

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
