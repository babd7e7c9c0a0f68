#include "server/requests/generation_limits.h"

#include <fmt/format.h>

#include <algorithm>

#include "prompt/prompt.h"
#include "server/http/refusal.h"

namespace lowrank::server {
namespace {

// Of one picture, hires fix included.
std::int64_t pixels_of(const request::GenerationRequest& request) {
  std::int64_t pixels = std::int64_t{request.width} * request.height;
  if (!request.enable_hr) return pixels;
  const double width = request.hr_resize_x > 0 ? request.hr_resize_x : request.width * request.hr_scale.value;
  const double height =
      request.hr_resize_y > 0 ? request.hr_resize_y : request.height * request.hr_scale.value;
  return std::max(pixels, static_cast<std::int64_t>(width * height));
}

// Before the request waits for its turn. Styles come later: the engine looks at what they make of it.
void check_prompt(const char* field, const prompt::Request& texts, Faults& faults) {
  static const prompt::Tokenizer tokenizer;
  try {
    prompt::parse(texts, tokenizer);
  } catch (const Error& error) {
    faults.add("body", field, error.what(), "value_error");
  }
}

}  // namespace

void check_limits(const request::GenerationRequest& request, const GenerationLimits& limits) {
  Faults faults;
  const auto too_much = [&](const char* field, auto value, auto limit, const char* what) {
    if (value > limit)
      faults.add("body", field,
                 fmt::format("{} {} were requested, but this server allows {}", value, what, limit),
                 "value_error.number.not_le");
  };
  too_much("steps", request.steps, limits.max_steps, "steps");
  too_much("n_iter", request.picture_count(), limits.max_pictures, "pictures");
  const std::int64_t pixels = pixels_of(request);
  too_much("width", pixels, limits.max_pixels, "pixels");
  too_much("batch_size", pixels * request.batch_size, limits.max_batch_pixels, "pixels at once");
  const int steps = std::max(1, request.steps);
  const prompt::Settings settings{.limits = limits.prompt};
  const auto check = [&](const char* field, const char* negative_field, const std::string& text,
                         const std::string& negative) {
    check_prompt(field, {.prompt = text, .steps = steps, .settings = settings}, faults);
    check_prompt(negative_field, {.negative_prompt = negative, .steps = steps, .settings = settings}, faults);
  };
  check("prompt", "negative_prompt", request.prompt, request.negative_prompt);
  if (request.enable_hr)
    check("hr_prompt", "hr_negative_prompt", request.hr_prompt, request.hr_negative_prompt);
  faults.throw_if_any();
}

void check_limits(const request::Series& series, const GenerationLimits& limits) {
  std::int64_t pictures = 0, grid_pixels = 0;
  for (const request::GenerationRequest& request : series.requests) {
    check_limits(request, limits);
    request::check_request(request);
    pictures += request.picture_count();
    grid_pixels += pixels_of(request) * request.picture_count();
  }
  if (pictures > limits.max_pictures)
    refuse_field("script_args", fmt::format("{} pictures were requested, but this server allows {}", pictures,
                                            limits.max_pictures));
  if (series.grid && grid_pixels > limits.max_grid_pixels)
    refuse_field("script_args", fmt::format("the grid would have {} pixels, but this server allows {}",
                                            grid_pixels, limits.max_grid_pixels));
}

}  // namespace lowrank::server
