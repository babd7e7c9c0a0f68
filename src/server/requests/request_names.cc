#include "server/requests/request_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/text/text.h"
#include "sampling/sampler_table.h"
#include "sampling/schedules.h"

namespace lowrank::server {

std::string without_placeholder(const std::string& name) {
  for (const char* word : {"Use same checkpoint", "Use same sampler", "Use same scheduler", "None", "none"})
    if (name == word) return "";
  return name;
}

void check_sampler(const std::string& name, const std::string& schedule) {
  const auto choice = sampling::resolve_sampler(name, schedule, sampling::AutomaticSchedule::kKeepNamed);
  if (!choice.sampler_known) throw Refusal(400, "Sampler not found");
  if (!choice.schedule_known) throw Refusal(400, "Scheduler not found");
}

std::string unknown_hr_sampler(const request::GenerationRequest& request) {
  if (request.hr_sampler.empty() && request.hr_scheduler.empty()) return "";
  const auto choice = sampling::resolve_sampler(request.hr_sampler, request.hr_scheduler,
                                                sampling::AutomaticSchedule::kKeepNamed);
  if (!choice.sampler_known)
    return fmt::format("hr_sampler_name: sampler '{}' not found", request.hr_sampler.substr(0, 200));
  if (!choice.schedule_known)
    return fmt::format("hr_scheduler: scheduler '{}' not found", request.hr_scheduler.substr(0, 200));
  return "";
}

std::string checkpoint_path(ModelCatalog& catalog, const std::string& name, const char* field, Match match,
                            Faults& faults) {
  if (const auto found = catalog.find_checkpoint(name, match)) return found->path.string();
  const std::string message = fmt::format("model '{}' not found", name.substr(0, 200));
  if (std::string_view(field) == "sd_model_checkpoint") throw Refusal(422, message);
  faults.add("body", field, message, "value_error");
  return "";
}

std::string vae_path(ModelCatalog& catalog, const std::string& name, const char* field, Faults& faults) {
  const std::string lower = lowrank::lower(name);
  if (lower.empty() || lower == "automatic" || lower == "auto") return "Automatic";
  if (lower == "none") return "None";
  if (const auto file = catalog.find_vae(name)) return file->string();
  faults.add("body", field, fmt::format("VAE '{}' not found", name.substr(0, 200)), "value_error");
  return "";
}

namespace {

void resolve_models(ModelCatalog& catalog, request::GenerationRequest& request,
                    const request::GenerationRequest& base, Faults& faults) {
  for (std::string request::GenerationRequest::*model :
       {&request::GenerationRequest::checkpoint, &request::GenerationRequest::refiner_checkpoint,
        &request::GenerationRequest::hr_checkpoint}) {
    if (request.*model == base.*model) continue;
    const std::string name = without_placeholder(request.*model);
    request.*model = name.empty() ? "" : checkpoint_path(catalog, name, "script_args", Match::kPart, faults);
  }
  if (request.checkpoint.empty()) request.checkpoint = base.checkpoint;
  if (request.vae != base.vae) request.vae = vae_path(catalog, request.vae, "script_args", faults);
}

void note_once(const std::string& fault, std::vector<std::string>& faults) {
  if (!fault.empty() && std::ranges::find(faults, fault) == faults.end()) faults.push_back(fault);
}

void note_sampler(const std::string& name, const std::string& schedule, std::vector<std::string>& unknown) {
  const auto choice = sampling::resolve_sampler(name, schedule, sampling::AutomaticSchedule::kKeepNamed);
  if (!choice.sampler_known)
    note_once(fmt::format("Sampler '{}' not found", name.substr(0, 200)), unknown);
  else if (!choice.schedule_known)
    note_once(fmt::format("Scheduler '{}' not found", schedule.substr(0, 200)), unknown);
}

}  // namespace

void resolve_names(ModelCatalog& catalog, std::span<request::GenerationRequest> requests,
                   const request::GenerationRequest& base, const request::FaultList& values) {
  Faults faults;
  if (!values.empty()) faults.add("body", "script_args", values.sentence(), "value_error");
  std::vector<std::string> samplers;
  for (request::GenerationRequest& request : requests) {
    resolve_models(catalog, request, base, faults);
    note_sampler(request.sampler, request.scheduler, samplers);
    request.hr_sampler = without_placeholder(request.hr_sampler);
    request.hr_scheduler = without_placeholder(request.hr_scheduler);
    note_once(unknown_hr_sampler(request), samplers);
  }
  if (faults.empty() && !samplers.empty()) throw Refusal(400, fmt::format("{}", fmt::join(samplers, "; ")));
  for (const std::string& sampler : samplers) faults.add("body", "script_args", sampler, "value_error");
  faults.throw_if_any();
}

}  // namespace lowrank::server
