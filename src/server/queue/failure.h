// How a job ends that threw.
#pragma once

#include <exception>
#include <memory>

#include "server/queue/job.h"

namespace lowrank::server {

// Whatever a job threw, as its end. A broken job must not take the others with it.
std::shared_ptr<Outcome> failure(const std::exception_ptr& thrown);

}  // namespace lowrank::server
