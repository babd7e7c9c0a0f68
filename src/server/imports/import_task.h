// A request for a model from Civitai or Hugging Face.
#pragma once

#include <string>

#include "library/import/importer.h"
#include "library/import/source.h"
#include "server/fields/parameter.h"
#include "server/json.h"

namespace lowrank::server {

struct ImportTask {
  library::ImportSource source;  // never a file of this machine
  library::ImportOptions options;
};

ParameterRows import_parameters();

// Throws Refusal 422 naming the field.
ImportTask read_import(const RequestJson& body);

// The request as it is kept until its turn comes: what it means and nothing else, so that a token which stood in a
// copied address is not kept.
std::string import_request(const RequestJson& body);

}  // namespace lowrank::server
