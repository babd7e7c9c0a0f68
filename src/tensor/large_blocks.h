// Memory of large tensors, kept from one for the next. A step of sampling makes and drops the same maps of tens
// of megabytes again and again; given back to the system each time they would cost a page fault per 4 KB and
// the zeroing of every page, some 6 % of a step. Blocks lie in huge pages.
#pragma once

#include <cstdint>

namespace lowrank::tensor {

// From now on, in the whole process, libtorch's CPU tensors of a megabyte and more live in such blocks, and
// blocks of up to 48 MB wait for their next tensor, 96 MB of them at most. Smaller tensors live as ever.
void keep_large_blocks();

// Gives back all blocks that no tensor lives in, and keeps none until keep_large_blocks() is called again.
void release_large_blocks();

// Bytes of blocks that no tensor lives in.
std::int64_t idle_large_bytes();

}  // namespace lowrank::tensor
