// How a job ends that threw, and how its end is told over HTTP: the one table of both ways.
#pragma once

#include <exception>
#include <memory>

#include "server/queue/job.h"

namespace lowrank::server {

// Whatever a job threw, as its end. A broken job must not take the others with it.
std::shared_ptr<Outcome> failure(const std::exception_ptr& thrown);

// The HTTP status that tells a client of a job's end.
int http_status(Cause cause);

}  // namespace lowrank::server
