#include "weights/pickle/reader.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "base/mapped_file.h"
#include "base/text/utf8.h"
#include "weights/pickle/machine.h"
#include "weights/pickle/refusal.h"
#include "weights/pickle/zip.h"
#include "weights/scaled_numbers.h"
#include "weights/tensor_index.h"

namespace lowrank::weights {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t kMaxNotes = 1000;
// Room for tensors that must be rearranged, beyond the size of the file: a stride of 0 repeats elements for
// free.
constexpr std::uint64_t kSpareBytes = 1u << 20;

std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A pickle and, under the keys of its storages, their bytes.
struct Loaded {
  Pickle pickle;
  std::map<std::string, Bytes, std::less<>> storages;
};

// ── the zip form ──

Loaded load_zip(Bytes file, const std::string& label) {
  const auto members = read_stored_zip(file, label);
  if (members.empty()) refuse_pickle(label, "the archive is empty");
  const std::string& first = members.begin()->first;
  const std::string root = first.substr(0, first.find('/') + 1);
  Loaded loaded;
  std::optional<Bytes> program;
  for (const auto& [name, bytes] : members) {
    const std::string_view rest = std::string_view(name).substr(std::min(root.size(), name.size()));
    if (root.empty() || !name.starts_with(root))
      refuse_pickle(label, "'{}' is not part of a PyTorch archive", name);
    if (rest == "data.pkl") {
      program = bytes;
    } else if (rest.starts_with("data/") && rest.size() > 5 && rest.find('/', 5) == std::string_view::npos) {
      loaded.storages.emplace(rest.substr(5), bytes);
    } else if (rest == "byteorder") {
      if (as_text(bytes) != "little") refuse_pickle(label, "its numbers are not little-endian");
    } else if (rest != "version" && rest != ".data/serialization_id" && rest != ".format_version" &&
               rest != ".storage_alignment") {
      refuse_pickle(label, "'{}' is not part of a PyTorch archive", name);
    }
  }
  if (!program) refuse_pickle(label, "the archive contains no data.pkl");
  loaded.pickle = run_pickle(*program, label);
  if (loaded.pickle.consumed != program->size()) refuse_pickle(label, "bytes follow the end of the pickle");
  return loaded;
}

// ── the form before PyTorch 1.6: five pickles, then the storages ──

Pickle next_pickle(Bytes& file, const std::string& label) {
  Pickle pickle = run_pickle(file, label);
  file = file.subspan(pickle.consumed);
  return pickle;
}

void check_legacy_head(Bytes& file, const std::string& label) {
  constexpr std::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19",
                                    10);  // 0x1950a86a20f9469cfc6c
  const Pickle magic = next_pickle(file, label);
  const auto* number = std::get_if<BigInteger>(&magic.top);
  if (number == nullptr || number->bytes != kMagic)
    refuse_pickle(label, "it is a pickle, but not from PyTorch");
  const Pickle protocol = next_pickle(file, label);
  const auto* version = std::get_if<std::int64_t>(&protocol.top);
  if (version == nullptr || *version != 1001) refuse_pickle(label, "its protocol is not 1001");
  const Pickle system = next_pickle(file, label);
  const Collection* facts = system.map(system.top);
  const Value* order = facts == nullptr ? nullptr : system.find(*facts, "little_endian");
  const auto* is_little = order == nullptr ? nullptr : std::get_if<bool>(order);
  if (is_little == nullptr || !*is_little) refuse_pickle(label, "its numbers are not little-endian");
}

Loaded load_legacy(Bytes file, const std::string& label) {
  check_legacy_head(file, label);
  Loaded loaded;
  loaded.pickle = next_pickle(file, label);
  const Pickle list = next_pickle(file, label);
  const Collection* keys = list.collection(list.top);
  if (keys == nullptr || keys->kind != CollectionKind::kList)
    refuse_pickle(label, "the list of its storages is missing");
  std::map<std::string_view, const StorageRecord*> records;
  for (const StorageRecord& record : loaded.pickle.storages) records.emplace(record.key, &record);
  for (const Value& item : keys->items) {
    const auto* key = std::get_if<Text>(&item);
    const auto record = key == nullptr ? records.end() : records.find(key->text);
    if (record == records.end())
      refuse_pickle(label, "its list of storages contains one that no tensor uses");
    std::uint64_t count = 0;
    if (file.size() < sizeof(count)) refuse_pickle(label, "its storages are truncated");
    std::memcpy(&count, file.data(), sizeof(count));
    file = file.subspan(sizeof(count));
    const std::uint64_t size = record->second->bytes();
    if (count != record->second->elements)
      refuse_pickle(label, "a storage does not have the size that its tensors expect");
    if (size > file.size()) refuse_pickle(label, "its storages are truncated");
    if (!loaded.storages.emplace(key->text, file.first(static_cast<std::size_t>(size))).second)
      refuse_pickle(label, "its list of storages contains one twice");
    file = file.subspan(static_cast<std::size_t>(size));
  }
  if (!file.empty()) refuse_pickle(label, "{} bytes follow the last storage", file.size());
  return loaded;
}

// ── from records to views ──

struct Storage {
  std::deque<std::vector<std::byte>> rearranged;  // a deque: the buffers stay where they are
};

bool is_row_major(const TensorRecord& tensor) {
  std::int64_t expected = 1;
  for (std::size_t i = tensor.size.size(); i-- > 0;) {
    if (tensor.size[i] != 1 && tensor.stride[i] != expected) return false;
    expected *= tensor.size[i];
  }
  return true;
}

// The elements of a strided tensor, one after the other, last dimension fastest.
std::vector<std::byte> gather(const TensorRecord& tensor, Bytes storage, std::size_t item,
                              std::uint64_t elements) {
  std::vector<std::byte> out(static_cast<std::size_t>(elements) * item);
  Shape index(tensor.size.size(), 0);
  std::uint64_t at = tensor.offset;  // unsigned: the step past the last element may wrap, and is taken back
  for (std::size_t done = 0; done < out.size(); done += item) {
    std::memcpy(out.data() + done, storage.data() + static_cast<std::size_t>(at) * item, item);
    for (std::size_t i = index.size(); i-- > 0;) {
      const auto stride = static_cast<std::uint64_t>(tensor.stride[i]);
      at += stride;
      if (++index[i] < tensor.size[i]) break;
      at -= stride * static_cast<std::uint64_t>(tensor.size[i]);
      index[i] = 0;
    }
  }
  return out;
}

class Extraction {
 public:
  Extraction(const Loaded& loaded, std::uint64_t room, const std::string& label)
      : loaded_(loaded), room_(room), label_(label), storage_(std::make_shared<Storage>()) {}

  std::vector<TensorView> tensors;
  std::vector<std::string> notes;

  // `map` with `prefix` before its keys.
  void add_map(const Collection& map, const std::string& prefix) {
    const Pickle& pickle = loaded_.pickle;
    for (std::size_t i = 0; i + 1 < map.items.size(); i += 2) {
      const auto* key = std::get_if<Text>(&map.items[i]);
      const Value& value = map.items[i + 1];
      if (key == nullptr) {
        add_note("an entry is skipped: its key is not a string.");
        continue;
      }
      if (key->text.size() > kMaxKeyBytes || !is_utf8(key->text))
        refuse_pickle(label_, "a key is too long or not UTF-8");
      const std::string name = prefix + std::string(key->text);
      if (const auto* tensor = std::get_if<TensorRef>(&value)) {
        if (!names_.insert(name).second) refuse_pickle(label_, "the key '{}' occurs twice", name);
        const TensorRecord& record = pickle.tensors[tensor->index];
        if (record.foreign.empty()) {
          tensors.push_back(view_of(name, record));
        } else {
          add_note(fmt::format("'{}' is skipped: its type {} is not supported.", name, record.foreign));
        }
      } else if (const Collection* inner = pickle.map(value); inner != nullptr && name == "string_to_param") {
        add_map(*inner, "string_to_param.");
      } else {
        add_note(
            fmt::format("'{}' is skipped: it is {}, not a tensor.", name, describe_value(value, pickle)));
      }
    }
  }

  std::shared_ptr<const void> storage() const { return storage_; }

 private:
  void add_note(std::string note) {
    if (notes.size() < kMaxNotes) notes.push_back(std::move(note));
    if (notes.size() == kMaxNotes) notes.push_back("more entries are skipped.");
  }

  TensorView view_of(const std::string& name, const TensorRecord& tensor) {
    const StorageRecord& record = loaded_.pickle.storages[tensor.storage];
    const auto place = loaded_.storages.find(record.key);
    if (place == loaded_.storages.end()) refuse_pickle(label_, "the data of '{}' is missing", name);
    if (place->second.size() != record.bytes())
      refuse_pickle(label_, "the data of '{}' has {} bytes instead of {}", name, place->second.size(),
                    record.bytes());
    const std::size_t item = item_size(tensor.dtype);
    const std::uint64_t elements = countable_elements(tensor.size).value_or(0);
    TensorView view{.name = name, .dtype = tensor.dtype, .shape = tensor.size, .bytes = {}};
    if (elements == 0) return view;
    if (is_row_major(tensor)) {
      view.bytes = place->second.subspan(static_cast<std::size_t>(tensor.offset) * item,
                                         static_cast<std::size_t>(elements) * item);
      return view;
    }
    const auto bytes = checked_multiply(elements, item);
    if (!bytes || *bytes > room_) refuse_pickle(label_, "'{}' is much larger than its data", name);
    room_ -= *bytes;
    view.bytes = storage_->rearranged.emplace_back(gather(tensor, place->second, item, elements));
    return view;
  }

  const Loaded& loaded_;
  std::uint64_t room_;
  const std::string& label_;
  std::shared_ptr<Storage> storage_;
  std::set<std::string> names_;
};

bool is_tar(Bytes file) {
  return file.size() > 262 && as_text(file.subspan(257, 5)) == "ustar";
}

}  // namespace

bool looks_like_pickle(std::span<const std::byte> bytes) {
  const std::string_view text = as_text(bytes);
  return text.starts_with("PK\x03\x04") || is_tar(bytes) ||
         (text.size() > 2 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5);
}

std::shared_ptr<const TensorFile> read_pickle(const std::filesystem::path& path,
                                              std::span<const std::byte> bytes,
                                              std::shared_ptr<const void> owner,
                                              std::shared_ptr<const MappedFile> mapped) {
  const std::string label = path.string();
  if (is_tar(bytes)) refuse_pickle(label, "it is a tar archive from PyTorch before 0.2");
  const bool is_zip = as_text(bytes).starts_with("PK\x03\x04");
  const Loaded loaded = is_zip ? load_zip(bytes, label) : load_legacy(bytes, label);
  const Collection* map = loaded.pickle.map(loaded.pickle.top);
  const Collection* list = map == nullptr ? loaded.pickle.collection(loaded.pickle.top) : nullptr;
  if (list != nullptr && list->kind == CollectionKind::kList && !loaded.pickle.tensors.empty())
    throw Error(kUnsupported,
                "{}: contains an unnamed list of tensors, as in .pt files of the first LoRA trainer, so it "
                "is unknown which layers they belong to; convert it to kohya's or diffusers' names.",
                label);
  if (map == nullptr)
    refuse_pickle(label, "it contains {} instead of a dictionary of tensors",
                  describe_value(loaded.pickle.top, loaded.pickle));
  for (const char* root : {"state_dict", "params_ema", "params"}) {
    const Value* inner = loaded.pickle.find(*map, root);
    const Collection* state = inner == nullptr ? nullptr : loaded.pickle.map(*inner);
    if (state == nullptr) continue;
    map = state;
    break;
  }
  Extraction extraction(loaded, bytes.size() + kSpareBytes, label);
  extraction.add_map(*map, "");
  auto scales = apply_scales(extraction.tensors, extraction.notes);
  return std::make_shared<IndexedTensorFile>(IndexedTensorFile::Contents{
      .path = path,
      .container = Container::kPickle,
      .tensors = std::move(extraction.tensors),
      .scales = std::move(scales),
      .metadata = {},
      .notes = std::move(extraction.notes),
      .file_bytes = bytes,
      .data_offset = 0,
      .owner = std::move(owner),
      .storage = extraction.storage(),
      .mapped = std::move(mapped),
  });
}

}  // namespace lowrank::weights
