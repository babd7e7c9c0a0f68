// What good answers hold: one row per kind of object, one per member, from which /openapi.json describes the routes
// (route_table.cc) and the web page's types are generated (web/tools/api_types.mjs). tests/server/program/answers_test.py
// compares them with what the server answers.
#pragma once

#include <span>
#include <string_view>

#include "server/json.h"

namespace lowrank::server {

struct MemberRow {
  std::string_view name;  // "loss?": it may be absent
  std::string_view type;  // type_text.h
  std::string_view help = {};
};

struct AnswerRow {
  std::string_view name;
  std::span<const MemberRow> members;
  std::string_view base = {};  // another row, all of whose members it has too
  std::string_view help = {};
};

std::span<const AnswerRow> answer_table();

// The rows as JSON Schema, by their names.
Json answer_schemas();

}  // namespace lowrank::server
