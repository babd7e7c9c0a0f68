// `lowrank bench`: what one picture costs on this machine, part by part.
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <ctime>

#include "base/error.h"
#include "cli/engine/commands.h"
#include "cli/engine/generation_arguments.h"
#include "cli/engine/progress_bar.h"
#include "cli/engine/resources.h"
#include "pipeline/session.h"
#include "tensor/arena.h"

namespace lowrank::cli {
namespace {

double peak_gigabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024 / 1e9;
}

double processor_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

int bench(const CommandCall& call) {
  GenerationArguments arguments = read_generation(call.arguments, "bench");
  request::GenerationRequest& request = arguments.request;
  if (request.prompt.empty()) request.prompt = "a red fox in the snow";
  if (request.seed < 0) request.seed = 1;
  if (request.sampler.empty()) request.sampler = "Euler";
  if (arguments.request.steps == request::GenerationRequest{}.steps) request.steps = 3;
  pipeline::Session session(resources(arguments.data_dir),
                            session_options(arguments.threads, arguments.int8));

  ProgressBar bar(stderr);
  double previous = 0, fastest = 0, sum = 0, processor = 0, processor_before = 0;
  std::int64_t unet_bytes = 0, growths = 0, steps_grew = 0;
  int steps = 0;
  pipeline::Listener listener;
  listener.on_step = [&](const pipeline::StepEvent& event) {
    if (!arguments.quiet) bar.show(event);
    if (event.step == 1) previous = 0;
    const double seconds = event.seconds - previous;
    previous = event.seconds;
    fastest = steps == 0 ? seconds : std::min(fastest, seconds);
    sum += seconds;
    const double processor_now = processor_seconds();
    if (steps > 0) processor = processor_now - processor_before;
    processor_before = processor_now;
    unet_bytes = std::max(unet_bytes, tensor::highest_arena_bytes(true));
    if (steps == 0) growths = tensor::arena_growths();
    steps_grew = tensor::arena_growths() - growths;
    ++steps;
  };
  const auto result = session.generate(request, listener, call.stop);
  bar.clear();
  const auto& picture = result.pictures.front().picture;
  const bool guided = request.cfg_scale.value != 1;
  const double pictures = static_cast<double>(result.pictures.size());
  const auto& model = session.use_model(request);
  fmt::print("model             {} ({:.2f} GB of weights in memory)\n", model.name(),
             static_cast<double>(model.parameter_bytes()) / 1e9);
  fmt::print("picture           {}x{}, batch {}, {} threads\n", picture.width, picture.height,
             request.batch_size, at::get_num_threads());
  fmt::print("load              {:8.3f} s\n", result.seconds_load);
  if (!result.loras.empty()) fmt::print("LoRAs             {:8.3f} s\n", result.seconds_loras);
  fmt::print("text encoder      {:8.3f} s\n", result.seconds_text);
  fmt::print("{} {:8.3f} s fastest, {:.3f} s mean of {}\n",
             guided ? "CFG step         " : "step (CFG 1)     ", fastest, sum / steps, steps);
  if (steps > 1) fmt::print("processor time    {:8.3f} s in the last step, all threads\n", processor);
  fmt::print("VAE decode        {:8.3f} s per picture\n", result.seconds_decode / pictures);
  fmt::print(
      "tensors           {:8.3f} GB in the U-Net, {:.3f} GB in the VAE; memory grew {} times after the first "
      "step\n",
      static_cast<double>(unet_bytes) / 1e9, static_cast<double>(tensor::highest_arena_bytes()) / 1e9,
      steps_grew);
  fmt::print("peak memory       {:8.3f} GB\n", peak_gigabytes());
  return 0;
}

}  // namespace lowrank::cli
