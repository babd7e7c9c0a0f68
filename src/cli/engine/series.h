// What the commands that make several pictures of one request share.
#pragma once

#include <string_view>

#include "cli/engine/commands.h"
#include "cli/engine/generation_arguments.h"
#include "request/fault_list.h"
#include "request/series/series.h"

namespace lowrank::cli {

// Makes and saves all pictures in `folder` of the outputs, and a sheet of the first one of each request; prints them.
// `faults`: what is wrong already, told together with the names that stand for nothing.
void make_series(const request::Series& series, const GenerationArguments& arguments, std::string_view folder,
                 const CommandCall& call, request::FaultList faults = {});

}  // namespace lowrank::cli
