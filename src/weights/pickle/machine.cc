#include "weights/pickle/machine.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/checked.h"
#include "weights/pickle/refusal.h"
#include "weights/pickle/vocabulary.h"

namespace lowrank::weights {
namespace {

constexpr std::uint64_t kOpcodesPerMebibyte = 100'000, kMaxOpcodes = 10'000'000;
constexpr std::size_t kMaxNesting = 64, kMaxMemo = 1'000'000, kMaxNameBytes = 256, kMaxTensorRank = 8;

// A name fit to be shown: hostile files must not write to the terminal.
std::string shown(std::string_view name) {
  std::string clean;
  for (const char letter : name.substr(0, 80)) clean += letter > ' ' && letter < 127 ? letter : '?';
  return clean;
}

class Machine {
 public:
  Machine(std::span<const std::byte> bytes, const std::string& label)
      : text_(reinterpret_cast<const char*>(bytes.data()), bytes.size()), label_(label) {}

  Pickle run() {
    const std::uint64_t mebibytes = (text_.size() >> 20) + 1;
    const std::uint64_t allowed = std::min(kMaxOpcodes, mebibytes * kOpcodesPerMebibyte);
    for (std::uint64_t count = 0;; ++count) {
      if (count >= allowed) refuse_pickle(label_, "the pickle has more than {} steps", allowed);
      const auto opcode = static_cast<std::uint8_t>(take(1)[0]);
      if (opcode == kStop) break;
      step(opcode);
    }
    if (stack_.size() != 1 || !marks_.empty())
      refuse_pickle(label_, "the pickle ends with an inconsistent stack");
    pickle_.top = stack_.back();
    pickle_.consumed = at_;
    return std::move(pickle_);
  }

 private:
  // ── reading ──
  std::string_view take(std::uint64_t count) {
    if (count > text_.size() - at_) refuse_pickle(label_, "the pickle is truncated");
    const auto piece = text_.substr(at_, static_cast<std::size_t>(count));
    at_ += piece.size();
    return piece;
  }
  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  template <typename T>
  std::string_view counted() {
    return take(number<T>());
  }
  std::string_view counted_signed() {
    const auto count = number<std::int32_t>();
    if (count < 0) refuse_pickle(label_, "the pickle has a negative length");
    return take(static_cast<std::uint64_t>(count));
  }
  std::string_view line() {
    const auto end = text_.find('\n', at_);
    if (end == std::string_view::npos || end - at_ > kMaxNameBytes)
      refuse_pickle(label_, "a name in the pickle is too long");
    const auto found = text_.substr(at_, end - at_);
    at_ = end + 1;
    return found;
  }

  // ── the stack ──
  void push(Value value) { stack_.push_back(value); }
  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  Value pop() {
    if (stack_.size() <= floor()) refuse_pickle(label_, "the pickle pops from an empty stack");
    const Value value = stack_.back();
    stack_.pop_back();
    return value;
  }
  const Value& top() {
    if (stack_.size() <= floor()) refuse_pickle(label_, "the pickle pops from an empty stack");
    return stack_.back();
  }
  std::vector<Value> pop_to_mark() {
    if (marks_.empty()) refuse_pickle(label_, "the pickle refers to a missing mark");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<Value> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }
  std::vector<Value> pop_many(std::size_t count) {
    std::vector<Value> items(count);
    for (std::size_t i = count; i-- > 0;) items[i] = pop();
    return items;
  }

  // ── collections ──
  CollectionRef make(CollectionKind kind, std::vector<Value> items = {}) {
    pickle_.collections.push_back({kind, 1, {}});
    const CollectionRef made{pickle_.collections.size() - 1};
    extend(pickle_.collections.back(), items);
    return made;
  }
  void extend(Collection& collection, std::span<const Value> items) {
    const bool is_map =
        collection.kind == CollectionKind::kMap || collection.kind == CollectionKind::kParameterDict;
    if (is_map && items.size() % 2 != 0)
      refuse_pickle(label_, "a dictionary in the pickle has a key without a value");
    for (const Value& item : items) {
      if (const auto* inner = pickle_.collection(item))
        collection.depth = std::max(collection.depth, inner->depth + 1);
    }
    if (collection.depth > static_cast<int>(kMaxNesting))
      refuse_pickle(label_, "the pickle is nested too deeply");
    collection.items.insert(collection.items.end(), items.begin(), items.end());
  }
  // Puts items into the container on top of the stack, which must be of a fitting kind.
  void fill(std::initializer_list<CollectionKind> kinds, std::span<const Value> items) {
    const auto* place = std::get_if<CollectionRef>(&top());
    if (place == nullptr) {
      if (std::holds_alternative<Opaque>(top())) return;
      refuse_pickle(label_, "the pickle adds items to something that is not a container");
    }
    Collection& collection = pickle_.collections[place->index];
    if (std::find(kinds.begin(), kinds.end(), collection.kind) == kinds.end())
      refuse_pickle(label_, "the pickle adds items to a container of another type");
    extend(collection, items);
  }

  // ── memo ──
  void put(std::uint64_t index) {
    if (memo_.size() >= kMaxMemo) refuse_pickle(label_, "the pickle memoises more than {} values", kMaxMemo);
    memo_.insert_or_assign(index, top());
  }
  void get(std::uint64_t index) {
    const auto place = memo_.find(index);
    if (place == memo_.end()) refuse_pickle(label_, "the pickle refers to a value that was never stored");
    push(place->second);
  }

  // ── names and calls ──
  void push_global(std::string_view module, std::string_view name) {
    for (std::size_t i = 0; i < kGlobals.size(); ++i) {
      if (kGlobals[i].module == module && kGlobals[i].name == name) return push(GlobalName{i});
    }
    refuse_pickle(label_, "{}.{} (not allowed in a model file)", shown(module), shown(name));
  }
  std::string_view text_of(const Value& value) {
    const auto* text = std::get_if<Text>(&value);
    if (text == nullptr || text->text.size() > kMaxNameBytes)
      refuse_pickle(label_, "the pickle has something other than a string where a name is expected");
    return text->text;
  }
  const GlobalRow& called(const Value& value) {
    const auto* name = std::get_if<GlobalName>(&value);
    if (name == nullptr) refuse_pickle(label_, "the pickle calls something that is not a function");
    return kGlobals[name->row];
  }
  const std::vector<Value>& tuple_of(const Value& value) {
    const auto* collection = pickle_.collection(value);
    if (collection == nullptr || collection->kind != CollectionKind::kTuple)
      refuse_pickle(label_, "the pickle has something other than a tuple where arguments are expected");
    return collection->items;
  }

  Value reduce(const Value& callable, const Value& arguments) {
    const GlobalRow& row = called(callable);
    const auto& items = tuple_of(arguments);
    switch (row.role) {
      case Role::kOrderedDict:
        return ordered_dict(items);
      case Role::kParameterDict:
        if (!items.empty()) refuse_pickle(label_, "a ParameterDict is constructed with arguments");
        return make(CollectionKind::kParameterDict);
      case Role::kCounter:
        if (items.empty()) return make(CollectionKind::kMap);
        return items[0];
      case Role::kRebuildTensor:
        return rebuild_tensor(items);
      case Role::kRebuildTypedTensor:
        return rebuild_typed_tensor(items);
      case Role::kRebuildFromType:
        return rebuild_from_type(items);
      case Role::kSize:
        if (items.size() != 1) refuse_pickle(label_, "a size has an unsupported form");
        return items[0];
      case Role::kRebuildParameter:
        if (items.empty()) refuse_pickle(label_, "a parameter has no data");
        return items[0];
      case Role::kOpaque:
        return Opaque{};
      case Role::kStorage:
      case Role::kDType:
        break;
    }
    refuse_pickle(label_, "the pickle calls {}.{}", row.module, row.name);
  }

  Value ordered_dict(const std::vector<Value>& items) {
    if (items.empty()) return make(CollectionKind::kMap);
    const auto* pairs = items.size() == 1 ? pickle_.collection(items[0]) : nullptr;
    if (pairs == nullptr || (pairs->kind != CollectionKind::kList && pairs->kind != CollectionKind::kTuple))
      refuse_pickle(label_, "an OrderedDict is made from something other than pairs");
    std::vector<Value> flat;
    for (const Value& pair : pairs->items) {
      const auto* both = pickle_.collection(pair);
      if (both == nullptr || both->items.size() != 2)
        refuse_pickle(label_, "an OrderedDict is made from something other than pairs");
      flat.insert(flat.end(), both->items.begin(), both->items.end());
    }
    return make(CollectionKind::kMap, std::move(flat));
  }

  // Protocol 2 makes a ParameterDict, the container of the first textual inversions, as an empty object whose
  // state follows. No other class may be made this way.
  Value new_object(const Value& type, const Value& arguments) {
    const auto* name = std::get_if<GlobalName>(&type);
    if (name == nullptr || kGlobals[name->row].role != Role::kParameterDict || !tuple_of(arguments).empty())
      refuse_pickle(label_, "the pickle creates an object (opcode NEWOBJ)");
    return make(CollectionKind::kParameterDict);
  }

  // State is dropped, except that a ParameterDict of torch 1.11 and before has its entries there.
  void build() {
    const Value state = pop();
    const Value& object = top();
    if (std::holds_alternative<Opaque>(object)) return;
    const auto* place = std::get_if<CollectionRef>(&object);
    Collection* collection = place == nullptr ? nullptr : &pickle_.collections[place->index];
    if (collection == nullptr ||
        (collection->kind != CollectionKind::kMap && collection->kind != CollectionKind::kParameterDict))
      refuse_pickle(label_, "the pickle sets the state of something that has none");
    const Collection* fields = pickle_.map(state);
    if (collection->kind != CollectionKind::kParameterDict || fields == nullptr) return;
    const Value* parameters = pickle_.find(*fields, "_parameters");
    const Collection* entries = parameters == nullptr ? nullptr : pickle_.map(*parameters);
    if (entries != nullptr && entries != collection) {
      const std::vector<Value> copies = entries->items;
      extend(*collection, copies);
    }
  }

  std::uint64_t natural(const Value& value, std::string_view what) {
    const auto* number = std::get_if<std::int64_t>(&value);
    if (number == nullptr || *number < 0) refuse_pickle(label_, "{} is not a non-negative number", what);
    return static_cast<std::uint64_t>(*number);
  }

  Value persistent() {
    const Value id = pop();
    const auto& items = tuple_of(id);
    if (items.size() != 5 && items.size() != 6) refuse_pickle(label_, "a storage has an unsupported form");
    if (text_of(items[0]) != "storage")
      refuse_pickle(label_, "the pickle refers to something other than a storage");
    const GlobalRow& type = called(items[1]);
    if (type.role != Role::kStorage)
      refuse_pickle(label_, "a storage has the type {}.{}", type.module, type.name);
    if (items.size() == 6 && !std::holds_alternative<Nothing>(items[5]))
      refuse_pickle(label_, "a storage is a view of another one");
    const std::size_t item = item_of(type);
    pickle_.storages.push_back({text_of(items[2]), item, natural(items[4], "the size of a storage")});
    if (!checked_multiply(pickle_.storages.back().elements, item))
      refuse_pickle(label_, "the size of a storage overflows");
    return StorageRef{pickle_.storages.size() - 1, std::get<GlobalName>(items[1]).row};
  }

  Shape sizes_of(const Value& value, std::string_view what) {
    Shape sizes;
    const auto& items = tuple_of(value);
    if (items.size() > kMaxTensorRank) refuse_pickle(label_, "a tensor has {} dimensions", items.size());
    for (const Value& item : items) sizes.push_back(static_cast<std::int64_t>(natural(item, what)));
    return sizes;
  }

  static std::size_t item_of(const GlobalRow& type) {
    return type.foreign_item != 0 ? type.foreign_item : item_size(type.dtype);
  }

  // (storage, offset, size, stride, requires_grad, hooks[, metadata]): elements of the storage's type.
  Value rebuild_tensor(const std::vector<Value>& items) {
    if (items.size() != 6 && items.size() != 7) refuse_pickle(label_, "a tensor has an unsupported form");
    const auto* storage = std::get_if<StorageRef>(&items[0]);
    if (storage == nullptr) refuse_pickle(label_, "a tensor has no storage");
    return tensor_over(*storage, kGlobals[storage->row], items);
  }

  // The same with the type behind the hooks: 8-bit floats, unsigned integers and other types without a storage class.
  Value rebuild_typed_tensor(const std::vector<Value>& items) {
    if (items.size() != 7 && items.size() != 8) refuse_pickle(label_, "a tensor has an unsupported form");
    const auto* storage = std::get_if<StorageRef>(&items[0]);
    if (storage == nullptr) refuse_pickle(label_, "a tensor has no storage");
    const GlobalRow& type = called(items[6]);
    if (type.role != Role::kDType)
      refuse_pickle(label_, "a tensor has the type {}.{}", type.module, type.name);
    return tensor_over(*storage, type, items);
  }

  // The attributes are dropped.
  Value rebuild_from_type(const std::vector<Value>& items) {
    if (items.size() != 4) refuse_pickle(label_, "a tensor has an unsupported form");
    const Role role = called(items[0]).role;
    if (role != Role::kRebuildTensor && role != Role::kRebuildTypedTensor && role != Role::kRebuildParameter)
      refuse_pickle(label_, "a tensor is constructed in an unsupported way");
    return reduce(items[0], items[2]);
  }

  Value tensor_over(const StorageRef& storage, const GlobalRow& type, const std::vector<Value>& items) {
    TensorRecord tensor{.storage = storage.index,
                        .dtype = type.dtype,
                        .foreign = type.foreign_item != 0 ? type.name : "",
                        .offset = natural(items[1], "the offset of a tensor"),
                        .size = sizes_of(items[2], "the size of a tensor"),
                        .stride = sizes_of(items[3], "the stride of a tensor")};
    if (tensor.size.size() != tensor.stride.size())
      refuse_pickle(label_, "a tensor has a different number of strides and dimensions");
    if (!countable_elements(tensor.size)) refuse_pickle(label_, "the size of a tensor overflows");
    if (std::find(tensor.size.begin(), tensor.size.end(), 0) == tensor.size.end()) {
      std::optional<std::uint64_t> last = tensor.offset;
      for (std::size_t i = 0; last && i < tensor.size.size(); ++i) {
        const auto reach = checked_multiply(static_cast<std::uint64_t>(tensor.size[i] - 1),
                                            static_cast<std::uint64_t>(tensor.stride[i]));
        last = reach ? checked_add(*last, *reach) : std::nullopt;
      }
      if (!last || *last >= pickle_.storages[tensor.storage].bytes() / item_of(type))
        refuse_pickle(label_, "a tensor extends beyond its storage");
    }
    pickle_.tensors.push_back(std::move(tensor));
    return TensorRef{pickle_.tensors.size() - 1};
  }

  Value long_integer(std::string_view bytes) {
    if (bytes.size() > 8) return BigInteger{bytes};
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i)
      value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
    if (!bytes.empty() && bytes.size() < 8 && (static_cast<unsigned char>(bytes.back()) & 0x80u) != 0)
      value |= ~std::uint64_t{0} << (8 * bytes.size());
    return static_cast<std::int64_t>(value);
  }

  void pop_one() {
    if (!marks_.empty() && stack_.size() == marks_.back()) {
      marks_.pop_back();
    } else {
      pop();
    }
  }

  double big_endian_double() {
    std::uint64_t bits = 0;
    for (const char byte : take(8)) bits = bits << 8 | static_cast<unsigned char>(byte);
    return std::bit_cast<double>(bits);
  }

  // clang-format off
  void step(std::uint8_t opcode) {
    using enum CollectionKind;
    switch (opcode) {
      case kProto:
        if (const auto version = number<std::uint8_t>(); version < 2 || version > 5)
          refuse_pickle(label_, "the pickle has protocol {}", version);
        return;
      case kFrame: if (number<std::uint64_t>() > text_.size() - at_) refuse_pickle(label_, "the pickle is truncated"); return;
      case kMark:
        if (marks_.size() >= kMaxNesting) refuse_pickle(label_, "the pickle is nested too deeply");
        marks_.push_back(stack_.size());
        return;
      case kPop: return pop_one();
      case kPopMark: pop_to_mark(); return;
      case kDup: { const Value value = top(); return push(value); }
      case kNone: return push(Nothing{});
      case kNewTrue: return push(true);
      case kNewFalse: return push(false);
      case kBinInt: return push(std::int64_t{number<std::int32_t>()});
      case kBinInt1: return push(std::int64_t{number<std::uint8_t>()});
      case kBinInt2: return push(std::int64_t{number<std::uint16_t>()});
      case kLong1: return push(long_integer(counted<std::uint8_t>()));
      case kLong4: return push(long_integer(counted_signed()));
      case kBinFloat: return push(big_endian_double());
      case kBinUnicode: return push(Text{counted<std::uint32_t>()});
      case kShortBinUnicode: return push(Text{counted<std::uint8_t>()});
      case kBinUnicode8: return push(Text{counted<std::uint64_t>()});
      case kBinString: return push(Text{counted_signed()});
      case kShortBinString: return push(Text{counted<std::uint8_t>()});
      case kBinBytes: return push(Binary{counted<std::uint32_t>()});
      case kShortBinBytes: return push(Binary{counted<std::uint8_t>()});
      case kBinBytes8: return push(Binary{counted<std::uint64_t>()});
      case kByteArray8: return push(Binary{counted<std::uint64_t>()});
      case kEmptyDict: return push(make(kMap));
      case kEmptyList: return push(make(CollectionKind::kList));
      case kEmptyTuple: return push(make(CollectionKind::kTuple));
      case kEmptySet: return push(make(kSet));
      case Opcode::kTuple: return push(make(CollectionKind::kTuple, pop_to_mark()));
      case kTuple1: return push(make(CollectionKind::kTuple, pop_many(1)));
      case kTuple2: return push(make(CollectionKind::kTuple, pop_many(2)));
      case kTuple3: return push(make(CollectionKind::kTuple, pop_many(3)));
      case Opcode::kList: return push(make(CollectionKind::kList, pop_to_mark()));
      case kDict: return push(make(kMap, pop_to_mark()));
      case kAppend: { const Value item = pop(); return fill({CollectionKind::kList}, {&item, 1}); }
      case kAppends: { const auto items = pop_to_mark(); return fill({CollectionKind::kList}, items); }
      case kSetItem: { const auto items = pop_many(2); return fill({kMap, kParameterDict}, items); }
      case kSetItems: { const auto items = pop_to_mark(); return fill({kMap, kParameterDict}, items); }
      case kAddItems: { const auto items = pop_to_mark(); return fill({kSet}, items); }
      case kBinPut: return put(number<std::uint8_t>());
      case kLongBinPut: return put(number<std::uint32_t>());
      case kMemoize: return put(memo_.size());
      case kBinGet: return get(number<std::uint8_t>());
      case kLongBinGet: return get(number<std::uint32_t>());
      case kGlobal: { const auto module = line(); return push_global(module, line()); }
      case kStackGlobal: { const auto both = pop_many(2); return push_global(text_of(both[0]), text_of(both[1])); }
      case kReduce: { const auto both = pop_many(2); return push(reduce(both[0], both[1])); }
      case kNewObj: { const auto both = pop_many(2); return push(new_object(both[0], both[1])); }
      case kBuild: return build();
      case kBinPersId: return push(persistent());
      default: refuse_pickle(label_, "the pickle uses opcode 0x{:02x}, which a dictionary of tensors never needs", opcode);
    }
  }
  // clang-format on

  std::string_view text_;
  const std::string& label_;
  std::size_t at_ = 0;
  std::vector<Value> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint64_t, Value> memo_;
  Pickle pickle_;
};

}  // namespace

const Collection* Pickle::collection(const Value& value) const {
  const auto* place = std::get_if<CollectionRef>(&value);
  return place == nullptr ? nullptr : &collections[place->index];
}

const Collection* Pickle::map(const Value& value) const {
  const Collection* found = collection(value);
  if (found == nullptr) return nullptr;
  return found->kind == CollectionKind::kMap || found->kind == CollectionKind::kParameterDict ? found
                                                                                              : nullptr;
}

const Value* Pickle::find(const Collection& map, std::string_view key) const {
  for (std::size_t i = 0; i + 1 < map.items.size(); i += 2) {
    const auto* text = std::get_if<Text>(&map.items[i]);
    if (text != nullptr && text->text == key) return &map.items[i + 1];
  }
  return nullptr;
}

Pickle run_pickle(std::span<const std::byte> bytes, const std::string& label) {
  return Machine(bytes, label).run();
}

std::string_view describe_value(const Value& value, const Pickle& pickle) {
  if (const Collection* collection = pickle.collection(value)) {
    switch (collection->kind) {
      case CollectionKind::kMap:
      case CollectionKind::kParameterDict:
        return "a dictionary";
      case CollectionKind::kList:
        return "a list";
      case CollectionKind::kTuple:
        return "a tuple";
      case CollectionKind::kSet:
        return "a set";
    }
  }
  if (std::holds_alternative<Nothing>(value)) return "None";
  if (std::holds_alternative<Text>(value)) return "a string";
  if (std::holds_alternative<TensorRef>(value)) return "a tensor";
  if (std::holds_alternative<bool>(value) || std::holds_alternative<std::int64_t>(value) ||
      std::holds_alternative<BigInteger>(value) || std::holds_alternative<double>(value))
    return "a number";
  return "an object";
}

}  // namespace lowrank::weights
