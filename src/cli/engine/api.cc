// The public C++ API, in the engine library's own sources: only here do pipeline and data folder meet, and
// only what is compiled into the library itself is exported.
#include <fmt/format.h>

#include <utility>

#include "adapter/report.h"
#include "base/error.h"
#include "cli/engine/commands.h"
#include "cli/engine/resources.h"
#include "image/codec/codec.h"
#include "kernels/simd_limit.h"
#include "lowrank/lowrank.h"
#include "pipeline/session.h"
#include "request/field_table.h"

namespace lowrank {
namespace {

Failure::Kind kind_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kBadInput:
      return Failure::Kind::kBadInput;
    case ErrorCode::kNotFound:
      return Failure::Kind::kNotFound;
    case ErrorCode::kUnsupported:
      return Failure::Kind::kUnsupported;
    case ErrorCode::kConflict:
      return Failure::Kind::kConflict;
    case ErrorCode::kIo:
      return Failure::Kind::kIo;
    case ErrorCode::kCancelled:
      return Failure::Kind::kCancelled;
    case ErrorCode::kInternal:
      break;
  }
  return Failure::Kind::kInternal;
}

// Runs `work`; whatever it throws leaves as a Failure.
template <typename Work>
auto translated(const Work& work) {
  try {
    return work();
  } catch (const Failure&) {
    throw;
  } catch (const Error& error) {
    throw Failure(kind_of(error.code()), error.what());
  } catch (const std::exception& error) {
    throw Failure(Failure::Kind::kInternal, error.what());
  }
}

request::GenerationRequest request_of(const Generation& asked) {
  request::GenerationRequest request;
  request.prompt = asked.prompt;
  request.negative_prompt = asked.negative_prompt;
  request.steps = asked.steps;
  request.sampler = asked.sampler;
  request.scheduler = asked.scheduler;
  request.cfg_scale = request::Decimal(asked.cfg_scale);
  request.seed = asked.seed;
  request.width = asked.width;
  request.height = asked.height;
  request.batch_size = asked.batch_size;
  request.batch_count = asked.batch_count;
  request.clip_skip = asked.clip_skip;
  request.checkpoint = asked.checkpoint;
  request.vae = asked.vae;
  request.allow_missing_loras = asked.allow_missing_loras;
  for (const auto& [name, value] : asked.more) {
    const request::FieldRow* row = request::field_by_api(name);
    if (row == nullptr)
      throw Error(kBadInput, "unknown field '{}' in a generation request; check the spelling.", name);
    request::set_field(request, *row, value, name);
  }
  return request;
}

LoraReport report_of(const adapter::ApplyReport& report) {
  return {.name = report.name,
          .path = report.path,
          .base_model = report.base_model,
          .applied = static_cast<int>(report.keys_applied),
          .skipped = static_cast<int>(report.keys_skipped),
          .unknown = static_cast<int>(report.keys_unknown),
          .modules_applied = static_cast<int>(report.unet.applied + report.text_encoder.applied),
          .modules = static_cast<int>(report.unet.modules + report.text_encoder.modules),
          .relative_change = report.relative,
          .notes = report.notes,
          .text = adapter::text(report)};
}

Result result_of(pipeline::GenerationResult made) {
  Result result;
  for (auto& picture : made.pictures) {
    Picture& out = result.pictures.emplace_back();
    out.width = picture.picture.width;
    out.height = picture.picture.height;
    out.rgb = std::move(picture.picture.rgb);
    out.parameters = std::move(picture.metadata);
    out.seed = picture.seed;
    out.subseed = picture.subseed;
  }
  for (const auto& report : made.loras) result.loras.push_back(report_of(report));
  for (const auto& missing : made.missing_loras)
    result.missing_loras.push_back({missing.name, missing.reason});
  result.warnings = std::move(made.warnings);
  return result;
}

}  // namespace

struct Session::Engine {
  pipeline::Session session;
};

Session::Session(const SessionSettings& settings)
    : engine_(translated([&] {
        kernels::limit_simd_as_asked();
        return std::unique_ptr<Engine>(new Engine{
            pipeline::Session(cli::resources(settings.data_dir), cli::session_options(settings.threads))});
      })) {}
Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

Result Session::generate(const Generation& generation, const std::function<void(const StepEvent&)>& on_step,
                         std::stop_token stop) {
  return translated([&] {
    pipeline::Listener listener;
    if (on_step) {
      listener.on_step = [&](const pipeline::StepEvent& event) {
        on_step({.step = event.step,
                 .steps = event.steps,
                 .batch = event.batch,
                 .batches = event.batches,
                 .seconds = event.seconds});
      };
    }
    return result_of(engine_->session.generate(request_of(generation), listener, std::move(stop)));
  });
}

void Picture::save(const std::string& path, int quality) const {
  translated([&] {
    const std::string extension = std::filesystem::path(path).extension().string();
    image::save_picture(path, {.width = width, .height = height, .rgb = rgb},
                        {.format = image::picture_format(extension.empty() ? "png" : extension.substr(1)),
                         .quality = quality,
                         .parameters = parameters});
  });
}

}  // namespace lowrank
