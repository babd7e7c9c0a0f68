#include "training/lora/sample_pictures.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/text_file.h"
#include "image/codec.h"
#include "pipeline/field_table.h"
#include "prompt/extra_networks.h"
#include "prompt/text.h"

namespace lowrank::training {
namespace {

using pipeline::GenerationRequest;

struct SampleOption {
  std::string_view letters;  // as behind "--"
  std::string_view field;    // api name in pipeline's field table
};
constexpr SampleOption kOptions[] = {
    {"n", "negative_prompt"}, {"w", "width"},     {"h", "height"},       {"d", "seed"},
    {"s", "steps"},           {"l", "cfg_scale"}, {"ss", "sampler_name"}};

// Sets one option from "n ugly, blurry".
void set_option(GenerationRequest& request, std::string_view text, const std::string& place) {
  const std::size_t blank = std::min(text.find(' '), text.size());
  const std::string_view letters = text.substr(0, blank), value = prompt::trim(text.substr(blank));
  for (const auto& option : kOptions) {
    if (option.letters != letters) continue;
    if (value.empty()) throw Error(kBadInput, "{}: --{} needs a value.", place, letters);
    const auto* row = pipeline::field_by_api(option.field);
    LOWRANK_CHECK(row != nullptr);
    pipeline::set_field(request, *row, value, fmt::format("{}: --{}", place, letters));
    return;
  }
  throw Error(kBadInput, "{}: unknown option --{}; use --n, --w, --h, --d, --s, --l or --ss.", place,
              letters);
}

GenerationRequest parse_line(std::string_view line, PixelSize size, const std::string& place) {
  GenerationRequest request;
  request.width = static_cast<int>(size.width);
  request.height = static_cast<int>(size.height);
  request.seed = 42;
  std::size_t end = line.find(" --");
  request.prompt = std::string(prompt::trim(line.substr(0, end)));
  while (end != std::string_view::npos) {
    const std::size_t from = end + 3;
    end = line.find(" --", from);
    set_option(request, prompt::trim(line.substr(from, end == std::string_view::npos ? end : end - from)),
               place);
  }
  if (request.prompt.find("<lora:") != std::string::npos ||
      request.prompt.find("<lyco:") != std::string::npos)
    throw Error(kBadInput, "{}: remove the LoRA tags; the LoRA in training is always active.", place);
  check_request(request);
  return request;
}

// A run that goes on draws the same sample once more: then it is there already. Another picture is never replaced.
std::filesystem::path save_sample(const std::filesystem::path& file, const std::vector<std::uint8_t>& bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::error_code failure;
  if (std::filesystem::is_regular_file(file, failure) &&
      std::filesystem::file_size(file, failure) == text.size() && read_file(file, text.size()) == text)
    return file;
  return write_new_file(file, text);
}

}  // namespace

std::vector<GenerationRequest> parse_sample_prompts(const std::string& lines, const std::string& place,
                                                    PixelSize size) {
  const std::string text = prompt::well_formed(lines);
  std::vector<GenerationRequest> requests;
  int number = 0;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t end = std::min(text.find('\n', from), text.size());
    const auto line = prompt::trim(std::string_view(text).substr(from, end - from));
    from = end + 1;
    ++number;
    if (line.empty() || line.starts_with("#")) continue;
    requests.push_back(parse_line(line, size, fmt::format("{}:{}", place, number)));
  }
  if (requests.empty()) throw Error(kBadInput, "{}: contains no prompt; write one per line.", place);
  return requests;
}

std::vector<GenerationRequest> read_sample_prompts(const std::filesystem::path& file, PixelSize size) {
  return parse_sample_prompts(read_text_file(file, {.max_bytes = 1u << 20}), file.string(), size);
}

SamplePictures::SamplePictures(pipeline::Session& session, std::vector<GenerationRequest> requests,
                               std::filesystem::path folder, std::string name)
    : session_(session), requests_(std::move(requests)), folder_(std::move(folder)), name_(std::move(name)) {}

std::vector<std::filesystem::path> SamplePictures::draw(std::int64_t step, const std::stop_token& stop,
                                                        const std::function<void(std::int64_t)>& begin) {
  session_.forget_encodings();
  std::vector<std::filesystem::path> files;
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    begin(static_cast<std::int64_t>(i));
    const auto result = session_.generate(requests_[i], {}, stop);
    const auto& picture = result.pictures.front();
    files.push_back(save_sample(
        folder_ / fmt::format("{}_{:06d}_{:02d}.png", name_, step, i),
        image::encode_picture(picture.picture,
                              {.format = image::PictureFormat::kPng,
                               .quality = 80,
                               .parameters = fmt::format("{}, LoRA in training: {}, Training step: {}",
                                                         picture.metadata, name_, step)})));
  }
  session_.forget_encodings();
  return files;
}

}  // namespace lowrank::training
