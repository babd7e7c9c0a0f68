// The names by which the community knows a model file: SHA-256 of the whole file or of a part of it, cut
// short. All are lower-case hexadecimal; compare them without regard to case.
//
//   AutoV1   [8]   of the 0x10000 bytes at file offset 0x100000, or of what there is in a shorter file (old infotexts)
//   AutoV2   [10]  of the whole file (`Model hash` of infotexts, Civitai)
//   addnet   [64]  of everything after the header of a safetensors file, so that metadata do not change it; of the
//                  whole file for a pickle
//   AutoV3   [12]  the addnet hash cut short (`Lora hashes` of infotexts, Civitai)
//
// Source: the hash functions of A1111's web UI, of kohya sd-scripts and of Civitai's API.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "weights/tensor_file.h"

namespace lowrank::formats {

std::string auto_v1(std::span<const std::byte> file);
std::string auto_v2(std::span<const std::byte> file);
std::string addnet_hash(const weights::TensorFile& file);
std::string auto_v3(const weights::TensorFile& file);

// Whether a stated `sshs_model_hash` begins with AutoV3, as kohya's does: 12 or more hexadecimal digits. LyCORIS
// writes "0x" and a hash of its tensors in its own order, which is none of the hashes above.
bool states_auto_v3(std::string_view sshs_model_hash);

// Equal but for the case of letters; a hash cut shorter equals the longer one it begins. Fewer than 8 digits
// never match.
bool same_hash(std::string_view a, std::string_view b);

}  // namespace lowrank::formats
