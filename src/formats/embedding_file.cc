#include "formats/embedding_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/file_identity.h"
#include "base/files_below.h"
#include "formats/family.h"
#include "formats/file_kind.h"
#include "formats/hashes.h"

namespace lowrank::formats {
namespace {

using weights::TensorFile;
using weights::TensorView;

namespace fs = std::filesystem;

constexpr std::int64_t kMaxVectors = 10'000;
constexpr std::uint64_t kMaxBytes = 64u << 20;

// The one tensor of vectors without an encoder's name; null when there is none or it cannot be told.
const TensorView* find_vectors(const TensorFile& file) {
  if (const TensorView* params = file.find("emb_params")) return params;
  const TensorView* found = nullptr;
  for (const TensorView& view : file.tensors()) {
    if (view.name.starts_with("string_to_param")) return &view;
  }
  for (const TensorView& view : file.tensors()) {
    if (found != nullptr) return nullptr;
    found = &view;
  }
  return found;
}

// A1111 hides an embedding in the pixels or chunks of a picture; NAME.preview.png only shows one.
struct Candidates {
  std::vector<fs::path> files, pictures;
};

Candidates candidates_in(const fs::path& folder) {
  Candidates found{.files = files_below(folder, {".safetensors", ".pt", ".bin", ".ckpt"}),
                   .pictures = files_below(folder, {".png", ".webp"})};
  std::erase_if(found.pictures, [](const fs::path& path) { return path.stem().extension() == ".preview"; });
  return found;
}

EmbeddingFile open_fitting(const fs::path& path, const std::optional<TextWidths>& widths) {
  std::error_code failure;
  if (fs::file_size(path, failure) > kMaxBytes && !failure)
    throw Error(kBadInput, "{}: is too large for a textual inversion; choose another file.", path.string());
  EmbeddingFile embedding = open_embedding(path);
  if (widths)
    if (const auto reason = vectors_misfit(embedding.vectors, *widths); !reason.empty())
      throw Error(kUnsupported, "{}: {}.", path.string(), reason);
  for (const auto& [component, view] : embedding.vectors.of)
    if (!std::ranges::all_of(weights::to_floats(view), [](float v) { return std::isfinite(v); }))
      throw Error(kBadInput, "{}: its vectors contain NaN or infinite values; get another version of it.",
                  path.string());
  return embedding;
}

template <typename Widths>
std::string in_words(const Widths& widths) {
  return fmt::format("{}", fmt::join(widths, " and "));
}

std::vector<std::int64_t> widths_of(const EmbeddingVectors& vectors) {
  std::vector<std::int64_t> widths;
  for (const auto& [component, view] : vectors.of) widths.push_back(view.shape[1]);
  return widths;
}

}  // namespace

bool shape_as_vectors(TensorView& view) {
  auto& shape = view.shape;
  if (shape.size() == 1) shape.insert(shape.begin(), 1);
  return shape.size() == 2 && shape[0] >= 1 && shape[0] <= kMaxVectors && shape[1] >= 1;
}

Component encoder_of_width(std::int64_t width) {
  const FamilyRow* row = family_of_text(width);
  return row != nullptr && row->text_encoders.size() > 1 && row->text_encoders[0].width != width
             ? Component::kTextEncoder2
             : Component::kTextEncoder;
}

std::int64_t EmbeddingVectors::count() const {
  return of.empty() ? 0 : of.begin()->second.shape[0];
}

const TensorView* EmbeddingVectors::find(Component component) const {
  const auto found = of.find(component);
  return found == of.end() ? nullptr : &found->second;
}

std::string_view embedding_family(const EmbeddingVectors& vectors) {
  const auto widths = widths_of(vectors);
  for (const FamilyRow& row : family_table())
    if (std::ranges::equal(widths, row.text_encoders, {}, {}, &TextEncoderRow::width)) return row.name;
  return "";
}

std::string vectors_misfit(const EmbeddingVectors& vectors, const TextWidths& widths) {
  const bool is_covered = std::ranges::all_of(widths, [&](const auto& encoder) {
    const TensorView* view = vectors.find(encoder.first);
    return view != nullptr && view->shape[1] == encoder.second;
  });
  const bool is_pair_for_one =
      vectors.of.size() > 1 && widths.size() == 1 && widths.contains(Component::kTextEncoder);
  if (is_covered && !is_pair_for_one) return "";
  std::vector<std::int64_t> wanted;
  for (const auto& [component, width] : widths) wanted.push_back(width);
  const std::string_view family = embedding_family(vectors);
  const std::string own = in_words(widths_of(vectors));
  const std::string stated = family.empty() ? fmt::format("its vectors are {} wide", own)
                                            : fmt::format("it is made for {} (vectors {} wide)", family, own);
  return fmt::format("{}, but this checkpoint's text {} {} wide", stated,
                     wanted.size() > 1 ? "encoders are" : "encoder is", in_words(wanted));
}

namespace {

// Adds one encoder's vectors after looking at them.
void add_vectors(EmbeddingFile& embedding, const TensorView& view, std::optional<Component> component) {
  TensorView vectors = view;
  const std::string path = embedding.path.string();
  if (!shape_as_vectors(vectors))
    throw Error(kBadInput,
                "{}: a textual inversion has vectors [count, width], but '{}' is {}; choose another file.",
                path, view.name, weights::shape_text(view.shape));
  if (!weights::is_float(view.dtype) && view.scaling == nullptr)
    throw Error(kBadInput, "{}: its vectors '{}' are integers ({}), not floats; download the file again.",
                path, view.name, weights::dtype_name(view.dtype));
  if (!embedding.vectors.of.empty() && embedding.vectors.count() != vectors.shape[0])
    throw Error(kBadInput,
                "{}: holds {} vectors for one text encoder and {} for the other, which must be equally many; "
                "download "
                "the file again.",
                path, embedding.vectors.count(), vectors.shape[0]);
  const Component place = component.value_or(encoder_of_width(vectors.shape[1]));
  embedding.vectors.of.emplace(place, std::move(vectors));
}

}  // namespace

EmbeddingFile read_embedding(std::shared_ptr<const TensorFile> file) {
  EmbeddingFile embedding{
      .path = file->path(), .name = file->path().stem().string(), .vectors = {}, .file = nullptr};
  for (const auto& [name, component] :
       {std::pair("clip_l", Component::kTextEncoder), std::pair("clip_g", Component::kTextEncoder2)})
    if (const TensorView* view = file->find(name)) add_vectors(embedding, *view, component);
  const TensorView* vectors = embedding.vectors.of.empty() ? find_vectors(*file) : nullptr;
  if (vectors == nullptr && embedding.vectors.of.empty()) {
    const std::string kind = describe_file(*file);
    if (kind == "a textual inversion")
      throw Error(
          kBadInput,
          "{}: contains several sets of vectors, none of them named clip_l or clip_g; choose another file.",
          file->path().string());
    throw Error(kBadInput, "{}: is not a textual inversion, it looks like {}; choose another file.",
                file->path().string(),
                kind.starts_with("something else") ? "a file with several tensors" : kind);
  }
  if (vectors != nullptr) add_vectors(embedding, *vectors, std::nullopt);
  embedding.file = std::move(file);
  return embedding;
}

EmbeddingFile open_embedding(const std::filesystem::path& path) {
  return read_embedding(TensorFile::open(path));
}

std::string embedding_folder_state(const fs::path& folder) {
  const Candidates found = candidates_in(folder);
  std::string state;
  for (const auto* paths : {&found.files, &found.pictures})
    for (const fs::path& path : *paths)
      state += fmt::format("{} {}\n", path.string(), identity_of(path).text());
  return state;
}

EmbeddingFolder read_embedding_folder(const fs::path& folder, const std::optional<TextWidths>& widths) {
  const auto [paths, pictures] = candidates_in(folder);
  std::map<std::string, EmbeddingFile> usable;
  std::map<std::string, std::string> reasons;
  for (const auto& path : pictures)
    reasons[path.stem().string()] = fmt::format(
        "{}: embeddings inside a picture are not supported; get it as a .pt or .safetensors file.",
        path.string());
  for (const auto& path : paths) {
    const std::string name = path.stem().string();
    try {
      usable.insert_or_assign(name, open_fitting(path, widths));
    } catch (const Error& error) {
      reasons[name] = error.what();
    }
  }
  EmbeddingFolder result;
  for (auto& [name, reason] : reasons)
    if (!usable.contains(name)) result.unusable.push_back({name, std::move(reason)});
  for (auto& [name, embedding] : usable) result.usable.push_back(std::move(embedding));
  return result;
}

std::string embedding_short_hash(const EmbeddingFile& embedding) {
  return auto_v2(embedding.file->file_bytes());
}

}  // namespace lowrank::formats
