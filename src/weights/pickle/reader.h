// Reads tensors from what torch.save writes (.ckpt, .pt, .pth, .bin) without running it. A pickle is a
// program for a stack machine that may call any function; this reader knows only the steps that build
// dictionaries of tensors and refuses the file at the first step, name or number outside them. There is no
// laxer reader to fall back to. Source: the pickle opcodes of Python's pickletools, the zip and legacy
// containers of torch.serialization.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

#include "weights/tensor_file.h"

namespace lowrank {
class MappedFile;
}

namespace lowrank::weights {

// True for the first bytes of either container: a zip archive, or a pickle of protocol 2 and above.
bool looks_like_pickle(std::span<const std::byte> bytes);

// The dictionary in the file, or the one under its key `state_dict` (trainers of checkpoints), `params_ema` or `params`
// (BasicSR, for upscalers). Tensors are views into `bytes`; only
// those whose elements do not lie in row-major order are copied. Entries that are no tensors are left out
// with a note. The inner dictionary `string_to_param` of a textual inversion is spread out:
// `string_to_param.*`. `owner` keeps `bytes` alive and may be null when the caller does. Throws
// Error(kBadInput) naming the broken rule.
std::shared_ptr<const TensorFile> read_pickle(const std::filesystem::path& path,
                                              std::span<const std::byte> bytes,
                                              std::shared_ptr<const void> owner,
                                              std::shared_ptr<const MappedFile> mapped = nullptr);

}  // namespace lowrank::weights
