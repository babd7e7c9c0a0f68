#include "server/options/option_store.h"

#include <fmt/format.h>

#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/log_line.h"
#include "request/field_table.h"
#include "request/preview_types.h"
#include "server/http/refusal.h"
#include "server/options/option_table.h"

namespace lowrank::server {
namespace {

// What other programs store here stays within reason.
constexpr std::size_t kMaxUnknown = 256, kMaxUnknownBytes = 64 * 1024;

Json defaults() {
  Json values = Json::object();
  for (const OptionRow& row : option_table())
    values[std::string(row.parameter.name)] = Json::parse(row.parameter.default_value);
  return values;
}

void check_choice(const std::string& name, const Json& value, Faults& faults) {
  const auto is_one_of = [&](const std::vector<std::string_view>& choices) {
    for (const std::string_view choice : choices)
      if (value == choice) return;
    std::string list;
    for (const std::string_view choice : choices)
      list += fmt::format("{}{}", list.empty() ? "" : ", ", choice);
    faults.add("body", name, fmt::format("value is not one of {}", list), "value_error.const");
  };
  if (name == "samples_format" || name == "grid_format") is_one_of({"png", "jpg", "jpeg", "webp"});
  if (name == "live_previews_image_format") is_one_of({"png", "jpg", "jpeg", "webp"});
  if (name == "show_progress_type") is_one_of({request::kPreviewTypes.begin(), request::kPreviewTypes.end()});
  const request::FieldRow* field = request::field_by_api(name);
  if (field != nullptr && field->traits.only_choices) {
    const auto choices = field->traits.choices();
    is_one_of({choices.begin(), choices.end()});
  }
}

void apply(Json& values, const RequestJson& changes, Faults& faults) {
  if (!changes.is_object()) {
    faults.add("body", "", "value is not a valid dict", "type_error.dict");
    return;
  }
  for (const auto& [name, value] : changes.items()) {
    const OptionRow* row = find_option(name);
    if (row == nullptr) {
      if (value.dump(-1, ' ', false, RequestJson::error_handler_t::replace).size() > kMaxUnknownBytes ||
          (!values.contains(name) && values.size() > option_table().size() + kMaxUnknown)) {
        faults.add("body", name.substr(0, 100), "an unknown option of this size is not stored",
                   "value_error");
        continue;
      }
      values[name] = value;
      continue;
    }
    if (value.is_null() || row->is_restricted) continue;
    const Json read = read_parameters(std::span(&row->parameter, 1), RequestJson{{name, value}}, faults);
    check_choice(name, read.at(name), faults);
    values[name] = read.at(name);
  }
}

}  // namespace

OptionStore::OptionStore(std::filesystem::path file) : file_(std::move(file)), values_(defaults()) {
  std::error_code failure;
  if (!std::filesystem::exists(file_, failure)) return;
  const RequestJson stored = RequestJson::parse(read_file(file_), nullptr, false);
  Faults faults;
  Json values = values_;
  apply(values, stored, faults);
  if (!stored.is_object() || !faults.empty()) {
    const auto aside = std::filesystem::path(file_.string() + ".damaged");
    log_line(stderr, "warning: {} cannot be read; it was saved as {} and the defaults are used.\n",
             file_.string(), aside.string());
    std::filesystem::rename(file_, aside, failure);
    return;
  }
  values_ = std::move(values);
}

Json OptionStore::all() const {
  const std::lock_guard lock(mutex_);
  return values_;
}

Json OptionStore::get(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found = values_.find(std::string(name));
  return found == values_.end() ? Json() : *found;
}

std::string OptionStore::text(std::string_view name) const {
  const Json value = get(name);
  return value.is_string() ? value.get<std::string>() : "";
}

bool OptionStore::flag(std::string_view name) const {
  const Json value = get(name);
  return value.is_boolean() && value.get<bool>();
}

Json OptionStore::with(const RequestJson& changes) const {
  Faults faults;
  Json values = all();
  apply(values, changes, faults);
  faults.throw_if_any();
  return values;
}

void OptionStore::set(const RequestJson& changes) {
  Faults faults;
  const std::lock_guard lock(mutex_);
  Json values = values_;
  apply(values, changes, faults);
  faults.throw_if_any();
  if (values == values_) return;
  write_file(file_, json_text(values, 2));
  values_ = std::move(values);
}

}  // namespace lowrank::server
