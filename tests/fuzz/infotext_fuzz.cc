// Any bytes are a parameters text, and so are styles. What was read from well-formed text is written and read
// again.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "prompt/infotext.h"
#include "prompt/styles.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lowrank;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  prompt::Infotext infotext = prompt::parse_infotext(text);
  prompt::parse_infotext(prompt::write_infotext(infotext));
  prompt::add_infotext_defaults(infotext);
  prompt::localise_lora_names(infotext,
                              [](std::string_view hash) { return std::optional<std::string>(hash); });
  prompt::write_infotext(infotext);
  try {
    const auto styles = prompt::parse_styles(text, "input");
    std::vector<std::string> names;
    for (const auto& style : styles) names.push_back(style.name);
    prompt::apply_styles("a", "b", styles, names);
  } catch (const Error& error) {
    if (error.code() == kInternal) throw;
  }
  return 0;
}
