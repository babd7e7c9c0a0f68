#include "pipeline/generate/complete_request.h"

#include <algorithm>

#include "base/error.h"
#include "pipeline/generate/hires.h"
#include "pipeline/resident/tiny_autoencoders.h"
#include "prompt/styles.h"
#include "request/fault_list.h"

namespace lowrank::pipeline {
namespace {

// A1111's ways to say "as in the first pass".
bool is_same(const std::string& name, std::string_view word) {
  return name.empty() || name == word;
}

void choose_size(request::GenerationRequest& r, const LoadedModel& model, int cell) {
  // Of old: the first pass's size beside the target.
  if (r.enable_hr && (r.firstphase_width > 0 || r.firstphase_height > 0)) {
    r.hr_resize_x = r.width > 0 ? r.width : model.native_size;
    r.hr_resize_y = r.height > 0 ? r.height : model.native_size;
    r.width = r.firstphase_width > 0 ? r.firstphase_width : r.hr_resize_x;
    r.height = r.firstphase_height > 0 ? r.firstphase_height : r.hr_resize_y;
  }
  r.firstphase_width = r.firstphase_height = 0;
  const bool takes_picture = r.is_img2img() && !(r.mask && r.inpaint_full_res);
  const auto own = [&](int side) { return std::max(cell, side / cell * cell); };
  if (r.width == 0) r.width = takes_picture ? own(r.init_images.front().width) : model.native_size;
  if (r.height == 0) r.height = takes_picture ? own(r.init_images.front().height) : model.native_size;
  if (r.width % cell != 0 || r.height % cell != 0)
    throw Error(kBadInput,
                "the size {}x{} does not fit this checkpoint: width and height must be multiples of {}.",
                r.width, r.height, cell);
  if (!r.enable_hr) return;
  const HiresSize size = hires_size(r, cell);
  const int width = size.width / cell - size.cut_x, height = size.height / cell - size.cut_y;
  constexpr int kMaxCells = 8192 / 8;
  if (width < 1 || height < 1 || width > kMaxCells || height > kMaxCells)
    throw Error(kBadInput, "hires fix would make a picture of {}x{} pixels, but each side must be {} to {}.",
                size.width, size.height, cell, kMaxCells * cell);
}

void choose_batch(request::GenerationRequest& r) {
  const auto count = static_cast<int>(r.init_images.size());
  if (count <= 1) return;
  if (count > r.batch_size)
    throw Error(kBadInput,
                "{} init pictures were given for a batch of {}; give one, or one per picture of the batch.",
                count, r.batch_size);
  r.batch_size = count;
}

void apply_styles(request::GenerationRequest& r, const std::filesystem::path& file,
                  std::vector<std::string>& warnings) {
  if (r.hr_prompt.empty()) r.hr_prompt = r.prompt;
  if (r.hr_negative_prompt.empty()) r.hr_negative_prompt = r.negative_prompt;
  const auto styles = prompt::read_styles(file);
  const auto apply = [&](std::string& positive, std::string& negative) {
    auto styled = prompt::apply_styles(positive, negative, styles, r.styles);
    request::FaultList unknown;
    for (const std::string& name : styled.unknown) unknown.add(unknown_style(name, file));
    if (!unknown.empty()) throw Error(kNotFound, "{}", unknown.sentence());
    positive = std::move(styled.prompt);
    negative = std::move(styled.negative_prompt);
    for (std::string& warning : styled.warnings)
      if (std::ranges::find(warnings, warning) == warnings.end()) warnings.push_back(std::move(warning));
  };
  apply(r.prompt, r.negative_prompt);
  apply(r.hr_prompt, r.hr_negative_prompt);
  r.styles.clear();
}

}  // namespace

request::GenerationRequest complete_request(const request::GenerationRequest& asked, const LoadedModel& model,
                                            const std::filesystem::path& styles,
                                            std::vector<std::string>& warnings) {
  request::GenerationRequest request = asked;
  request.enable_hr = request.enable_hr && !request.is_img2img();
  choose_size(request, model, static_cast<int>(model.vae->downscale()));
  choose_batch(request);
  request.checkpoint = model.name();
  request.vae = model.vae_path.filename().string();
  name_vae_methods(request);
  apply_styles(request, styles, warnings);
  return request;
}

std::string unknown_style(const std::string& name, const std::filesystem::path& styles) {
  return fmt::format("no style '{}' in {}; check the name, or add it there.", name, styles.string());
}

request::GenerationRequest second_request(const request::GenerationRequest& request) {
  request::GenerationRequest second = request;
  if (!is_same(request.hr_sampler, "Use same sampler")) second.sampler = request.hr_sampler;
  if (!is_same(request.hr_scheduler, "Use same scheduler")) second.scheduler = request.hr_scheduler;
  if (request.hr_second_pass_steps > 0) second.steps = request.hr_second_pass_steps;
  return second;
}

bool names_file(std::string_view name) {
  return !name.empty() && name != "None" && name != "none";
}

bool has_refiner(const request::GenerationRequest& request) {
  const double at = request.refiner_switch_at.value;
  return names_file(request.refiner_checkpoint) && at > 0 && at < 1;
}

}  // namespace lowrank::pipeline
