// What the site says of a file, written into the files beside it.
#include <fmt/format.h>

#include "base/atomic_file.h"
#include "base/error.h"
#include "library/import/importer.h"
#include "library/import/placing.h"
#include "library/import/previews.h"
#include "library/sidecar/card_edit.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// A1111 knows these words only.
std::string sd_version(const std::string& architecture) {
  return architecture == "SD1" || architecture == "SD2" || architecture == "SDXL" ? architecture : "";
}

}  // namespace

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
    if (item.kind == "lora" && !options_.type.empty()) edit.type = options_.type;
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

}  // namespace lowrank::library
