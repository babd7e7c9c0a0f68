// What keeps requests from being drawn, found before the first picture: names that stand for nothing, values out of
// range, files that are no model of this kind. Only headers of files are read.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>

#include "pipeline/session.h"
#include "request/fault_list.h"

namespace lowrank::pipeline {

// Throws Error(kBadInput) in one sentence that names all faults of all requests, `found` before them. Init pictures and masks may still be
// missing from them. What only drawing can show (a LoRA whose shapes fit another base model, too little memory) is
// not found.
// `compares`: the requests are cells of a plot. A LoRA whose tag does not stand in every cell is what is compared, so it
// must be there even where missing LoRAs are allowed.
void check_requests(std::span<const request::GenerationRequest> requests, const Resources& resources,
                    request::FaultList found = {}, bool compares = false);

}  // namespace lowrank::pipeline
