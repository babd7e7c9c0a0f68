// From what a user names to files in their places: the sites are asked what there is, files are fetched and
// proven, put into the folder of their type and base model, and told about in the files beside them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "library/import/civitai.h"
#include "library/import/download.h"
#include "library/import/hugging_face.h"
#include "library/import/tokens.h"
#include "library/index/hashing.h"
#include "library/library.h"

namespace lowrank::library {

inline constexpr int kUsualParallelDownloads = 3;  // where nobody said otherwise

struct ImportOptions {
  std::filesystem::path to = {};  // folder instead of the one of type and base model
  std::string name = {};          // file name without extension, for a single file
  std::string kind = {};          // of the place table, where the site does not tell: "lora"
  bool takes_pickles = false;
  bool with_preview = true;
  bool is_flat = false;        // straight into models/Lora
  bool fetches_again = false;  // also what is here already
  std::string type = {};       // of a LoRA, instead of what the site says
  std::uint64_t max_bytes = kUsualMaxGb * 1'000'000'000;
};

// One file to fetch, with all that is known of it.
struct ImportItem {
  Site site = Site::kCivitai;
  std::string label = {};  // for messages: "fox.safetensors of owner/repo"
  Url url = {};
  std::string file_name = {};  // safe
  std::string subfolder = {};  // of a layout that keeps its folders ("repo/unet"); "" none
  std::string kind = "lora";
  std::optional<std::uint64_t> size = {};  // exactly
  std::string sha256 = {};
  std::string base_model = {}, type = {};  // as the site says; type of LoRAs
  std::optional<CivitaiVersion> civitai = {};
  std::string trigger = {}, description = {}, source = {};
  std::optional<Url> preview = {};
  std::vector<std::pair<Url, std::string>> companions =
      {};                           // small files that go beside it, with their names
  std::filesystem::path here = {};  // the same file in the collection; "" none is known
};

enum class ImportState { kImported, kAlreadyHere };
struct Imported {
  ImportState state = ImportState::kImported;
  std::filesystem::path path = {};
  std::uint64_t bytes = 0;
  FileHashes hashes = {};  // of a file that was fetched
  bool was_resumed = false;
  std::vector<std::string> remarks = {};  // what did not go as wished without spoiling it
};

// Looks at the folders again and gives the records of what was imported, with the hashes that are known; nullopt for
// what lies outside of the collection.
std::vector<std::optional<Record>> index_imports(Library& library, const std::vector<Imported>& imports);

class Importer {
 public:
  Importer(const Library& library, Http http, ImportOptions options);

  // Asks the site what a source means. Throws Error.
  std::vector<ImportItem> plan(const ImportSource& source) const;
  // Fetches one item. Several threads may each fetch one. Throws Error.
  Imported fetch(const ImportItem& item, const DownloadProgress& progress) const;

  // A file of this machine, copied in. `enriches`: writes what its metadata say beside it, also when it lies
  // in the collection already.
  Imported import_file(const std::filesystem::path& file, bool enriches) const;
  // Asks Civitai for a file that is here, by its SHA-256, and writes what it says beside it. False: it knows
  // none.
  bool enrich_from_civitai(Record record, std::vector<std::string>& remarks) const;

  // The newest version of a LoRA's page with the same base model, when it is newer than the one here.
  struct Update {
    std::string name, url, published;
  };
  std::optional<Update> newer_version(const Record& record) const;

  const Http& http() const { return http_; }

 private:
  std::vector<ImportItem> plan_source(const ImportSource& source) const;
  std::vector<ImportItem> plan_civitai(CivitaiVersion version) const;
  std::vector<ImportItem> plan_hugging_face(const HuggingFaceSource& source) const;
  CivitaiVersion civitai_version(const std::string& path, const std::string& what) const;
  std::optional<CivitaiModel> civitai_model(std::int64_t id) const;
  nlohmann::json ask(Site site, const std::string& path, const std::string& what) const;
  std::filesystem::path target_folder(const ImportItem& item, const std::string& architecture) const;
  void write_beside(const std::filesystem::path& path, const ImportItem& item,
                    std::vector<std::string>& remarks) const;
  void save_preview(const std::filesystem::path& path, const Url& url,
                    std::vector<std::string>& remarks) const;

  const Library& library_;
  Http http_;
  ImportOptions options_;
};

}  // namespace lowrank::library
