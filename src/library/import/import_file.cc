// A file of this machine, taken into the collection.
#include <fmt/format.h>

#include <unistd.h>

#include "base/error.h"
#include "library/data_dir.h"
#include "library/import/file_name.h"
#include "library/import/importer.h"
#include "library/import/placing.h"
#include "library/import/previews.h"

namespace lowrank::library {

namespace fs = std::filesystem;

Imported Importer::import_file(const fs::path& file, bool enriches) const {
  const std::string name = safe_file_name(
      options_.name.empty() ? file.filename().string() : options_.name + extension_of(file.string()));
  ImportItem item{.label = file.string()};
  item.file_name = name;
  item.kind = options_.kind.empty() ? "lora" : options_.kind;
  Imported result;
  result.path = file;
  const std::string extension = extension_of(name);
  if (extension != ".safetensors" && !options_.takes_pickles)
    throw Error(kBadInput, "{}: is not a safetensors file; --allow-pickle also accepts others.",
                file.string());
  std::error_code failure;
  for (const Record& record : library_.find({.kind = item.kind}))
    if (fs::equivalent(library_.path_of(record), file, failure)) result.state = ImportState::kAlreadyHere;
  if (result.state == ImportState::kImported) {
    const fs::path folder = main_folder(item.kind, library_.data());
    const fs::path part =
        (options_.to.empty() ? folder : options_.to) / fmt::format(".lowrank-{}.part", ::getpid());
    fs::create_directories(part.parent_path(), failure);
    if (!fs::copy_file(file, part, fs::copy_options::overwrite_existing, failure)) {
      discard_part(part);
      throw Error(kIo, "{}: cannot be copied to {} ({}).", file.string(), part.parent_path().string(),
                  failure.message());
    }
    const std::string architecture = check_content(part, item.kind, item.file_name);
    result.path = target_folder(item, architecture) / name;
    result.bytes = fs::file_size(part, failure);
    if (!put_in_place(part, result.path)) {
      const bool is_same =
          hash_file(result.path, http_.stop()).sha256 == hash_file(part, http_.stop()).sha256;
      discard_part(part);
      if (!is_same)
        throw Error(kConflict, "{}: another file with this name exists; choose another name with --name.",
                    result.path.string());
      result.state = ImportState::kAlreadyHere;
    }
  }
  if (enriches) enrich_from_metadata(result.path, result.remarks);
  return result;
}

}  // namespace lowrank::library
