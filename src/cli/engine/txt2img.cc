// `lowrank txt2img`: a prompt becomes pictures.
#include "base/error.h"
#include "cli/engine/commands.h"
#include "cli/engine/generation_arguments.h"
#include "cli/engine/picture_maker.h"

namespace lowrank::cli {

int txt2img(const CommandCall& call) {
  const GenerationArguments arguments = read_generation(call.arguments, "txt2img");
  request::check_request(arguments.request);
  PictureMaker maker(arguments, "txt2img-images", static_cast<std::size_t>(arguments.request.picture_count()),
                     call.stop);
  maker.check(std::span(&arguments.request, 1));
  maker.print(maker.make(arguments.request));
  return 0;
}

}  // namespace lowrank::cli
