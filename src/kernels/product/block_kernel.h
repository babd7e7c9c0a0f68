// The innermost product, and the two formats that it reads: everything heavy in this room (linear layers,
// convolutions, attention) is cut into blocks, laid into these formats, and multiplied here. There is one
// implementation in portable SIMD, one for the matrix unit of recent Intel processors and, where a user asks for
// it, some that multiply bfloat16; nobody above knows which one runs.
//
//   left block    up to kBlockRows rows of up to kBlockDepth numbers, row_bytes apart
//   right block   panels of kPanel columns, each [depth][kPanel], depth rounded up to a multiple of kDepthStep
//   result        float32 rows of panels · kPanel numbers
//
// A number takes four bytes in either format, a float or two bfloat16 (Note [split numbers] in block_amx.cc), or two
// bytes, one bfloat16 (Note [bfloat16 products] in block_bf16.cc) or a byte and its share of the scales (Note [8-bit
// products] in block_int8.cc). Depth past the end must hold zeros: finish_depth.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace lowrank::kernels {

constexpr std::int64_t kPanel = 16;
// A panel pair, 40 KB, stays in a level-1 cache; divides SD's widths
constexpr std::int64_t kBlockDepth = 320;
constexpr std::int64_t kDepthStep = 32;
constexpr std::int64_t kBlockRows = 192;
// From one row of numbers of four bytes to the next: an odd number of cache lines, so that rows do not share cache sets
constexpr std::int64_t kRowBytes = kBlockDepth * 4 + 64;

constexpr std::int64_t round_up(std::int64_t n, std::int64_t step) {
  return (n + step - 1) / step * step;
}
// Of a panel of numbers of four bytes.
constexpr std::int64_t panel_bytes(std::int64_t depth) {
  return round_up(depth, kDepthStep) * kPanel * 4;
}

// How a stored weight is written. kInt8 is never stored in a file, only made when weights are packed: runs of kRun
// inputs, each the scales of its kPanel columns in bfloat16 and then [kRun][kPanel] whole numbers; a weight is number ·
// scale. It is for depths and beginnings that are multiples of kRun.
enum class Number { kFloat32, kFloat16, kBfloat16, kInt8 };
constexpr std::int64_t kRun = kDepthStep;
constexpr std::int64_t kRunBytes = 2 * kPanel + kRun * kPanel;

// Bytes of `depth` × kPanel packed numbers.
constexpr std::int64_t bytes_of(Number number, std::int64_t depth) {
  switch (number) {
    case Number::kFloat32:
      return depth * kPanel * 4;
    case Number::kFloat16:
    case Number::kBfloat16:
      return depth * kPanel * 2;
    case Number::kInt8:
      return depth / kRun * kRunBytes;
  }
  return 0;
}

// What numbers are multiplied as; sums are float32 in each.
enum class Precision { kFloat32, kBfloat16, kInt8 };

struct BlockKernel {
  std::string_view name;
  Precision precision;
  // A left block is rows of floats as they are: who makes them in place need not pack them.
  bool left_is_floats;
  std::int64_t number_bytes;     // of a number in a block: 4 or 2
  bool is_slower_than_winograd;  // for a 3×3 convolution

  std::int64_t row_bytes() const { return kBlockDepth * number_bytes + 64; }
  std::int64_t panel_bytes(std::int64_t depth) const {
    return round_up(depth, kDepthStep) * kPanel * number_bytes;
  }

  // Lays `count` floats of each of `rows` rows into a left block, at depth `at`. A null pointer means zeros.
  void (*pack_rows)(const float* const* source, std::int64_t rows, std::int64_t count, std::int64_t at,
                    void* block);
  // Zeros from depth `depth` to the next multiple of kDepthStep.
  void (*finish_depth)(std::int64_t rows, std::int64_t depth, void* block);

  // Lays one panel, `depth` × kPanel numbers in that order, from stored weights.
  void (*pack_panel)(const void* source, Number number, std::int64_t depth, void* panel);
  // The same from rows of floats, `stride` apart, of which only the first `columns` ≤ kPanel count; the rest
  // is zero.
  // Null in kInt8, which multiplies stored weights only.
  void (*pack_columns)(const float* source, std::int64_t stride, std::int64_t depth, std::int64_t columns,
                       void* panel);
  // The same, transposed: column c of the panel is the row source + c · stride of `depth` floats.
  void (*pack_transposed)(const float* source, std::int64_t stride, std::int64_t depth, std::int64_t columns,
                          void* panel);

  // result [rows, panels · kPanel] = (add ? result : 0) + left · right. Result rows are `stride` floats
  // apart, and there is room for rows rounded up to a multiple of 32.
  void (*multiply)(const void* left, std::int64_t rows, const void* right, std::int64_t panels,
                   std::int64_t depth, float* result, std::int64_t stride, bool add);
};

// The fastest one this processor has, in float32.
const BlockKernel& block_kernel();

// The fastest one in that precision; nullptr where the processor multiplies no bfloat16, or no bytes.
const BlockKernel* block_kernel(Precision precision);

// All of floats and bfloat16 that run here, portable SIMD first: for tests and benchmarks.
std::vector<const BlockKernel*> block_kernels();

// Portable SIMD on the best instruction set at hand; null when the processor or the system lacks the matrix unit.
const BlockKernel& simd_block_kernel();
const BlockKernel* amx_block_kernel();

// Products of bfloat16: on AVX-512's (Zen 4, Cooper Lake and later), on the matrix unit, and on portable SIMD with
// numbers rounded as the others round them, which gains nothing and shows on any processor what they compute. Null as
// above.
const BlockKernel* bf16_block_kernel();
const BlockKernel* amx_bf16_block_kernel();
const BlockKernel& emulated_bf16_block_kernel();

// 8-bit products: on AVX-512's VNNI (null where there is none), and on portable SIMD with numbers rounded the same way.
const BlockKernel* vnni_block_kernel();
const BlockKernel& emulated_int8_block_kernel();

}  // namespace lowrank::kernels
