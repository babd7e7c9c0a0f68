#include "server/fields/field_parameter.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <mutex>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "base/error.h"
#include "prompt/infotext.h"
#include "request/field_table.h"

namespace lowrank::server {
namespace {

// A field's value as JSON; null: absent.
template <typename Request>
Json field_json(const Request& request, const request::FieldRowOf<Request>& field) {
  return std::visit(
      [&](auto member) -> Json {
        using T = std::remove_cvref_t<decltype(request.*member)>;
        const auto& value = request.*member;
        if constexpr (std::is_same_v<T, request::Decimal>) {
          return value.is_integer ? Json(static_cast<std::int64_t>(value.value)) : Json(value.value);
        } else if constexpr (std::is_same_v<T, std::optional<request::Decimal>>) {
          return value ? Json(value->value) : Json();
        } else {
          return value;
        }
      },
      field.member);
}

// What a form shows: its first value, the ends of its slider, A1111's words for numbers.
template <typename Request>
Json field_form(const request::FieldRowOf<Request>& field) {
  const request::FormTraits& form = field.traits.form;
  Request fresh;
  if (!form.first_value.empty()) request::set_field(fresh, field, form.first_value, field.api);
  Json default_value = field_json(fresh, field);
  if (default_value == "" && field.traits.first_is_default) default_value = field.traits.choices().front();
  Json json = form_json(form, default_value);
  if (!field.words.empty()) json["labels"] = std::vector<std::string>(field.words.begin(), field.words.end());
  return json;
}

template <typename Request>
ParameterRow parameter_of(const request::FieldRowOf<Request>& field) {
  using request::Decimal;
  static const Request fresh;
  ParameterRow row{.name = field.api, .type = ParameterType::kString, .help = field.help};
  std::visit(
      [&](auto member) {
        using T = std::remove_cvref_t<decltype(fresh.*member)>;
        const auto& value = fresh.*member;
        if constexpr (std::is_same_v<T, std::string>) {
          row.default_value = kept(Json(value).dump());
          if (field.api.ends_with("prompt")) row.max_length = kMaxPromptBytes;
        } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          row.type = ParameterType::kStrings;
        } else if constexpr (std::is_same_v<T, bool>) {
          row.type = ParameterType::kBoolean;
          row.default_value = value ? "true" : "false";
        } else if constexpr (std::is_same_v<T, int> || std::is_same_v<T, std::int64_t>) {
          row.type = ParameterType::kInteger;
          row.default_value = kept(std::to_string(value));
        } else {
          row.type = ParameterType::kNumber;
          if constexpr (std::is_same_v<T, Decimal>)
            row.default_value = kept(prompt::number_text(value.value));
        }
      },
      field.member);
  if (row.type == ParameterType::kInteger || row.type == ParameterType::kNumber) {
    row.min = field.min;
    row.max = field.max;
  }
  row.form = kept(field_form(field).dump());
  return row;
}

}  // namespace

std::string_view kept(std::string text) {
  static std::deque<std::string> texts;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  return texts.emplace_back(std::move(text));
}

ParameterRow field_parameter(std::string_view api) {
  const request::FieldRow* field = request::field_by_api(api);
  LOWRANK_CHECK(field != nullptr);
  return parameter_of(*field);
}

ParameterRow extras_parameter(std::string_view api) {
  const auto fields = request::extras_field_table();
  const auto field = std::ranges::find(fields, api, &request::ExtrasFieldRow::api);
  LOWRANK_CHECK(field != fields.end());
  return parameter_of(*field);
}

Json form_json(const request::FormTraits& form, const Json& default_value) {
  Json json = {{"default", default_value}};
  if (std::isfinite(form.min)) json["minimum"] = form.min;
  if (std::isfinite(form.max)) json["maximum"] = form.max;
  if (form.step > 0) json["step"] = form.step;
  return json;
}

ParameterRow with_default(ParameterRow row, std::string_view default_value) {
  row.default_value = default_value;
  return row;
}

ParameterRow optional(ParameterRow row, std::string_view help) {
  row.default_value = "null";
  if (!help.empty()) row.help = help;
  return row;
}

ParameterRow needing(std::string_view needs, ParameterRow row) {
  row.needs = needs;
  return row;
}

}  // namespace lowrank::server
