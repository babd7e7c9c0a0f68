#include "server/queue/job_kind.h"

#include <array>

#include "base/error.h"

namespace lowrank::server {
namespace {

constexpr std::array kRows = {
    JobKindRow{JobKind::kTextToImage, "txt2img", Lane::kEngine},
    JobKindRow{JobKind::kImageToImage, "img2img", Lane::kEngine},
    JobKindRow{JobKind::kExtras, "extras", Lane::kEngine},
    JobKindRow{JobKind::kTrain, "train", Lane::kEngine},
    JobKindRow{JobKind::kImport, "import", Lane::kImports},
};

const JobKindRow& row_of(JobKind kind) {
  for (const JobKindRow& row : kRows)
    if (row.kind == kind) return row;
  LOWRANK_CHECK(false);
}

}  // namespace

std::span<const JobKindRow> job_kind_table() {
  return kRows;
}

std::string_view job_kind_name(JobKind kind) {
  return row_of(kind).name;
}

Lane lane_of(JobKind kind) {
  return row_of(kind).lane;
}

std::optional<JobKind> job_kind_named(std::string_view name) {
  for (const JobKindRow& row : kRows)
    if (row.name == name) return row.kind;
  return std::nullopt;
}

std::string job_kind_choices() {
  std::string choices;
  for (const JobKindRow& row : kRows) {
    if (!choices.empty()) choices += &row == &kRows.back() ? " or " : ", ";
    choices += row.name;
  }
  return choices;
}

}  // namespace lowrank::server
