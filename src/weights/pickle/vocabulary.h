// The words a pickle may use: the names it may mention and the opcodes. What is not here is refused.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "weights/tensor_view.h"

namespace lowrank::weights {

enum class Role {
  kOrderedDict,
  kCounter,
  kRebuildTensor,
  kRebuildTypedTensor,  // with a type of its own over a storage of bytes
  kRebuildParameter,
  kRebuildFromType,  // a tensor with attributes: function, class, its arguments, the attributes
  kStorage,
  kDType,
  kSize,
  kParameterDict,
  kOpaque
};

struct GlobalRow {
  std::string_view module, name;
  Role role;
  DType dtype = DType::kF32;     // of a storage or a type
  std::size_t foreign_item = 0;  // bytes of an element that no DType describes; 0: `dtype` does
};

// Every name a pickle may mention. Nothing here is ever called; the role says what "calling" it makes.
inline constexpr std::array kGlobals = {
    GlobalRow{"collections", "OrderedDict", Role::kOrderedDict},
    GlobalRow{"torch._utils", "_rebuild_tensor_v2", Role::kRebuildTensor},
    GlobalRow{"collections", "Counter", Role::kCounter},
    GlobalRow{"torch._utils", "_rebuild_tensor_v3", Role::kRebuildTypedTensor},
    GlobalRow{"torch._utils", "_rebuild_parameter", Role::kRebuildParameter},
    GlobalRow{"torch._utils", "_rebuild_parameter_with_state", Role::kRebuildParameter},
    GlobalRow{"torch._tensor", "_rebuild_from_type_v2", Role::kRebuildFromType},
    GlobalRow{"torch", "Size", Role::kSize},
    GlobalRow{"torch", "device", Role::kOpaque},
    GlobalRow{"torch", "Tensor", Role::kOpaque},
    GlobalRow{"torch.nn.parameter", "Parameter", Role::kOpaque},
    GlobalRow{"torch.serialization", "_get_layout", Role::kOpaque},
    GlobalRow{"torch", "FloatStorage", Role::kStorage, DType::kF32},
    GlobalRow{"torch", "HalfStorage", Role::kStorage, DType::kF16},
    GlobalRow{"torch", "BFloat16Storage", Role::kStorage, DType::kBF16},
    GlobalRow{"torch", "DoubleStorage", Role::kStorage, DType::kF64},
    GlobalRow{"torch", "LongStorage", Role::kStorage, DType::kI64},
    GlobalRow{"torch", "IntStorage", Role::kStorage, DType::kI32},
    GlobalRow{"torch", "ShortStorage", Role::kStorage, DType::kI16},
    GlobalRow{"torch", "CharStorage", Role::kStorage, DType::kI8},
    GlobalRow{"torch", "ByteStorage", Role::kStorage, DType::kU8},
    GlobalRow{"torch", "BoolStorage", Role::kStorage, DType::kBool},
    GlobalRow{"torch.storage", "UntypedStorage", Role::kStorage, DType::kU8},
    GlobalRow{"torch", "ComplexFloatStorage", Role::kStorage, DType::kU8, 8},
    GlobalRow{"torch", "ComplexDoubleStorage", Role::kStorage, DType::kU8, 16},
    GlobalRow{"torch", "float64", Role::kDType, DType::kF64},
    GlobalRow{"torch", "float32", Role::kDType, DType::kF32},
    GlobalRow{"torch", "float16", Role::kDType, DType::kF16},
    GlobalRow{"torch", "bfloat16", Role::kDType, DType::kBF16},
    GlobalRow{"torch", "int64", Role::kDType, DType::kI64},
    GlobalRow{"torch", "int32", Role::kDType, DType::kI32},
    GlobalRow{"torch", "int16", Role::kDType, DType::kI16},
    GlobalRow{"torch", "int8", Role::kDType, DType::kI8},
    GlobalRow{"torch", "uint8", Role::kDType, DType::kU8},
    GlobalRow{"torch", "uint16", Role::kDType, DType::kU16},
    GlobalRow{"torch", "uint32", Role::kDType, DType::kU32},
    GlobalRow{"torch", "uint64", Role::kDType, DType::kU64},
    GlobalRow{"torch", "bool", Role::kDType, DType::kBool},
    GlobalRow{"torch", "float8_e4m3fn", Role::kDType, DType::kF8E4M3},
    GlobalRow{"torch", "float8_e5m2", Role::kDType, DType::kF8E5M2},
    GlobalRow{"torch", "float8_e4m3fnuz", Role::kDType, DType::kF8E4M3Fnuz},
    GlobalRow{"torch", "float8_e5m2fnuz", Role::kDType, DType::kF8E5M2Fnuz},
    GlobalRow{"torch", "float8_e8m0fnu", Role::kDType, DType::kU8, 1},
    GlobalRow{"torch", "float4_e2m1fn_x2", Role::kDType, DType::kU8, 1},
    GlobalRow{"torch", "complex32", Role::kDType, DType::kU8, 4},
    GlobalRow{"torch", "complex64", Role::kDType, DType::kU8, 8},
    GlobalRow{"torch", "complex128", Role::kDType, DType::kU8, 16},
    GlobalRow{"torch.nn.modules.container", "ParameterDict", Role::kParameterDict},
    GlobalRow{"_codecs", "encode", Role::kOpaque},
    GlobalRow{"numpy.core.multiarray", "scalar", Role::kOpaque},
    GlobalRow{"numpy.core.multiarray", "_reconstruct", Role::kOpaque},
    GlobalRow{"numpy._core.multiarray", "scalar", Role::kOpaque},
    GlobalRow{"numpy._core.multiarray", "_reconstruct", Role::kOpaque},
    GlobalRow{"numpy", "dtype", Role::kOpaque},
    GlobalRow{"numpy", "ndarray", Role::kOpaque},
    GlobalRow{"pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint", Role::kOpaque},
    GlobalRow{"pytorch_lightning.callbacks", "ModelCheckpoint", Role::kOpaque},
    GlobalRow{"__builtin__", "set", Role::kOpaque},
    GlobalRow{"builtins", "set", Role::kOpaque},
    GlobalRow{"__builtin__", "bytearray", Role::kOpaque},
    GlobalRow{"builtins", "bytearray", Role::kOpaque},
    GlobalRow{"__builtin__", "complex", Role::kOpaque},
    GlobalRow{"builtins", "complex", Role::kOpaque},
};

// Opcodes by the names of Python's pickletools.
enum Opcode : std::uint8_t {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kDup = '2',
  kBinFloat = 'G',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinPersId = 'Q',
  kReduce = 'R',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kDict = 'd',
  kEmptyDict = '}',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kList = 'l',
  kEmptyList = ']',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kEmptyTuple = ')',
  kSetItems = 'u',
  kProto = 0x80,
  kNewObj = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kLong4 = 0x8b,
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kBinBytes8 = 0x8e,
  kEmptySet = 0x8f,
  kAddItems = 0x90,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
  kByteArray8 = 0x96,
};

}  // namespace lowrank::weights
