// `lowrank txt2img`: a prompt becomes pictures.
#include "base/error.h"
#include "cli/engine/cli_generator.h"
#include "cli/engine/commands.h"
#include "cli/engine/generation_arguments.h"

namespace lowrank::cli {

int txt2img(const CommandCall& call) {
  const GenerationArguments arguments = read_generation(call.arguments, "txt2img");
  request::check_request(arguments.request);
  CliGenerator generator(arguments, "txt2img-images",
                         static_cast<std::size_t>(arguments.request.picture_count()), call.stop);
  generator.check(std::span(&arguments.request, 1));
  generator.print(generator.make(arguments.request));
  return 0;
}

}  // namespace lowrank::cli
