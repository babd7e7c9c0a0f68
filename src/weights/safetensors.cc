#include "weights/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "weights/tensor_index.h"

namespace lowrank::weights {
namespace {

static_assert(std::endian::native == std::endian::little, "tensor bytes are used as they lie in the file");

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::size_t kMaxEntries = 1'000'000;
constexpr std::size_t kMaxRank = 8;
constexpr std::uint64_t kMaxDimension = 1ull << 53;

// Types of newer versions of the format. They are checked like all others, then left out with a note.
struct ForeignDType {
  std::string_view name;
  std::uint64_t bits;
};
constexpr std::array kForeignDTypes = {ForeignDType{"F8_E8M0", 8}, ForeignDType{"F4", 4},
                                       ForeignDType{"F6_E2M3", 6}, ForeignDType{"F6_E3M2", 6},
                                       ForeignDType{"C64", 64}};

struct Entry {
  std::string name;
  std::string dtype;
  Shape shape;
  std::uint64_t begin = 0, end = 0;
};

std::string shortened(const std::string& key) {
  return key.size() <= 80 ? key : key.substr(0, 77) + "…";
}

// Receives the header's JSON as events, so that repeated keys and wrong types are seen where they stand.
// Depth 1 is the file, depth 2 one entry or the metadata, depth 3 a list of numbers.
class HeaderEvents : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderEvents(const std::string& label) : label_(label) {}

  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;

  bool start_object(std::size_t) override {
    if (list_ != nullptr) refuse("holds an object where numbers are expected");
    if (depth_ == 2) refuse("holds an object too deep in the header");
    if (depth_ == 1) {
      is_metadata_ = key_ == "__metadata__";
      if (!is_metadata_) {
        if (entries.size() >= kMaxEntries) broken("the header has more than {} entries", kMaxEntries);
        entries.emplace_back().name = key_;
      }
      has_dtype_ = has_shape_ = has_offsets_ = false;
    }
    ++depth_;
    return true;
  }

  bool end_object() override {
    if (depth_ == 2 && !is_metadata_ && !(has_dtype_ && has_shape_ && has_offsets_))
      refuse("must have dtype, shape and data_offsets");
    --depth_;
    return true;
  }

  bool key(std::string& text) override {
    if (text.size() > kMaxKeyBytes)
      broken("a key of the header is {} bytes long (limit {})", text.size(), kMaxKeyBytes);
    if (depth_ == 1) {
      key_ = text;
      if (!keys_.insert(text).second) refuse("occurs twice");
    } else {
      field_ = std::move(text);
      if (!is_metadata_) claim_field();
    }
    return true;
  }

  bool string(std::string& text) override {
    if (depth_ == 2 && is_metadata_) {
      if (!metadata.emplace(field_, std::move(text)).second)
        broken("key '{}' of __metadata__ occurs twice", shortened(field_));
      return true;
    }
    if (depth_ != 2 || list_ != nullptr || field_ != "dtype") refuse("has a text where none is expected");
    entries.back().dtype = std::move(text);
    return true;
  }

  bool start_array(std::size_t) override {
    if (depth_ != 2 || is_metadata_ || list_ != nullptr || field_ == "dtype")
      refuse("has a list where none is expected");
    list_ = field_ == "shape" ? &dimensions_ : &offsets_;
    list_->clear();
    return true;
  }

  bool end_array() override {
    if (list_ == &dimensions_) {
      if (dimensions_.size() > kMaxRank) refuse("has more than 8 dimensions");
      for (const std::uint64_t dimension : dimensions_) {
        if (dimension > kMaxDimension) refuse("has a dimension above 2^53");
        entries.back().shape.push_back(static_cast<std::int64_t>(dimension));
      }
    } else {
      if (offsets_.size() != 2) refuse("must have exactly two data_offsets");
      entries.back().begin = offsets_[0];
      entries.back().end = offsets_[1];
      if (offsets_[0] > offsets_[1]) refuse("has data_offsets that run backwards");
    }
    list_ = nullptr;
    return true;
  }

  bool number_unsigned(std::uint64_t value) override {
    if (list_ == nullptr) refuse("has a number where none is expected");
    if (list_->size() >= 64) refuse("has too many numbers in a list");
    list_->push_back(value);
    return true;
  }
  bool number_integer(std::int64_t) override { refuse("has a negative number"); }
  bool number_float(double, const std::string&) override {
    refuse("has a number that is not an integer of 64 bits");
  }
  bool null() override { refuse("has a null"); }
  bool boolean(bool) override { refuse("has a true or false"); }
  bool binary(nlohmann::json::binary_t&) override { refuse("has binary data"); }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    broken("the header is not valid JSON in UTF-8 (at byte {} of the header)", position);
  }

 private:
  // The three fields of an entry, each once.
  void claim_field() {
    bool* seen = field_ == "dtype"          ? &has_dtype_
                 : field_ == "shape"        ? &has_shape_
                 : field_ == "data_offsets" ? &has_offsets_
                                            : nullptr;
    if (seen == nullptr) refuse("has an unknown field '{}'", shortened(field_));
    if (std::exchange(*seen, true)) refuse("has '{}' twice", field_);
  }

  template <typename... Args>
  [[noreturn]] void broken(fmt::format_string<Args...> format, Args&&... args) {
    throw Error(kBadInput, "{}: broken safetensors file: {}; fetch the file again.", label_,
                fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) {
    const std::string what = fmt::format(format, std::forward<Args>(args)...);
    if (depth_ == 0) broken("the header is not a JSON object");
    if (depth_ == 2 && is_metadata_)
      broken("__metadata__ must map texts to texts, '{}' {}", shortened(field_), what);
    broken("key '{}' {}", shortened(key_), what);
  }

  const std::string& label_;
  std::unordered_set<std::string> keys_;
  std::string key_, field_;
  std::vector<std::uint64_t> dimensions_, offsets_;
  std::vector<std::uint64_t>* list_ = nullptr;  // the list being read
  int depth_ = 0;
  bool is_metadata_ = false;
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
};

std::uint64_t header_length(std::span<const std::byte> file, const std::string& label) {
  if (file.size() < 8) {
    throw Error(kBadInput,
                "{}: truncated: a safetensors file has at least 8 bytes, found {}; fetch it again.", label,
                file.size());
  }
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof(length));
  if (length > kMaxHeaderBytes) {
    throw Error(kBadInput,
                "{}: broken safetensors file: its header claims {} bytes (limit {}); fetch it again.", label,
                length, kMaxHeaderBytes);
  }
  if (length > file.size() - 8) {
    throw Error(kBadInput,
                "{}: truncated: expected at least {} bytes (header length), found {}; fetch it again.", label,
                length + 8, file.size());
  }
  return length;
}

// Bytes that shape and dtype ask for; nullopt when the numbers overflow or do not make whole bytes.
std::optional<std::uint64_t> byte_count(const Shape& shape, std::uint64_t bits) {
  const auto elements = countable_elements(shape);
  if (!elements) return std::nullopt;
  if (bits % 8 == 0) return checked_multiply(*elements, bits / 8);
  const auto total = checked_multiply(*elements, bits);
  if (!total || *total % 8 != 0) return std::nullopt;
  return *total / 8;
}

// Rule 6: sorted by place, the ranges follow each other without hole or overlap and end with the file.
void check_coverage(const std::vector<Entry>& sorted, std::uint64_t data_bytes, std::uint64_t data_offset,
                    const std::string& label) {
  std::uint64_t at = 0;
  for (const Entry& entry : sorted) {
    if (entry.begin != at) {
      throw Error(kBadInput,
                  "{}: broken safetensors file: key '{}' begins at byte {} of the data where {} is expected "
                  "({}); fetch the file again.",
                  label, shortened(entry.name), entry.begin, at,
                  entry.begin < at ? "tensors overlap" : "a hole between tensors");
    }
    at = entry.end;
  }
  if (at == data_bytes) return;
  if (at > data_bytes) {
    const auto expected = checked_add(data_offset, at).value_or(std::numeric_limits<std::uint64_t>::max());
    throw Error(kBadInput,
                "{}: truncated: expected {} bytes, found {}; the download was probably cut short, fetch it "
                "again.",
                label, expected, data_offset + data_bytes);
  }
  throw Error(kBadInput,
              "{}: broken safetensors file: {} bytes follow the last tensor; fetch the file again.", label,
              data_bytes - at);
}

void check_size(const Entry& entry, std::uint64_t bits, const std::string& label) {
  const auto expected = byte_count(entry.shape, bits);
  if (!expected) {
    throw Error(kBadInput,
                "{}: broken safetensors file: key '{}' has a shape {} too large to count; fetch the file "
                "again.",
                label, shortened(entry.name), shape_text(entry.shape));
  }
  if (*expected != entry.end - entry.begin) {
    throw Error(kBadInput,
                "{}: broken safetensors file: key '{}' of type {} and shape {} needs {} bytes but has {}; "
                "fetch the file again.",
                label, shortened(entry.name), entry.dtype, shape_text(entry.shape), *expected,
                entry.end - entry.begin);
  }
}

}  // namespace

SafetensorsHeader read_safetensors_header(std::span<const std::byte> file, const std::string& label) {
  const std::uint64_t length = header_length(file, label);
  const auto* text = reinterpret_cast<const char*>(file.data()) + 8;
  // The JSON parser takes a zero byte for the end of its input, so one is refused here.
  if (length == 0 || text[0] != '{' || std::memchr(text, 0, length) != nullptr) {
    throw Error(kBadInput,
                "{}: is no safetensors file: its header is not a JSON object; check what the file is.",
                label);
  }
  HeaderEvents events(label);
  nlohmann::json::sax_parse(text, text + length, &events);

  SafetensorsHeader header;
  header.data_offset = static_cast<std::size_t>(length) + 8;
  header.metadata = std::move(events.metadata);
  auto& entries = events.entries;
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  const std::uint64_t data_bytes = file.size() - header.data_offset;
  header.tensors.reserve(entries.size());
  std::vector<std::optional<DType>> dtypes;
  dtypes.reserve(entries.size());
  for (const Entry& entry : entries) {
    const auto dtype = dtypes.emplace_back(dtype_from_name(entry.dtype));
    if (dtype) {
      check_size(entry, item_size(*dtype) * 8, label);
      continue;
    }
    const auto foreign = std::find_if(kForeignDTypes.begin(), kForeignDTypes.end(),
                                      [&](const ForeignDType& row) { return row.name == entry.dtype; });
    if (foreign == kForeignDTypes.end()) {
      throw Error(kBadInput,
                  "{}: broken safetensors file: key '{}' has the unknown type '{}'; fetch the file again.",
                  label, shortened(entry.name), shortened(entry.dtype));
    }
    check_size(entry, foreign->bits, label);
    header.notes.push_back(
        fmt::format("'{}' is left out: its type {} is not supported.", entry.name, entry.dtype));
  }
  check_coverage(entries, data_bytes, header.data_offset, label);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (!dtypes[i]) continue;
    Entry& entry = entries[i];
    const auto bytes = file.subspan(header.data_offset + entry.begin, entry.end - entry.begin);
    header.tensors.push_back({std::move(entry.name), *dtypes[i], std::move(entry.shape), bytes});
  }
  return header;
}

std::shared_ptr<const TensorFile> read_safetensors(const std::filesystem::path& path,
                                                   std::span<const std::byte> bytes,
                                                   std::shared_ptr<const void> owner) {
  SafetensorsHeader header = read_safetensors_header(bytes, path.string());
  return std::make_shared<IndexedTensorFile>(IndexedTensorFile::Contents{
      .path = path,
      .container = Container::kSafetensors,
      .tensors = std::move(header.tensors),
      .metadata = std::move(header.metadata),
      .notes = std::move(header.notes),
      .file_bytes = bytes,
      .data_offset = header.data_offset,
      .owner = std::move(owner),
      .storage = nullptr,
  });
}

}  // namespace lowrank::weights
