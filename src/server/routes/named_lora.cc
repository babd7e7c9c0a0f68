#include "server/routes/named_lora.h"

#include <fmt/format.h>

#include "base/atomic_file.h"
#include "base/error.h"
#include "formats/subfamily.h"
#include "image/codec/codec.h"
#include "server/http/refusal.h"

namespace lowrank::server {

namespace fs = std::filesystem;
using library::Library;
using library::Record;

library::Fitting fitting_now(Services& services) {
  const auto chosen = services.catalog.find_checkpoint(services.settings.text("sd_model_checkpoint"));
  const auto checkpoint = chosen ? chosen : services.catalog.default_checkpoint();
  if (!checkpoint) return {};
  try {
    return services.library_service.with([&](const Library& library) {
      library::Fitting fitting{checkpoint->model_name,
                               library.fitting_layouts(library.fit_of(checkpoint->path)), "", ""};
      if (const auto record = library.checkpoint_record(checkpoint->path)) {
        fitting.architecture = record->architecture;
        fitting.subfamily = record->subfamily;
      }
      return fitting;
    });
  } catch (const Error&) {
    return {};  // whoever draws with the checkpoint is told why it cannot be read
  }
}

Record named_lora(Services& services, const Call& call) {
  // The page names a file by its place; clients may use any name that a prompt may.
  return services.library_service.with([&](const Library& library) {
    const std::string& name = call.at("name");
    if (auto record = library.find_relative(name)) return std::move(*record);
    auto found = library.find_lora(name);
    if (!found) throw Refusal(404, fmt::format("no LoRA named '{}'.", name.substr(0, 200)));
    return std::move(found->record);
  });
}

std::string subfamily_in(const std::string& asked) {
  if (asked.empty()) return "";
  if (const auto meant = formats::subfamily_meant(asked)) return *meant;
  refuse_field("subfamily", fmt::format("must be {}, none, or empty", formats::subfamily_names()),
               "value_error.const");
}

Reply picture_reply(const fs::path& path) {
  std::error_code failure;
  if (!fs::is_regular_file(path, failure)) throw Refusal(404, "File not found");
  Reply reply = bytes_reply(read_file(path), image::picture_mime(path));
  reply.headers.emplace_back("Cache-Control", "private, max-age=300");
  reply.headers.emplace_back("X-Content-Type-Options", "nosniff");
  return reply;
}

}  // namespace lowrank::server
