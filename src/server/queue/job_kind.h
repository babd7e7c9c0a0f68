// The kinds of jobs. Adding one is a row in job_kind.cc; the compiler names each `switch` over them that lacks it: how its
// request is checked (routes/generate.cc) and who carries it out (engine/engine.cc).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lowrank::server {

enum class JobKind { kTextToImage, kImageToImage, kExtras, kTrain, kImport };

// Who works on a job: the engine on one after the other, the imports beside it.
enum class Lane { kEngine, kImports };

struct JobKindRow {
  JobKind kind;
  std::string_view name;  // in requests, answers and the database; never changed after release
  Lane lane;
};
std::span<const JobKindRow> job_kind_table();

std::string_view job_kind_name(JobKind kind);
Lane lane_of(JobKind kind);
// nullopt: there is no such kind.
std::optional<JobKind> job_kind_named(std::string_view name);
// "txt2img, img2img, … or import".
std::string job_kind_choices();

}  // namespace lowrank::server
