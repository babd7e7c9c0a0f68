#include "library/sidecar/card_edit.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"
#include "library/sidecar/lora_card.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

// Held while a sidecar is read and written. File systems without locks do without.
class FolderLock {
 public:
  explicit FolderLock(const fs::path& folder)
      : descriptor_(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (descriptor_ >= 0) ::flock(descriptor_, LOCK_EX);
  }
  ~FolderLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_;
};

ordered_json read_object(const fs::path& file) {
  std::error_code failure;
  if (!fs::exists(file, failure)) return ordered_json::object();
  ordered_json value = ordered_json::parse(read_file(file, kMaxSidecarBytes), nullptr, false);
  if (!value.is_object())
    throw Error(kBadInput, "{}: is not a JSON object and was left unchanged; fix or remove it.",
                file.string());
  return value;
}

void write_object(const fs::path& file, const ordered_json& value) {
  write_file(file, value.dump(4, ' ', false, ordered_json::error_handler_t::replace));
}

// Empty: null, "" and 0, which is how A1111 writes what is not set.
bool is_unset(const ordered_json& value) {
  return value.is_null() || (value.is_string() && value.get<std::string>().empty()) ||
         (value.is_number() && value.get<double>() == 0) || (value.is_array() && value.empty());
}

void apply(const CardEdit& edit, ordered_json& user) {
  const auto set = [&](const char* key, const auto& value) {
    if (!value) return;
    if (edit.only_missing && user.contains(key) && !is_unset(user[key])) return;
    user[key] = *value;
  };
  set("description", edit.description);
  set("sd version", edit.base_model);
  set("activation text", edit.activation_text);
  set("preferred weight", edit.preferred_weight);
  set("negative text", edit.negative_text);
  set("notes", edit.notes);
  set("source", edit.source);
  set("tags", edit.tags);
  set("rating", edit.rating);
  set("type", edit.type);
  set("subfamily", edit.subfamily);
  for (const char* key : {"rating", "type", "subfamily"})
    if (user.contains(key) && is_unset(user[key])) user.erase(key);
}

// The same words where LoRA Manager looks for them.
void keep_in_step(const fs::path& file, const CardEdit& edit) {
  std::error_code failure;
  if (edit.only_missing || !fs::exists(file, failure)) return;
  ordered_json manager = read_object(file);
  const ordered_json before = manager;
  if (edit.notes) manager["notes"] = *edit.notes;
  if (edit.tags) manager["tags"] = *edit.tags;
  if (edit.preferred_weight) {
    const bool has_tips = manager.contains("usage_tips") && manager["usage_tips"].is_string();
    ordered_json tips =
        ordered_json::parse(has_tips ? manager["usage_tips"].get<std::string>() : "{}", nullptr, false);
    if (!tips.is_object()) tips = ordered_json::object();
    tips["strength"] = *edit.preferred_weight;
    manager["usage_tips"] = tips.dump();
  }
  if (manager != before) write_object(file, manager);
}

}  // namespace

fs::path edit_card(const fs::path& model, const CardEdit& edit, const fs::path& overlay, Beside beside) {
  const bool is_writable =
      beside == Beside::kYes &&
      ::access(model.parent_path().empty() ? "." : model.parent_path().c_str(), W_OK) == 0;
  if (!is_writable && overlay.empty())
    throw Error(kIo, "{}: the folder is not writable, and there is no home folder to keep notes in instead.",
                model.parent_path().string());
  const fs::path file = is_writable ? sidecar_path(model, ".json") : overlay;
  if (!is_writable) {
    std::error_code failure;
    fs::create_directories(overlay.parent_path(), failure);
  }
  const FolderLock lock(file.parent_path());
  ordered_json user = read_object(file);
  apply(edit, user);
  write_object(file, user);
  if (is_writable) keep_in_step(sidecar_path(model, ".metadata.json"), edit);
  return file;
}

}  // namespace lowrank::library
