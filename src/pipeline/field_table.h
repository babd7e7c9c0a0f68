// The one list of request fields: how A1111's API calls them, their flag on the command line, their label in
// a picture's metadata, and their range. CLI, server and infotext read it, so that a field added here exists
// everywhere. Needs no engine.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "pipeline/request.h"

namespace lowrank::pipeline {

using FieldMember =
    std::variant<std::string GenerationRequest::*, std::vector<std::string> GenerationRequest::*,
                 int GenerationRequest::*, std::int64_t GenerationRequest::*, Decimal GenerationRequest::*,
                 std::optional<Decimal> GenerationRequest::*, bool GenerationRequest::*>;

struct FieldRow {
  std::string_view api;       // A1111's name in requests or override_settings; unique
  std::string_view flag;      // long option without dashes; unique
  std::string_view infotext;  // label in the metadata; "" when it is not written
  FieldMember member;
  double min, max;  // of numbers, inclusive; unused for others
  std::string_view help;
};

std::span<const FieldRow> field_table();

// Rows by one of their names; nullptr when there is none.
const FieldRow* field_by_api(std::string_view name);
const FieldRow* field_by_flag(std::string_view name);
const FieldRow* field_by_infotext(std::string_view label);

// Sets a field from text: numbers in decimal, booleans as true/false/1/0 in any case; a list takes the text
// as one more item. Throws Error(kBadInput) naming `label` when the text is none of its type or the number is
// out of range.
void set_field(GenerationRequest& request, const FieldRow& row, std::string_view text,
               std::string_view label);

// The field as the metadata writes it; nullopt for an absent optional.
std::optional<std::string> field_text(const GenerationRequest& request, const FieldRow& row);

}  // namespace lowrank::pipeline
