#include "weights/safetensors_header.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <limits>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "base/file_identity.h"
#include "base/text/shortened.h"
#include "weights/json_scanner.h"
#include "weights/tensor_index.h"

namespace lowrank::weights {
namespace {

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::size_t kMaxEntries = 1'000'000;
constexpr std::uint64_t kMaxDimension = 1ull << 53;
constexpr std::size_t kMostNotes = 20;

// Types of newer versions of the format. They are checked like all others, then left out with a note.
struct ForeignDType {
  std::string_view name;
  std::uint64_t bits;
};
constexpr std::array kForeignDTypes = {ForeignDType{"F8_E8M0", 8}, ForeignDType{"F4", 4},
                                       ForeignDType{"F6_E2M3", 6}, ForeignDType{"F6_E3M2", 6},
                                       ForeignDType{"C64", 64}};

// Bytes that shape and dtype ask for; nullopt when the numbers overflow or do not make whole bytes.
std::optional<std::uint64_t> byte_count(std::span<const std::int64_t> shape, std::uint64_t bits) {
  const auto elements = countable_elements(shape);
  if (!elements) return std::nullopt;
  if (bits % 8 == 0) return checked_multiply(*elements, bits / 8);
  const auto total = checked_multiply(*elements, bits);
  if (!total || *total % 8 != 0) return std::nullopt;
  return *total / 8;
}

class HeaderReader {
 public:
  HeaderReader(std::string_view text, std::uint64_t data_bytes, std::string_view label)
      : scanner_(text), header_bytes_(text.size()), data_bytes_(data_bytes), label_(label) {}

  SafetensorsIndex read() {
    if (scanner_.skip_blanks()) note("There are spaces before its header.");
    need('{');
    if (!scanner_.take('}')) {
      do member();
      while (scanner_.take(','));
      need('}');
    }
    scanner_.skip_blanks();
    if (!scanner_.at_end()) not_json();
    add_notes();
    refuse_repeated_keys();
    sort_by_place();
    check_coverage();
    std::erase_if(index_.tensors, [](const HeaderTensor& tensor) { return tensor.is_foreign; });
    return std::move(index_);
  }

  std::map<std::string, std::string> read_metadata() {
    need('{');
    do {
      const bool is_metadata = text() == "__metadata__";
      need(':');
      if (is_metadata) {
        metadata();
        return std::move(index_.metadata);
      }
      skip_value();
    } while (scanner_.take(','));
    return {};
  }

 private:
  void member() {
    const std::string_view name = text();
    if (name.size() > kMaxKeyBytes)
      broken("a key of the header is {} bytes long (limit {})", name.size(), kMaxKeyBytes);
    need(':');
    if (name == "__metadata__") return metadata();
    key_ = name;
    entry();
  }

  // ── one tensor ──

  void entry() {
    if (!scanner_.take('{')) misplaced();
    if (index_.tensors.size() >= kMaxEntries) broken("the header has more than {} entries", kMaxEntries);
    HeaderTensor made;
    made.key = key_;
    std::string_view dtype;
    bool has_dtype = false, has_shape = false, has_offsets = false;
    const auto claim = [&](bool& seen, std::string_view field) {
      if (std::exchange(seen, true)) refuse("has '{}' twice", field);
    };
    if (!scanner_.take('}')) {
      do {
        const std::string_view field = text();
        need(':');
        if (field == "dtype") {
          claim(has_dtype, field);
          if (!scanner_.comes('"')) misplaced();
          dtype = text();
        } else if (field == "shape") {
          claim(has_shape, field);
          shape(made);
        } else if (field == "data_offsets") {
          claim(has_offsets, field);
          offsets(made);
        } else {
          skip_value();
          if (unknown_field_.empty()) unknown_field_ = shortened(field);
        }
      } while (scanner_.take(','));
      need('}');
    }
    if (!has_dtype || !has_shape || !has_offsets) refuse("must have dtype, shape and data_offsets");
    check_size(made, dtype);
    index_.tensors.push_back(made);
  }

  void shape(HeaderTensor& tensor) {
    begin_list();
    if (scanner_.take(']')) return;
    std::int64_t* const room = index_.shapes.room();
    do {
      const std::uint64_t dimension = number();
      if (dimension > kMaxDimension) refuse("has a dimension above 2^53");
      if (tensor.dimensions == ShapePool::kLongest)
        refuse("has more than {} dimensions", ShapePool::kLongest);
      room[tensor.dimensions++] = static_cast<std::int64_t>(dimension);
    } while (scanner_.take(','));
    need(']');
    tensor.shape = room;
    index_.shapes.keep(tensor.dimensions);
  }

  void offsets(HeaderTensor& tensor) {
    begin_list();
    std::array<std::uint64_t, 2> both{};
    std::size_t count = 0;
    if (!scanner_.take(']')) {
      do {
        const std::uint64_t value = number();
        if (count < both.size()) both[count] = value;
        ++count;
      } while (scanner_.take(','));
      need(']');
    }
    if (count != 2) refuse("must have exactly two data_offsets");
    if (both[0] > both[1]) refuse("has data_offsets in the wrong order");
    tensor.begin = both[0];
    tensor.end = both[1];
  }

  void begin_list() {
    if (!scanner_.take('[')) misplaced();
  }

  std::uint64_t number() {
    std::uint64_t value = 0;
    switch (scanner_.number(value)) {
      case JsonScanner::Number::kWhole:
        return value;
      case JsonScanner::Number::kNegative:
        refuse("has a negative number");
      case JsonScanner::Number::kOther:
        refuse("has a number that is not a 64-bit integer");
      case JsonScanner::Number::kNone:
        break;
    }
    misplaced();
  }

  void check_size(HeaderTensor& tensor, std::string_view dtype) {
    const std::span<const std::int64_t> shape(tensor.shape, tensor.dimensions);
    std::uint64_t bits = 0;
    if (const auto known = dtype_from_name(dtype)) {
      tensor.dtype = *known;
      bits = item_size(*known) * 8;
    } else {
      const auto foreign = std::find_if(kForeignDTypes.begin(), kForeignDTypes.end(),
                                        [&](const ForeignDType& row) { return row.name == dtype; });
      if (foreign == kForeignDTypes.end())
        broken("key '{}' has the unknown type '{}'", shortened(key_), shortened(dtype));
      bits = foreign->bits;
      tensor.is_foreign = true;
      note(fmt::format("'{}' is skipped: its type {} is not supported.", shortened(key_), dtype));
    }
    const auto expected = byte_count(shape, bits);
    const std::uint64_t found = tensor.end - tensor.begin;
    if (expected && *expected == found) return;
    const std::string stated = shape_text({shape.begin(), shape.end()});
    if (!expected) broken("key '{}' has a shape {} whose size overflows", shortened(key_), stated);
    broken("key '{}' of type {} and shape {} needs {} bytes but has {}", shortened(key_), dtype, stated,
           *expected, found);
  }

  // ── metadata: what is text is kept, whatever stands beside it ──

  void metadata() {
    if (std::exchange(has_metadata_, true))
      note("__metadata__ occurs twice; for duplicate names, the later value is used.");
    if (!scanner_.take('{')) {
      const std::string_view found = scanner_.what_comes();
      skip_value();
      note(fmt::format("__metadata__ is {} instead of an object of strings; it is ignored.", found));
      return;
    }
    if (scanner_.take('}')) return;
    do {
      std::string name = lenient_text();
      need(':');
      if (!scanner_.comes('"')) {
        skip_value();
        if (odd_values_++ == 0) odd_value_ = shortened(name);
        continue;
      }
      std::string value = lenient_text();
      if (!index_.metadata.insert_or_assign(std::move(name), std::move(value)).second) ++repeated_names_;
    } while (scanner_.take(','));
    need('}');
  }

  std::string lenient_text() {
    std::string found;
    bool was_sound = true;
    if (!scanner_.any_text(found, was_sound)) not_json();
    has_unsound_text_ = has_unsound_text_ || !was_sound;
    return found;
  }

  void add_notes() {
    if (odd_values_ > 0)
      note(fmt::format(
          "__metadata__ contains {} entries that are not strings, the first is '{}'; they are ignored.",
          odd_values_, odd_value_));
    if (repeated_names_ > 0)
      note(fmt::format("__metadata__ contains {} names more than once; the later value is used.",
                       repeated_names_));
    if (has_unsound_text_)
      note("__metadata__ contains text that is not valid JSON in UTF-8; unreadable parts are replaced.");
    if (!unknown_field_.empty())
      note(fmt::format("its entries have unknown fields, such as '{}'; they are ignored.", unknown_field_));
    if (more_notes_ > 0) index_.notes.push_back(fmt::format("{} more notes are omitted.", more_notes_));
  }

  // ── the whole ──

  // Most files have their names in order, which one look shows; in others equal hashes are looked for, then equal names.
  void refuse_repeated_keys() const {
    const auto& tensors = index_.tensors;
    if (std::ranges::adjacent_find(tensors, std::greater_equal(), &HeaderTensor::key) == tensors.end())
      return;
    std::vector<std::size_t> hashes;
    hashes.reserve(tensors.size());
    for (const HeaderTensor& tensor : tensors) hashes.push_back(std::hash<std::string_view>{}(tensor.key));
    std::ranges::sort(hashes);
    if (std::ranges::adjacent_find(hashes) == hashes.end()) return;
    std::vector<std::string_view> keys;
    keys.reserve(tensors.size());
    for (const HeaderTensor& tensor : tensors) keys.push_back(tensor.key);
    std::ranges::sort(keys);
    if (const auto twin = std::ranges::adjacent_find(keys); twin != keys.end())
      broken("key '{}' occurs twice", shortened(*twin));
  }

  void sort_by_place() {
    auto& tensors = index_.tensors;
    const auto comes_first = [](const HeaderTensor& a, const HeaderTensor& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    };
    if (!std::is_sorted(tensors.begin(), tensors.end(), comes_first))
      std::stable_sort(tensors.begin(), tensors.end(), comes_first);
  }

  // Sorted by place, the ranges follow each other without hole or overlap and end with the file.
  void check_coverage() const {
    std::uint64_t at = 0;
    for (const HeaderTensor& tensor : index_.tensors) {
      if (tensor.begin != at)
        broken("key '{}' begins at byte {} of the data, but {} is expected ({})", shortened(tensor.key),
               tensor.begin, at, tensor.begin < at ? "tensors overlap" : "a gap between tensors");
      at = tensor.end;
    }
    if (at == data_bytes_) return;
    if (at < data_bytes_) broken("{} bytes follow the last tensor", data_bytes_ - at);
    const std::uint64_t before = 8 + header_bytes_;
    throw Error(kBadInput,
                "{}: truncated: expected {} bytes, found {}; the download was probably interrupted, download "
                "it again.",
                label_, checked_add(before, at).value_or(std::numeric_limits<std::uint64_t>::max()),
                before + data_bytes_);
  }

  // ── what may go wrong ──

  std::string_view text() {
    std::string_view found;
    if (!scanner_.text(found, index_.unescaped)) not_json();
    return found;
  }
  void need(char wanted) {
    if (!scanner_.take(wanted)) not_json();
  }
  void skip_value() {
    if (!scanner_.skip_value()) not_json();
  }
  void note(std::string sentence) {
    if (index_.notes.size() < kMostNotes) {
      index_.notes.push_back(std::move(sentence));
    } else {
      ++more_notes_;
    }
  }

  [[noreturn]] void not_json() {
    broken("the header is not valid JSON in UTF-8 (at byte {} of the header)", scanner_.place());
  }
  // A value of the wrong type, or none at all.
  [[noreturn]] void misplaced() {
    const std::string_view found = scanner_.what_comes();
    if (found.empty()) not_json();
    refuse("has {} in an unexpected place", found);
  }
  template <typename... Args>
  [[noreturn]] void broken(fmt::format_string<Args...> format, Args&&... args) const {
    throw Error(kBadInput, "{}: broken safetensors file: {}; download the file again.", label_,
                fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    broken("key '{}' {}", shortened(key_), fmt::format(format, std::forward<Args>(args)...));
  }

  JsonScanner scanner_;
  const std::uint64_t header_bytes_, data_bytes_;
  const std::string_view label_;
  SafetensorsIndex index_;
  std::string_view key_;  // of the entry being read
  bool has_metadata_ = false, has_unsound_text_ = false;
  std::size_t odd_values_ = 0, repeated_names_ = 0, more_notes_ = 0;
  std::string odd_value_, unknown_field_;
};

}  // namespace

std::int64_t* ShapePool::room() {
  if (used_ + kLongest > kBlock) {
    blocks_.push_back(std::make_unique<std::int64_t[]>(kBlock));
    used_ = 0;
  }
  return blocks_.back().get() + used_;
}

SafetensorsIndex read_safetensors_index(std::string_view text, std::uint64_t data_bytes,
                                        const std::string& label) {
  // A header ends with its JSON or with blanks; a zero byte would hide what stands behind it from other readers.
  const auto first = text.find_first_not_of(" \t\n\r");
  if (first == std::string_view::npos || text[first] != '{' || text.find('\0') != std::string_view::npos)
    throw Error(kBadInput,
                "{}: is not a safetensors file: its header is not a JSON object; check what the file is.",
                label);
  return HeaderReader(text, data_bytes, label).read();
}

std::uint64_t checked_header_length(std::uint64_t stated, std::uint64_t file_size, const std::string& label) {
  if (stated > kMaxHeaderBytes)
    throw Error(kBadInput,
                "{}: broken safetensors file: its header claims {} bytes (limit {}); download it again.",
                label, stated, kMaxHeaderBytes);
  if (file_size < 8 || stated > file_size - 8)
    throw Error(kBadInput,
                "{}: truncated: expected at least {} bytes (header length), found {}; download it again.",
                label, stated + 8, file_size);
  return stated;
}

std::map<std::string, std::string> read_safetensors_metadata(std::string_view text) {
  try {
    return HeaderReader(text, 0, "").read_metadata();
  } catch (const Error&) {
    return {};
  }
}

std::optional<HeaderText> read_header_text(const std::filesystem::path& path) {
  const OpenFile file(path);
  const auto size = static_cast<std::uint64_t>(identity_of(file.descriptor()).size);
  std::array<std::byte, 4096> begin;
  const std::span<const std::byte> head(begin.data(), file.read(begin.data(), begin.size(), 0));
  if (!looks_like_safetensors(head, size)) return std::nullopt;
  std::uint64_t length = 0;
  std::memcpy(&length, head.data(), sizeof(length));
  length = checked_header_length(length, size, path.string());
  HeaderText header{.text = std::string(static_cast<std::size_t>(length), '\0'),
                    .data_bytes = size - 8 - length};
  if (file.read(header.text.data(), header.text.size(), 8) != header.text.size())
    throw Error(kConflict, "{}: was modified while it was being read; try again.", path.string());
  return header;
}

bool looks_like_safetensors(std::span<const std::byte> begin, std::uint64_t file_size) {
  if (begin.size() < 9) return false;
  std::uint64_t length = 0;
  std::memcpy(&length, begin.data(), sizeof(length));
  const std::string_view text(reinterpret_cast<const char*>(begin.data()) + 8, begin.size() - 8);
  const auto first = text.find_first_not_of(" \t\n\r");
  if (first == std::string_view::npos || text[first] != '{') return false;
  return first == 0 || (first < length && length <= file_size - 8);
}

}  // namespace lowrank::weights
