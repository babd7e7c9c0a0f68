#include "library/import/placing.h"

#include "base/error.h"
#include "formats/lora/lora_summary.h"
#include "library/import/download.h"
#include "library/import/file_name.h"
#include "weights/tensor_file.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;

std::string squeezed(std::string_view text) {
  std::string out;
  for (const char c : text)
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')) {
      out += c;
    } else if (c >= 'A' && c <= 'Z') {
      out += static_cast<char>(c + 32);
    }
  return out;
}

}  // namespace

std::string base_folder(const std::string& said, const std::string& architecture) {
  const std::string word = squeezed(said);
  if (word.starts_with("sd1")) return "SD1";
  if (word.starts_with("sd2")) return "SD2";
  if (word.starts_with("sdxl")) return "SDXL";
  if (word.empty() || word == "other" || word == "unknown" || said.find('/') != std::string::npos)
    return architecture;
  return safe_file_name(said, 60);
}

std::string check_content(const fs::path& part, std::string_view kind, const std::string& file_name) {
  try {
    if (kind == "lora") {
      const formats::LoraSummary summary = formats::LoraSummariser().read(part);
      if (summary.problem.empty() || !summary.architecture.empty()) return summary.architecture;
      throw Error(kBadInput, "{}", summary.problem);
    }
    if (extension_of(file_name) == ".safetensors") weights::TensorFile::open(part);
    return "";
  } catch (const Error& error) {
    std::string why = error.what();
    if (const auto at = why.find(part.string()); at != std::string::npos)
      why.replace(at, part.string().size(), file_name);
    discard_part(part);
    throw Error(error.code(), "{}", why);
  }
}

std::string stem_of(const std::string& name) {
  return name.substr(0, name.size() - extension_of(name).size());
}

}  // namespace lowrank::library
