// Names inside a request that mean files or samplers. A request never names a path: what the catalog does not
// know is refused.
#pragma once

#include <span>
#include <string>

#include "request/fault_list.h"
#include "request/generation_request.h"
#include "server/catalog/model_catalog.h"
#include "server/http/refusal.h"

namespace lowrank::server {

// "Use same checkpoint", "None" and the like become "".
std::string without_placeholder(const std::string& name);

// Throws Refusal 400 in A1111's words.
void check_sampler(const std::string& name, const std::string& schedule);
// What of hr_sampler_name and hr_scheduler is not known, as a clause; "": nothing.
std::string unknown_hr_sampler(const request::GenerationRequest& request);

// The path of a checkpoint; `field` is what named it. Of sd_model_checkpoint an unknown name is refused at once,
// as A1111 says it; else it is added to the faults and "" returned.
std::string checkpoint_path(ModelCatalog& catalog, const std::string& name, const char* field, Match match,
                            Faults& faults);

// "Automatic", "None", or the path of a VAE.
std::string vae_path(ModelCatalog& catalog, const std::string& name, const char* field, Faults& faults);

// Of requests that a script has made: the names that are no longer those of `base`, whose own are paths already.
// Throws Refusal naming all that are unknown, and `values` that do not fit before them: 400 when they are samplers and schedules only, as A1111 has it, else 422.
void resolve_names(ModelCatalog& catalog, std::span<request::GenerationRequest> requests,
                   const request::GenerationRequest& base, const request::FaultList& values);

}  // namespace lowrank::server
