#include "pipeline/generate/request_check.h"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "base/error.h"
#include "formats/checkpoint/checkpoint.h"
#include "formats/checkpoint/partial_checkpoint.h"
#include "formats/lora/lora_file.h"
#include "pipeline/generate/complete_request.h"
#include "pipeline/generate/hires.h"
#include "pipeline/generate/precision.h"
#include "pipeline/generate/sampling_plan.h"
#include "pipeline/resident/tiny_autoencoders.h"
#include "prompt/grammar/extra_networks.h"
#include "prompt/prompt.h"
#include "prompt/styles.h"
#include "request/names.h"

namespace lowrank::pipeline {
namespace {

class RequestCheck {
 public:
  RequestCheck(const Resources& resources, request::FaultList found)
      : faults(std::move(found)), resources_(resources), upscalers_(resources.upscalers) {}

  request::FaultList faults;

  void check(const request::GenerationRequest& request) {
    faults.add_from([&] { request::check_request(request); });
    faults.add_from([&] { plan_sampling(request, formats::PredictionType::kEpsilon); });
    if (request.enable_hr)
      faults.add_from([&] { plan_sampling(second_request(request), formats::PredictionType::kEpsilon); });
    faults.add_from([&] { check_vae_methods(request); });
    faults.add_from([&] { compute_type(request); });
    if (!prompt::emphasis_from_label(request.emphasis))
      faults.add(fmt::format("unknown emphasis mode '{}'; choose Original, No norm, Ignore or None.",
                             request.emphasis));
    check_models(request);
    if (request.enable_hr)
      is_good("hires upscaler " + request.hr_upscaler,
              [&] { upscalers_.check(request.hr_upscaler, request::latent_upscaler_names()); });
    check_upscaler(request.upscaler_for_img2img);
    check_texts(request);
    ++number_;
  }

  void check_compared_loras() {
    for (const auto& [tag, cells] : cells_)
      if (cells.size() < number_) check_lora(tag.second);
  }

 private:
  void check_lora(const std::string& name) {
    is_good("lora " + name, [&] { formats::open_lora(resources_.lora(name)); });
  }

  // Whether `look` throws no Error; what it throws is a fault. A thing is looked at once, however many requests name it.
  bool is_good(const std::string& key, const std::function<void()>& look) {
    const auto [known, is_new] = known_.try_emplace(key, true);
    if (is_new) {
      request::FaultList found;
      found.add_from(look);
      known->second = found.empty();
      faults.add(found.sentence());
    }
    return known->second;
  }

  void check_models(const request::GenerationRequest& request) {
    std::vector<std::string> names = {request.checkpoint};
    const auto add = [&](const std::string& name) {
      if (names_file(name) && name != "Use same checkpoint") names.push_back(name);
    };
    if (request.enable_hr) add(request.hr_checkpoint);
    add(request.refiner_checkpoint);
    for (const std::string& name : names) {
      const auto path = [&] { return resources_.checkpoint(name); };
      if (!is_good("checkpoint " + name, [&] { formats::open_without_vae(path()); })) continue;
      is_good("vae " + request.vae + "\n" + name, [&] {
        if (const auto file = resources_.vae(request.vae, path())) {
          formats::open_vae(*file);
        } else {
          formats::open_checkpoint(path());
        }
      });
    }
  }

  void check_upscaler(const std::string& name) {
    if (!name.empty()) is_good("upscaler " + name, [&] { upscalers_.check(name); });
  }

  void check_texts(const request::GenerationRequest& request) {
    std::vector<prompt::Style> styles;
    if (!request.styles.empty()) {
      if (!is_good("styles", [&] { prompt::read_styles(resources_.styles); })) return;
      styles = prompt::read_styles(resources_.styles);
    }
    std::vector<std::string> prompts = {request.prompt};
    if (request.enable_hr && !request.hr_prompt.empty()) prompts.push_back(request.hr_prompt);
    for (const std::string& text : prompts) {
      const auto styled = prompt::apply_styles(text, "", styles, request.styles);
      for (const std::string& name : styled.unknown) faults.add(unknown_style(name, resources_.styles));
      if (request.disable_extra_networks) continue;
      const prompt::ExtraNetworks networks = prompt::parse_extra_networks(styled.prompt);
      std::set<std::string> seen;
      for (const auto& tag : networks.loras) {
        const std::string written = fmt::format("{}", fmt::join(networks.tags[tag.tag].items, ":"));
        if (seen.insert(written).second) cells_[{written, tag.name}].insert(number_);
      }
      if (request.allow_missing_loras) continue;
      for (const auto& tag : networks.loras) check_lora(tag.name);
    }
  }

  const Resources& resources_;
  Upscalers upscalers_;
  std::size_t number_ = 0;  // of the request
  // A tag as written and its name: the requests in which it stands.
  std::map<std::pair<std::string, std::string>, std::set<std::size_t>> cells_;
  std::map<std::string, bool> known_;
};

}  // namespace

void check_requests(std::span<const request::GenerationRequest> requests, const Resources& resources,
                    request::FaultList found, bool compares) {
  RequestCheck check(resources, std::move(found));
  for (const request::GenerationRequest& request : requests) check.check(request);
  if (compares) check.check_compared_loras();
  check.faults.throw_if_any();
}

}  // namespace lowrank::pipeline
