#include "training/lora/sample_pictures.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/text/base64.h"
#include "base/text/text.h"
#include "base/text/text_file.h"
#include "image/codec/codec.h"
#include "prompt/grammar/extra_networks.h"
#include "request/field_table.h"

namespace lowrank::training {
namespace {

using request::GenerationRequest;

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
  const std::string_view letters = text.substr(0, blank), value = trim(text.substr(blank));
  for (const auto& option : kOptions) {
    if (option.letters != letters) continue;
    if (value.empty()) throw Error(kBadInput, "{}: --{} needs a value.", place, letters);
    const auto* row = request::field_by_api(option.field);
    LOWRANK_CHECK(row != nullptr);
    request::set_field(request, *row, value, fmt::format("{}: --{}", place, letters));
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
  request.prompt = std::string(trim(line.substr(0, end)));
  while (end != std::string_view::npos) {
    const std::size_t from = end + 3;
    end = line.find(" --", from);
    set_option(request, trim(line.substr(from, end == std::string_view::npos ? end : end - from)), place);
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

// A folder for as long as this object lives. Its name begins with a dot: no collection looks into it.
class ScratchFolder {
 public:
  explicit ScratchFolder(std::filesystem::path folder) : folder_(std::move(folder)) {
    std::filesystem::create_directories(folder_);
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;
};

}  // namespace

std::vector<GenerationRequest> parse_sample_prompts(const std::string& lines, const std::string& place,
                                                    PixelSize size) {
  const std::string text = well_formed(lines);
  std::vector<GenerationRequest> requests;
  int number = 0;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t end = std::min(text.find('\n', from), text.size());
    const auto line = trim(std::string_view(text).substr(from, end - from));
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

SamplePictures::SamplePictures(const pipeline::Session& session,
                               std::vector<request::GenerationRequest> requests, SampleOptions options)
    : session_(session), requests_(std::move(requests)), options_(std::move(options)) {}

std::vector<SamplePictures::Drawn> SamplePictures::draw(const Drawing& drawing) {
  const auto file_of = [&](std::size_t i) {
    return options_.folder / fmt::format("{}_{:06d}_{:02d}.png", options_.name, drawing.step, i);
  };
  std::vector<std::size_t> missing;
  for (std::size_t i = 0; i < requests_.size(); ++i)
    if (!drawing.again || !std::filesystem::exists(file_of(i))) missing.push_back(i);
  std::vector<Drawn> drawn;
  if (missing.empty()) return drawn;

  const ScratchFolder scratch(options_.lora_folder / ("." + options_.name + "-sample"));
  const std::filesystem::path lora = scratch.folder() / (options_.name + ".safetensors");
  drawing.save(lora);
  // A session of its own: the model in training has other weights, precision and adapters. The checkpoint's bytes are
  // mapped, so that both share them.
  pipeline::Resources resources = session_.resources();
  resources.lora = [&, find = resources.lora](const std::string& name) {
    return name == options_.name ? lora : find(name);
  };
  pipeline::SessionOptions settings = session_.options();
  settings.threads = at::get_num_threads();  // those of the training, on which its sums depend
  pipeline::Session session(std::move(resources), std::move(settings));
  for (const std::size_t i : missing) {
    drawing.begin(static_cast<std::int64_t>(i));
    request::GenerationRequest request = requests_[i];
    request.prompt += fmt::format(" <lora:{}:1>", prompt::network_name(options_.name));
    auto result = session.generate(request, {}, drawing.stop);
    auto& picture = result.pictures.front();
    const auto file = save_sample(
        file_of(i),
        image::encode_picture(picture.picture, {.format = image::PictureFormat::kPng,
                                                .quality = 80,
                                                .parameters = fmt::format("{}, Training step: {}",
                                                                          picture.metadata, drawing.step)}));
    drawn.push_back({file, std::move(picture.picture)});
  }
  return drawn;
}

std::string thumbnail_url(const image::Picture& picture) {
  constexpr int kSide = 256;
  const double scale = std::min(
      {1.0, kSide / static_cast<double>(picture.width), kSide / static_cast<double>(picture.height)});
  const image::Picture small =
      scale == 1.0 ? picture
                   : image::resize(picture, std::max(1, static_cast<int>(std::lround(picture.width * scale))),
                                   std::max(1, static_cast<int>(std::lround(picture.height * scale))));
  return "data:image/jpeg;base64," +
         base64(image::encode_picture(small, {.format = image::PictureFormat::kJpeg, .quality = 85}));
}

}  // namespace lowrank::training
